"""The key of a set: what it was told to keep to, else what was chosen in it, its clips' own, or what its notes say.

Live numbers its scales from 12.1 on, in the order of its menu and of the Live Object Model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dawa_assets.ableton.live_set import LiveSet, Scale

Origin = Literal["in key", "chosen", "clips", "notes"]

# Krumhansl and Kessler's ratings of how well each pitch class fits a key, from the tonic up.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
_ROOTS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# These rest on five sets whose key is known, two real ones and the example's three: too few to call them measured. Of
# the two wrong guesses one has a correlation of 0.865 (with a margin of 0.079, the relative key), the other a margin of
# 0.17 (with a correlation of 0.74); of the three right ones a single one, with 0.92 and 0.16, lies above both limits.
# They are set so that a guess is rather left out than wrong.
LEAST_CORRELATION = 0.9
LEAST_MARGIN = 0.1
_LEAST_NOTES = 24
_LEAST_PITCH_CLASSES = 5


@dataclass(frozen=True, slots=True)
class Key:
    """A key and what says so; from notes with the correlation (0..1) and how far behind the next key is."""

    scale: Scale
    origin: Origin
    correlation: float | None = None
    margin: float | None = None


def key_of(live_set: LiveSet) -> Key | None:
    """Return the key of a set, by the surest source that says any; None where none does."""
    if live_set.scale is not None:
        return Key(live_set.scale, "in key" if live_set.in_key else "chosen")
    total = sum(live_set.clip_scales.values())
    for scale, beats in live_set.clip_scales.items():
        if beats > total / 2:
            return Key(scale, "clips")
    found = key_of_notes(pitch_classes(live_set))
    if found is None or found.correlation is None or found.margin is None:
        return None
    return found if found.correlation >= LEAST_CORRELATION and found.margin >= LEAST_MARGIN else None


def pitch_classes(live_set: LiveSet) -> list[float]:
    """For how many beats each pitch class from C sounds, on tracks that play pitches; zeros where too little does."""
    beats = [0.0] * 12
    notes = 0
    for track in live_set.sounding_tracks:
        if track.pads or track.notes_unsure:
            continue
        for pitch, played in track.notes.items():
            beats[pitch % 12] += played.beats
            notes += played.notes
    sounding = sum(each > 0 for each in beats)
    return beats if notes >= _LEAST_NOTES and sounding >= _LEAST_PITCH_CLASSES else [0.0] * 12


def key_of_notes(beats: Sequence[float]) -> Key | None:
    """Return the major or minor key that the twelve pitch classes fit best; None where there are none."""
    if not any(beats):
        return None
    fits: dict[tuple[int, str], float] = {
        (root, name): _correlation([beats[(root + step) % 12] for step in range(12)], profile)
        for name, profile in (("Major", _MAJOR), ("Minor", _MINOR))
        for root in range(12)
    }
    best, second = sorted(fits, key=lambda key: -fits[key])[:2]
    scale = Scale(_ROOTS[best[0]], best[1])
    return Key(scale, "notes", round(fits[best], 3), round(fits[best] - fits[second], 3))


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    mean_one, mean_other = math.fsum(one) / 12, math.fsum(other) / 12
    spread_one = math.fsum((each - mean_one) ** 2 for each in one)
    spread_other = math.fsum((each - mean_other) ** 2 for each in other)
    both = math.fsum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True))
    return both / math.sqrt(spread_one * spread_other) if spread_one > 0 else 0.0
