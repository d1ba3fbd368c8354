"""Tempo and metre over a song: seconds and bars at any beat, and what holds for the most of it.

Pure arithmetic on beats (quarters). Live draws the tempo as straight lines between its points; what a line's curve
adds is left out. Before the first point the tempo is the first point's, after the last the last one's.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from modal_app.training.span_facts import united as united_spans

SLOWEST, FASTEST = 20.0, 999.0
MAX_BARS = 20_000
# A tempo that is held for less than this part of the time is not the song's.
_LEAST_HELD = 0.05
_CANDIDATES = 16
_HALF_BPM = 0.5


@dataclass(frozen=True, slots=True)
class TempoPoint:
    """A point of the automated tempo: `time` in quarter beats."""

    time: float
    bpm: float


@dataclass(frozen=True, slots=True)
class TimeSignature:
    """Beats in a bar and the note that is one beat."""

    numerator: int
    denominator: int

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def beats_per_bar(self) -> float:
        """Length of a bar in quarter beats."""
        return self.numerator * 4 / self.denominator


@dataclass(frozen=True, slots=True)
class MetreChange:
    """Where another time signature begins to hold: `time` in quarter beats."""

    time: float
    signature: TimeSignature


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a song in which the tempo goes in a straight line from one value to another."""

    beats: float
    first_bpm: float
    last_bpm: float

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return _seconds(self.beats, self.first_bpm, self.last_bpm)

    def seconds_within(self, lowest: float, highest: float) -> float:
        """For how long its tempo is between two values."""
        low, high = sorted((self.first_bpm, self.last_bpm))
        if high - low < 1e-9:
            return self.seconds if lowest <= low <= highest else 0.0
        start, end = max(low, lowest), min(high, highest)
        return _seconds(self.beats * (end - start) / (high - low), start, end) if end > start else 0.0


class TempoMap:
    """The tempo at every beat of a song."""

    def __init__(self, points: Sequence[TempoPoint], manual: float) -> None:
        ordered = sorted(points, key=lambda point: point.time)
        self._times = [point.time for point in ordered]
        self._bpms = [min(max(point.bpm, SLOWEST), FASTEST) for point in ordered]
        self._manual = min(max(manual, SLOWEST), FASTEST)
        self._elapsed = [0.0]  # seconds from the first point to each
        for (beat, bpm), (after, next_bpm) in pairwise(zip(self._times, self._bpms, strict=True)):
            self._elapsed.append(self._elapsed[-1] + _seconds(after - beat, bpm, next_bpm))

    def stretches(self, start: float, end: float) -> Iterator[Stretch]:
        """Yield the straight pieces between two beats, in order."""
        here = start
        index = bisect_right(self._times, start)
        while here < end:
            after = min(self._times[index], end) if index < len(self._times) else end
            if after > here:
                yield Stretch(after - here, self._at(here, index), self._at(after, index))
            here, index = max(here, after), index + 1

    def seconds(self, start: float, end: float) -> float:
        """Return how long the song takes from one beat to another."""
        return math.fsum(stretch.seconds for stretch in self.stretches(start, end))

    def seconds_at(self, beat: float) -> float:
        """Return when a beat sounds: beat 0 at 0 s, earlier ones below 0."""
        return self._since_first_point(beat) - self._since_first_point(0.0)

    def beat_at(self, seconds: float) -> float:
        """Return which beat sounds at a time: the inverse of `seconds_at`."""
        since = seconds + self._since_first_point(0.0)
        index = bisect_right(self._elapsed, since) if self._times and since >= 0 else 0
        if index == 0 or index == len(self._times):
            at = self._times[index - 1] if index else (self._times[0] if self._times else 0.0)
            elapsed = self._elapsed[index - 1] if index else 0.0
            bpm = self._bpms[index - 1] if index else (self._bpms[0] if self._times else self._manual)
            return at + (since - elapsed) * bpm / 60
        return self._times[index - 1] + _beats(
            since - self._elapsed[index - 1],
            self._times[index] - self._times[index - 1],
            self._bpms[index - 1],
            self._bpms[index],
        )

    def prevailing(self, ranges: Iterable[tuple[float, float]]) -> Prevailing | None:
        """Which tempo holds for the most of these ranges of beats (apart from each other), and between what it moves.

        That is the one that is held the longest, with what moves by within half a BPM; where hardly any is held, the
        median over time. None where the ranges are empty.
        """
        pieces = [stretch for start, end in ranges for stretch in self.stretches(start, end)]
        total = math.fsum(piece.seconds for piece in pieces)
        if total <= 0:
            return None
        held: dict[float, float] = {}
        for piece in pieces:
            if abs(piece.first_bpm - piece.last_bpm) < 1e-6:
                bpm = round(piece.first_bpm, 2)
                held[bpm] = held.get(bpm, 0.0) + piece.seconds
        ends = [bpm for piece in pieces for bpm in (piece.first_bpm, piece.last_bpm)]
        best, longest = 0.0, 0.0
        for bpm in sorted(held, key=lambda bpm: (-held[bpm], bpm))[:_CANDIDATES]:
            seconds = math.fsum(piece.seconds_within(bpm - _HALF_BPM, bpm + _HALF_BPM) for piece in pieces)
            if seconds > longest + 1e-9:
                best, longest = bpm, seconds
        if longest < _LEAST_HELD * total:
            best = _median(pieces, total)
        return Prevailing(round(best, 2), round(min(ends), 2), round(max(ends), 2))

    def _since_first_point(self, beat: float) -> float:
        index = bisect_right(self._times, beat)
        if index == 0:
            return (beat - (self._times[0] if self._times else 0.0)) * 60 / self._at(beat, 0)
        before = self._times[index - 1]
        return self._elapsed[index - 1] + _seconds(beat - before, self._bpms[index - 1], self._at(beat, index))

    def _at(self, beat: float, index: int) -> float:
        """Return the tempo at a beat that lies between the point before `index` and the one at it."""
        if not self._times:
            return self._manual
        if index == 0:
            return self._bpms[0]
        if index == len(self._times):
            return self._bpms[-1]
        before, after = self._times[index - 1], self._times[index]
        part = (beat - before) / (after - before) if after > before else 1.0
        return self._bpms[index - 1] + (self._bpms[index] - self._bpms[index - 1]) * part


@dataclass(frozen=True, slots=True)
class Prevailing:
    """The tempo of most of a song, with the lowest and the highest that is played."""

    bpm: float
    lowest: float
    highest: float


class MetreMap:
    """Bars under changing time signatures. A change begins a bar; one that is cut short by it counts as a whole."""

    def __init__(self, first: TimeSignature, changes: Sequence[MetreChange]) -> None:
        starts: list[tuple[float, TimeSignature]] = [(0.0, first)]
        last_at = {max(change.time, 0.0): change.signature for change in sorted(changes, key=lambda each: each.time)}
        for time, signature in last_at.items():
            if time == 0:
                starts[0] = (0.0, signature)
            elif signature != starts[-1][1]:
                starts.append((time, signature))
        self._times = [time for time, _ in starts]
        self._signatures = [signature for _, signature in starts]
        self._bars = [0]
        for (time, signature), (after, _) in pairwise(starts):
            self._bars.append(self._bars[-1] + math.ceil((after - time) / signature.beats_per_bar - 1e-6))

    @property
    def changes(self) -> list[tuple[float, TimeSignature]]:
        """Every time signature with the beat at which it begins to hold."""
        return list(zip(self._times, self._signatures, strict=True))

    def bars(self, beat: float) -> float:
        """Return how many bars lie before a beat; below zero before the song's beginning."""
        index = max(bisect_right(self._times, beat) - 1, 0)
        inside = (beat - self._times[index]) / self._signatures[index].beats_per_bar
        if index + 1 < len(self._times):  # in a bar that the next change cuts short it doesn't get beyond that change
            inside = min(inside, self._bars[index + 1] - self._bars[index])
        return self._bars[index] + inside

    def beat(self, bar: int) -> float:
        """Return where a bar begins, counted from 0."""
        index = max(bisect_right(self._bars, bar) - 1, 0)
        return self._times[index] + (bar - self._bars[index]) * self._signatures[index].beats_per_bar

    def prevailing(self, length: float) -> TimeSignature:
        """Return the time signature that holds for the most of a song of so many beats."""
        held: dict[TimeSignature, float] = {}
        for time, after, signature in zip(self._times, [*self._times[1:], math.inf], self._signatures, strict=True):
            lasting = max(min(after, length) - time, 0.0)
            held[signature] = held.get(signature, 0.0) + lasting
        return max(held, key=lambda signature: held[signature])


def bar_times(tempo: TempoMap, metre: MetreMap, bars: float) -> list[float]:
    """Return when each of so many bars (20,000 at most) begins, and when the last one ends, in seconds."""
    count = min(math.ceil(bars - 1e-6), MAX_BARS)
    return [round(tempo.seconds_at(metre.beat(bar)), 6) for bar in range(count + 1)]


def united(ranges: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the ranges in order, with those that touch made into one; what lies before beat 0 is cut off."""
    return united_spans((max(start, 0.0), end) for start, end in ranges if end > max(start, 0.0))


def _seconds(beats: float, first_bpm: float, last_bpm: float) -> float:
    change = last_bpm - first_bpm
    if abs(change) < 1e-6:
        return beats * 120 / (first_bpm + last_bpm)
    return 60 * beats / change * math.log(last_bpm / first_bpm)


def _beats(seconds: float, beats: float, first_bpm: float, last_bpm: float) -> float:
    """Return how far it gets in so many seconds of a stretch of so many beats."""
    change = last_bpm - first_bpm
    if abs(change) < 1e-6:
        return seconds * (first_bpm + last_bpm) / 120
    return beats / change * first_bpm * math.expm1(seconds * change / (60 * beats))


def _median(pieces: Sequence[Stretch], total: float) -> float:
    low, high = SLOWEST, FASTEST
    for _ in range(40):
        middle = (low + high) / 2
        if math.fsum(piece.seconds_within(0.0, middle) for piece in pieces) < total / 2:
            low = middle
        else:
            high = middle
    return (low + high) / 2
