"""What Gemini models cost, in US dollars per million tokens. Input is priced as audio, which is its dearer kind.

A family is found by the longest beginning of the model's name. Where none fits, the price has to be given.
"""

import re
from dataclasses import dataclass

from modal_app.errors import InputError
from modal_app.protocol.tagging import HostedModel

AUDIO_TOKENS_PER_SECOND = 32

_FAMILIES = {
    "gemini-2.5-flash-lite": (0.30, 0.40),
    "gemini-2.5-flash": (1.00, 2.50),
    "gemini-2.5-pro": (1.25, 10.00),
    "gemini-3-flash": (1.00, 3.00),
    "gemini-3.1-flash-lite": (0.50, 1.50),
    "gemini-3.1-pro": (2.00, 12.00),
    "gemini-3.5-flash": (1.50, 9.00),
    "gemini-3.5-flash-lite": (0.30, 2.50),
}


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input_usd: float
    output_usd: float

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost, in US dollars."""
        return (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6


def price_of(model: HostedModel) -> Price:
    """The price that the request states, else the one that is known of the model's family.

    Raises:
        InputError: neither is there.
    """
    if model.input_usd is not None and model.output_usd is not None:
        return Price(model.input_usd, model.output_usd)
    family = max((known for known in _FAMILIES if _is_of(model.name, known)), key=len, default=None)
    if family is None:
        raise InputError(
            f"{model.name}: no price is known of this model, so its cost can't be capped; "
            "set DAWA_GEMINI_PRICE=INPUT/OUTPUT in US dollars per million tokens"
        )
    return Price(*_FAMILIES[family])


def _is_of(name: str, family: str) -> bool:
    """`gemini-3.5-flash-lite-001` is of `gemini-3.5-flash-lite`; `gemini-3.5-flash-live` is a kind of its own."""
    return re.fullmatch(rf"(?:models/)?{re.escape(family)}(?:-(?:preview|latest|exp|\d+))*", name) is not None
