"""Texts and numbers of a Live Set, made safe to keep: what an attribute says is never taken on trust."""

import re
from collections.abc import Mapping

from dawa_assets.ableton.colours import PALETTE_SIZE
from dawa_assets.ableton.live_set import TimeSignature
from dawa_assets.ableton.stream import SAVE_AGAIN, RefusedError

MAX_TEXT = 400
MAX_PATH = 1600
# 27 years at 120 BPM.
MAX_BEATS = 1e8
# Live holds a parameter's value "before time" as an event at this beat; only later ones are automation.
BEFORE_TIME = -63072000
# What Live's own tempo field takes.
MIN_TEMPO, MAX_TEMPO = 20, 999
# Until Live 10 the palette's index is stored as 140 and up where the colour was given by Live.
_PALETTE_OFFSET = 140
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SIGNATURES_PER_DENOMINATOR = 99
_DENOMINATORS = (1, 2, 4, 8, 16)


def text(value: str, longest: int = MAX_TEXT) -> str:
    """`value` without control characters, cut at `longest` characters."""
    return _CONTROLS.sub(" ", value[: longest + 1])[:longest] if value else value


def number(value: str | float | None, what: str, lowest: float, highest: float) -> float:
    """`value` as a number.

    Raises:
        RefusedError: it is none, NaN, or not within `lowest` and `highest`.
    """
    parsed = loose_number(value)
    if not lowest <= parsed <= highest:
        shown = "missing" if value is None else f"{str(value)[:40]!r}"
        raise RefusedError(f"{what} is {shown}, not a number from {lowest:g} to {highest:g}", SAVE_AGAIN)
    return parsed


def loose_number(value: str | float | None) -> float:
    """`value` as a number, NaN where it is none: for what may turn out not to matter."""
    try:
        return float(value) if value is not None else float("nan")
    except ValueError:
        return float("nan")


def is_in_song(attributes: Mapping[str, str]) -> bool:
    """Whether an automation event lies later than the placeholder before time."""
    return loose_number(attributes.get("Time")) > BEFORE_TIME


def colour(value: str) -> int | None:
    """Index into Live's palette, None for "none of its own" and for what is no index."""
    try:
        index = int(value[:12])
    except ValueError:
        return None
    return (index - _PALETTE_OFFSET if index >= _PALETTE_OFFSET else index) % PALETTE_SIZE if index >= 0 else None


def time_signature(value: str | None) -> TimeSignature:
    """Live's code for a time signature: (numerator - 1) + 99 * log2(denominator), so 201 is 4/4 and 303 is 7/8.

    Raises:
        RefusedError: no such code.
    """
    highest = _SIGNATURES_PER_DENOMINATOR * len(_DENOMINATORS) - 1
    code = number(value, "its time signature", 0, highest)
    denominator, numerator = divmod(int(code), _SIGNATURES_PER_DENOMINATOR)
    return TimeSignature(numerator + 1, _DENOMINATORS[denominator])
