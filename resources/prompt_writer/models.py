"""What is known of OpenAI's models, as of November 2026: parameters that a family takes, announced ends.

A model that is not here can be used all the same: its price has to be set, and nothing is sent but what all take.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from modal_app.hosted_models.prices import Price, known_price

Effort = Literal["none", "minimal", "low", "medium"]


@dataclass(frozen=True)
class Profile:
    """How a model is to be asked."""

    temperature: float | None = None
    effort: Effort | None = None
    """How much it may think before it answers; None: it can't be told."""
    most_output_tokens: int = 4_000
    """Thinking counts."""
    price: Price | None = None
    ends_on: date | None = None
    successor: str | None = None


_CAPTION = 400  # tokens; the longest caption that the rules allow has some 200
_CAPTION_AND_THOUGHTS = 3_000

# The first family whose name the model's begins with.
_FAMILIES: tuple[tuple[str, Profile], ...] = (
    ("gpt-6-luna", Profile(effort="none", most_output_tokens=_CAPTION)),
    ("gpt-6", Profile(effort="low", most_output_tokens=_CAPTION_AND_THOUGHTS)),
    ("gpt-5.", Profile(effort="none", most_output_tokens=_CAPTION)),
    ("gpt-5", Profile(effort="minimal", most_output_tokens=_CAPTION_AND_THOUGHTS)),
    *((name, Profile(effort="low", most_output_tokens=_CAPTION_AND_THOUGHTS)) for name in ("o1", "o3", "o4")),
    *((name, Profile(temperature=0.7, most_output_tokens=_CAPTION)) for name in ("gpt-4", "gpt-3.5", "ft:gpt-4")),
)
# Of those that can't be told how much to think, or are not to be.
_PRO = re.compile(r"-(?:pro|chat-latest|codex)\b")

_ENDS: dict[str, date] = {
    **dict.fromkeys(("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"), date(2027, 1, 14)),
    **dict.fromkeys(("gpt-5", "gpt-5-mini", "gpt-5-nano", "o3"), date(2026, 12, 11)),
    **dict.fromkeys(("gpt-5.1", "gpt-5.4-nano"), date(2027, 4, 1)),
    **dict.fromkeys(("gpt-4.1-nano", "o4-mini", "o3-mini", "o1", "gpt-4-turbo", "gpt-4"), date(2026, 10, 23)),
}
_SUCCESSOR = "gpt-6-luna"
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}\Z")


def profile_of(model: str) -> Profile:
    """Return what is known of a model, or of the one that its name says it is a snapshot of."""
    plain = _SNAPSHOT.sub("", model)
    family = next((family for name, family in _FAMILIES if plain.startswith(name)), Profile())
    if _PRO.search(plain):
        family = Profile()
    return Profile(
        temperature=family.temperature,
        effort=family.effort,
        most_output_tokens=family.most_output_tokens,
        price=known_price("openai", model),
        ends_on=_ENDS.get(plain),
        successor=_SUCCESSOR if plain in _ENDS else None,
    )
