"""Which pieces of whole tracks a training hears: crops of about one length, on bars where they are known. Pure.

A crop is a function of its number and the seed alone, as everything that is drawn for a step (`batch_schedule.py`).
Nothing here reads audio; times are in frames of the generator's latents.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from modal_app.protocol.audio import PreparedAudio
from modal_app.protocol.training import Example
from modal_app.training.batch_schedule import seed_of

_FEWEST_BARS = 4
_BEYOND = 0.25  # of a crop
_WHOLE = 1e-6  # of a frame: what is that near to a whole one is one


@dataclass(frozen=True)
class Stretch:
    """A piece of a track without a break, from frame `first` up to `end`, and where bars begin in the track."""

    track: str
    first: int
    end: int
    downbeats: tuple[float, ...] = ()


@dataclass(frozen=True)
class Crop:
    """So many frames of a track, from frame `first` on."""

    track: str
    first: int
    frames: int

    @property
    def end(self) -> int:
        """The frame behind its last."""
        return self.first + self.frames


def stretches_of(
    examples: Sequence[Example],
    manifests: Mapping[str, PreparedAudio],
    downbeats: Mapping[str, Sequence[float]],
    frames_a_second: float,
) -> list[Stretch]:
    """Return what these examples' segments are together: those that follow each other in one file as one stretch.

    What is no example (a silent segment, one that is held out) ends a stretch, so no crop reaches into it.

    Args:
        examples: segments; in any order.
        manifests: their files, by the hash of the audio.
        downbeats: seconds at which bars begin, ascending, by the hash of the audio; not of every file.
        frames_a_second: of the latents.
    """
    indices: dict[str, set[int]] = {}
    for example in examples:
        indices.setdefault(example.audio_hash, set()).add(example.index)
    stretches = []
    for track, of_track in indices.items():
        manifest = manifests[track]
        beats = tuple(second * frames_a_second for second in downbeats.get(track, ()))
        for first, last in _runs(sorted(of_track)):
            start = manifest.span_of(first)[0] * frames_a_second
            end = manifest.span_of(last)[1] * frames_a_second
            is_last = last == len(manifest.segments) - 1
            stretches.append(
                Stretch(
                    track,
                    first=math.ceil(start - _WHOLE),
                    end=math.ceil(end - _WHOLE) if is_last else math.floor(end + _WHOLE),
                    downbeats=beats,
                )
            )
    return [stretch for stretch in stretches if stretch.end > stretch.first]


class CropOrder:
    """Endless batches of crops. In each round every stretch is drawn from once for each clip that it is long."""

    def __init__(self, stretches: Sequence[Stretch], clip: int, longest: int, size: int, seed: int) -> None:
        """Take stretches, the length of a crop in frames, and what none of them may exceed."""
        self._clip, self._size, self._seed = min(clip, longest), size, seed
        self._stretches = list(stretches)
        self._on_bars = [crops_on_bars(stretch, clip, longest) for stretch in stretches]
        self._slots = [
            (index, part, parts)
            for index, stretch in enumerate(stretches)
            for parts in [_clips_in(stretch, self._clip)]
            for part in range(parts)
        ]
        self._round: tuple[int, list[int]] = (0, self._shuffled(0))

    def batch(self, number: int) -> list[Crop]:
        """Return the batch of this number, from 0; any of them at any time."""
        return [self.crop(number * self._size + place) for place in range(self._size)]

    def crop(self, number: int) -> Crop:
        """Return the crop of this number, from 0; any of them at any time."""
        wanted, place = divmod(number, len(self._slots))
        if self._round[0] != wanted:
            self._round = (wanted, self._shuffled(wanted))
        index, part, parts = self._slots[self._round[1][place]]
        stretch, on_bars = self._stretches[index], self._on_bars[index]
        at = (part + _chance("crop", self._seed, number).random()) / parts  # from 0 to 1: where in the stretch
        if on_bars:
            return on_bars[min(int(at * len(on_bars)), len(on_bars) - 1)]
        frames = min(self._clip, stretch.end - stretch.first)
        last = stretch.end - frames
        # A little beyond both ends, and back: else the first and the last frame would hardly ever be heard.
        beyond = _BEYOND * frames
        start = round(stretch.first - beyond + at * (last - stretch.first + 2 * beyond))
        return Crop(stretch.track, min(max(start, stretch.first), last), frames)

    def _shuffled(self, number: int) -> list[int]:
        order = list(range(len(self._slots)))
        _chance("crops", self._seed, number).shuffle(order)
        return order


def mean_seconds(stretches: Sequence[Stretch], clip: int, longest: int, frames_a_second: float) -> float:
    """Return how long a crop is in the mean, in seconds."""
    weights, frames = 0, 0.0
    for stretch in stretches:
        on_bars = crops_on_bars(stretch, clip, longest)
        lengths = [crop.frames for crop in on_bars] or [min(clip, longest, stretch.end - stretch.first)]
        parts = _clips_in(stretch, min(clip, longest))
        weights += parts
        frames += parts * sum(lengths) / len(lengths)
    return frames / max(weights, 1) / frames_a_second


def crops_on_bars(stretch: Stretch, clip: int, longest: int) -> list[Crop]:
    """Return a stretch's crops of whole bars, by where they begin; empty where there are not even four bars in it.

    From each downbeat on as many bars are taken (4, 8, 16 …) as come nearest to `clip` and are not longer than
    `longest`. What no whole bars reach, an upbeat or an ending, is in a crop that goes to the end of the stretch
    itself: so every frame is in one of them, and each begins at a downbeat or where the stretch begins. Where no bars
    are known for long, behind the last downbeat, crops follow each other.
    """
    beats = [beat for beat in stretch.downbeats if stretch.first - 0.5 <= beat <= stretch.end + 0.5]
    found = [_bars_from(beats, index, clip, longest) for index in range(len(beats))]
    # Near the end only a few bars are left: taken where there is nothing better.
    whole = [(beat, length) for beat, length in found if 3 * length >= 2 * clip or 2 * length > longest] or [
        (beat, length) for beat, length in found if length
    ]
    crops = {_within(stretch, beat, beat + length, longest) for beat, length in whole if length}
    if not crops:
        return []
    for first, end in list(_gaps(stretch, crops)):
        crops |= set(_filling(stretch, beats, first, end, clip, longest))
    return sorted(crops, key=lambda crop: (crop.first, crop.frames))


def _runs(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last of the indices that follow each other."""
    borders = [place for place, (one, other) in enumerate(pairwise(indices), 1) if other != one + 1]
    for start, end in pairwise([0, *borders, len(indices)]):
        yield indices[start], indices[end - 1]


def _clips_in(stretch: Stretch, clip: int) -> int:
    return max(1, round((stretch.end - stretch.first) / clip))


def _bars_from(beats: Sequence[float], index: int, clip: int, longest: int) -> tuple[float, float]:
    """Return a downbeat, and the length of the bars from it on that is nearest to `clip`; 0 where there is none."""
    best, bars = 0.0, _FEWEST_BARS
    while index + bars < len(beats):
        length = beats[index + bars] - beats[index]
        if length > longest + 0.5:
            break
        if not best or abs(length - clip) < abs(best - clip):
            best = length
        bars *= 2
    return beats[index], best


def _within(stretch: Stretch, start: float, end: float, longest: int) -> Crop:
    first = min(max(round(start), stretch.first), stretch.end - 1)
    frames = min(round(end - start), stretch.end - first, longest)
    return Crop(stretch.track, first, max(frames, 1))


def _gaps(stretch: Stretch, crops: set[Crop]) -> Iterator[tuple[int, int]]:
    """Yield what of the stretch is in none of the crops."""
    reached = stretch.first
    for crop in sorted(crops, key=lambda crop: crop.first):
        if crop.first > reached:
            yield reached, crop.first
        reached = max(reached, crop.end)
    if reached < stretch.end:
        yield reached, stretch.end


def _filling(stretch: Stretch, beats: Sequence[float], first: int, end: int, clip: int, longest: int) -> Iterator[Crop]:
    """Yield crops that reach over a gap: into the bars beside it, so that they are about as long as the others."""
    if end == stretch.end and first > stretch.first:
        starts = [start for start in map(round, beats) if stretch.first <= start <= first and end - start <= longest]
        if starts:
            start = min(starts, key=lambda start: abs(end - start - clip))
            yield Crop(stretch.track, start, end - start)
            return
    while first < end:
        ends = [beat for beat in beats if end - 0.5 <= beat <= first + longest]
        reach = min(ends or [first + min(clip, longest)], key=lambda beat: abs(beat - first - clip))
        crop = _within(stretch, first, reach, longest)
        yield crop
        first = crop.end


def _chance(*name: str | int) -> random.Random:
    return random.Random(seed_of(*name))  # noqa: S311 - not for secrets
