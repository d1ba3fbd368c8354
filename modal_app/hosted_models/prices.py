"""What calls of hosted models cost, and which model it was that answered. How a model is asked is not here.

Prices are those of genai-prices for the day of the call; what it lacks stands here.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

Provider = Literal["openai", "google"]

# Dollars per million tokens in (audio, for Google's) and out, of models that genai-prices knows under no such name.
_SUPPLEMENT: dict[Provider, dict[str, tuple[float, float]]] = {
    "google": {"gemini-3-flash": (1.00, 3.00), "gemini-3.1-pro": (2.00, 12.00)},
}
_TOKENS = 1_000  # a short call: long ones are in dearer tiers
_VERSION = re.compile(r"(?:-(?:\d{4}-\d{2}-\d{2}|preview|latest|exp|\d{2,}))+\Z")


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input_usd: float
    output_usd: float

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Return what so many tokens cost, in US dollars."""
        return (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6


def known_price(provider: Provider, model: str, day: date | None = None) -> Price | None:
    """Return what a model's calls cost on a day (UTC; default: today), or None where nobody knows.

    A snapshot or a preview costs what its model does.
    """
    name = plain_name(model)
    family = _VERSION.sub("", name)
    for each in dict.fromkeys((name, family)):
        if (price := _from_library(provider, each, day)) is not None:
            return price
    known = _SUPPLEMENT.get(provider, {}).get(family)
    return Price(*known) if known else None


def price_of_answer(provider: Provider, asked: str, answered_by: str, price: Price) -> Price:
    """Return what an answer costs: `price`, that of the model that was asked, unless another one answered.

    Where nobody knows the asked model, it is a name of the user's own (a gateway's, a deployment's): what they said it
    costs is what it costs, whoever answers.
    """
    if answered_by == asked or known_price(provider, asked) is None:
        return price
    return known_price(provider, answered_by) or price


def plain_name(model: str) -> str:
    """Return a model's name without what a service or a gateway puts before it: `models/`, `openai/`."""
    return model.strip().rpartition("/")[2]


def who_answered(asked: str, served: str | None) -> str:
    """Return the model to record for an answer: the one that was asked for, unless the answer names another.

    A version of the same model (`gpt-6-luna-2026-09-01` for `gpt-6-luna`, or the other way round) is no other one, and
    an answer that names none is taken for the one that was asked for.
    """
    named = plain_name(served or "")
    if not named or _VERSION.sub("", named) == _VERSION.sub("", plain_name(asked)):
        return asked
    return named


def _from_library(provider: Provider, name: str, day: date | None) -> Price | None:
    try:
        from genai_prices import Usage, calc_price
    except ImportError:  # it comes with `dawa-assets[hosted]`, and without that nobody is asked
        return None
    usage = Usage(
        input_tokens=_TOKENS, output_tokens=_TOKENS, input_audio_tokens=_TOKENS if provider == "google" else None
    )
    moment = datetime.combine(day, time(12), UTC) if day else None
    try:
        found = calc_price(usage, name, provider_id=provider, genai_request_timestamp=moment)
    except LookupError:
        return None
    # The library also takes names that only begin like a model's: `…-tts` may cost many times as much.
    if _VERSION.sub("", found.model.id) != _VERSION.sub("", name):
        return None
    if not found.total_price:  # a model that is not paid for by tokens
        return None
    return Price(float(found.input_price) * 1e6 / _TOKENS, float(found.output_price) * 1e6 / _TOKENS)
