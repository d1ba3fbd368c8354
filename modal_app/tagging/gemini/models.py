"""What is known of Gemini's models, as of November 2026: who answers for whom, who thinks how, who ends when.

From ai.google.dev's page of deprecations. Prices are `modal_app/hosted_models/prices.py`'s.
"""

from datetime import date
from typing import Literal

from modal_app.errors import InputError
from modal_app.hosted_models.prices import Price, known_price, plain_name, price_of_answer
from modal_app.protocol.tagging import HostedModel

AUDIO_TOKENS_PER_SECOND = 32

Thinking = Literal["no budget", "minimal", "its own"]

# From this day on, requests for the one are answered by the other, at its price and by its rules.
_ANSWERED_BY: dict[str, tuple[date, str]] = {
    "gemini-2.5-pro": (date(2026, 12, 1), "gemini-3.8-flash"),
    "gemini-2.5-flash": (date(2026, 12, 1), "gemini-3.5-flash-lite"),
}
_ENDS: dict[str, date] = {"gemini-3.1-flash-lite": date(2027, 5, 7)}
SUCCESSOR = "gemini-3.5-flash-lite"


def answering_model(name: str, day: date) -> str:
    """Return the model that answers requests for this one on a day; itself, as far as is known."""
    since, other = _ANSWERED_BY.get(plain_name(name), (day, name))
    return other if day >= since else name


def replaced_by(name: str) -> tuple[date, str] | None:
    """Return since when (or from when on) another model answers for this one, and which."""
    return _ANSWERED_BY.get(plain_name(name))


def ends_on(name: str) -> date | None:
    """Return the day on which a model is shut down, where one is announced."""
    return _ENDS.get(plain_name(name))


def thinking_of(name: str) -> Thinking:
    """Return how a model is told not to think; `its own`: it can't be told.

    Tagging needs no thinking, and each family is told so in its own way.
    """
    plain = plain_name(name)
    if plain.startswith("gemini-2.5-flash"):
        return "no budget"
    return "minimal" if plain.startswith("gemini-3") and "-flash" in plain else "its own"


def price_of(model: HostedModel, answering: str | None = None) -> Price:
    """Return the price that the request states, else what is known of the model; or that of the one that answers.

    Raises:
        InputError: nobody knows.
    """
    known = known_price("google", model.name)
    if model.input_usd is not None and model.output_usd is not None:
        known = Price(model.input_usd, model.output_usd)
    if known is None:
        raise InputError(
            f"{model.name}: no price is known of this model, so its cost can't be capped; "
            "set DAWA_GEMINI_PRICE=INPUT/OUTPUT in US dollars per million tokens"
        )
    return price_of_answer("google", model.name, answering or model.name, known)
