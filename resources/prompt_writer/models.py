"""What is known of OpenAI's models, as of November 2026: parameters that a family takes, prices, announced ends.

A model that is not here can be used all the same: its price has to be set, and nothing is sent but what all take.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from resources.prompt_writer.base import Price

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

# Dollars per million tokens in and out, of requests of less than 272,000 tokens.
_PRICES: dict[str, tuple[float, float]] = {
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-5": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5-nano": (0.05, 0.40),
    "gpt-5.1": (1.25, 10.00),
    "gpt-5.2": (1.75, 14.00),
    "gpt-5.4": (2.50, 15.00),
    "gpt-5.4-mini": (0.75, 4.50),
    "gpt-5.5": (5.00, 30.00),
    "gpt-5.6-sol": (4.00, 20.00),
    "gpt-5.6-terra": (2.00, 12.00),
    "gpt-5.6-luna": (0.20, 1.20),
    "gpt-6-astra": (10.00, 50.00),
    "gpt-6-sol": (2.00, 10.00),
    "gpt-6-luna": (0.10, 0.50),
}
_ENDS: dict[str, date] = {
    **dict.fromkeys(("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"), date(2027, 1, 14)),
    **dict.fromkeys(("gpt-5", "gpt-5-mini", "gpt-5-nano", "o3"), date(2026, 12, 11)),
    **dict.fromkeys(("gpt-5.1", "gpt-5.4-nano"), date(2027, 4, 1)),
    **dict.fromkeys(("gpt-4.1-nano", "o4-mini", "o3-mini", "o1", "gpt-4-turbo", "gpt-4"), date(2026, 10, 23)),
}
_SUCCESSOR = "gpt-6-luna"
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}\Z")


def profile_of(model: str) -> Profile:
    """What is known of a model, or of the one that its name says it is a snapshot of."""
    plain = _SNAPSHOT.sub("", model)
    family = next((family for name, family in _FAMILIES if plain.startswith(name)), Profile())
    if _PRO.search(plain):
        family = Profile()
    price = _PRICES.get(plain)
    return Profile(
        temperature=family.temperature,
        effort=family.effort,
        most_output_tokens=family.most_output_tokens,
        price=Price(*price) if price else None,
        ends_on=_ENDS.get(plain),
        successor=_SUCCESSOR if plain in _ENDS else None,
    )
