"""Texts and numbers of a Live Set, made safe to keep: what an attribute says is never taken on trust."""

import re
from collections.abc import Mapping

from dawa_assets.ableton.colours import PALETTE_SIZE
from dawa_assets.ableton.live_set import Scale
from dawa_assets.ableton.stream import SAVE_AGAIN
from dawa_assets.ableton.time_map import TimeSignature
from dawa_assets.errors import RefusedLiveSetError

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
# The menu of Live 12, by number; up to 12.0 their names are written.
_SCALES = (
    *("Major", "Minor", "Dorian", "Mixolydian", "Lydian", "Phrygian", "Locrian", "Whole Tone", "Half-whole Dim."),
    *("Whole-half Dim.", "Minor Blues", "Minor Pentatonic", "Major Pentatonic", "Harmonic Minor", "Harmonic Major"),
    *("Dorian #4", "Phrygian Dominant", "Melodic Minor", "Lydian Augmented", "Lydian Dominant", "Super Locrian"),
    *("8-Tone Spanish", "Bhairav", "Hungarian Minor", "Hirajoshi", "In-Sen", "Iwato", "Kumoi", "Pelog Selisir"),
    *("Pelog Tembung", "Messiaen 3", "Messiaen 4", "Messiaen 5", "Messiaen 6", "Messiaen 7"),
)
_ROOTS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_SIGNATURES_PER_DENOMINATOR = 99
_DENOMINATORS = (1, 2, 4, 8, 16)
HIGHEST_SIGNATURE = _SIGNATURES_PER_DENOMINATOR * len(_DENOMINATORS) - 1


def text(value: str, longest: int = MAX_TEXT) -> str:
    """`value` without control characters, cut at `longest` characters."""
    if len(value) <= longest and value.isprintable():
        return value
    return _CONTROLS.sub(" ", value[: longest + 1])[:longest] if value else value


def number(value: str | float | None, what: str, lowest: float, highest: float) -> float:
    """`value` as a number.

    Raises:
        RefusedLiveSetError: it is none, NaN, or not within `lowest` and `highest`.
    """
    parsed = loose_number(value)
    if not lowest <= parsed <= highest:
        shown = "missing" if value is None else f"{str(value)[:40]!r}"
        raise RefusedLiveSetError(f"{what} is {shown}, not a number from {lowest:g} to {highest:g}", SAVE_AGAIN)
    return parsed


def loose_number(value: str | float | None) -> float:
    """`value` as a number, NaN where it is none: for what may turn out not to matter."""
    try:
        return float(value) if value is not None else float("nan")
    except ValueError:
        return float("nan")


def is_in_song(attributes: Mapping[str, str]) -> bool:
    """Return whether an automation event lies later than the placeholder before time."""
    return loose_number(attributes.get("Time")) > BEFORE_TIME


def colour(value: str) -> int | None:
    """Index into Live's palette, None for "none of its own" and for what is no index."""
    try:
        index = int(value[:12])
    except ValueError:
        return None
    return (index - _PALETTE_OFFSET if index >= _PALETTE_OFFSET else index) % PALETTE_SIZE if index >= 0 else None


def scale(root: str, name: str) -> Scale | None:
    """Return a scale by the number of its root and its own number or name.

    None for what is no scale, and for C Major: it is what every set and clip starts with, so it says nothing.
    """
    if not (root.isdecimal() and len(root) < 3 and int(root) < len(_ROOTS)):
        return None
    if name.isdecimal():
        name = _SCALES[int(name)] if len(name) < 3 and int(name) < len(_SCALES) else ""
    found = Scale(_ROOTS[int(root)], name.strip())
    return found if found.name and (found.root, found.name) != ("C", "Major") else None


def time_signature(value: str | float | None) -> TimeSignature:
    """Live's code for a time signature: (numerator - 1) + 99 * log2(denominator), so 201 is 4/4 and 303 is 7/8.

    Raises:
        RefusedLiveSetError: no such code.
    """
    code = number(value, "its time signature", 0, HIGHEST_SIGNATURE)
    denominator, numerator = divmod(int(code), _SIGNATURES_PER_DENOMINATOR)
    return TimeSignature(numerator + 1, _DENOMINATORS[denominator])
