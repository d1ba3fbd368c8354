"""Notes as they are played: which pitch how often and how long, with the repetitions that a clip's loop makes.

Bounded whatever a set holds: 128 pitches with two numbers each, whether a clip has one note or a million.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from dawa_assets.ableton.live_set import Played

PITCHES = 128
# A loop of a hair's breadth under a clip of hours would count billions.
MAX_REPETITIONS = 100_000


class Tally:
    """Notes and beats by pitch; empty where nothing is played."""

    __slots__ = ("_beats", "_notes", "_played")

    def __init__(self) -> None:
        self._played: dict[int, list[float]] = {}
        self._notes = 0.0
        self._beats = 0.0

    def __bool__(self) -> bool:
        return bool(self._played)

    def add(self, pitch: int, notes: float, beats: float) -> None:
        """Count notes of one pitch; pitches that MIDI does not have are not heard."""
        if 0 <= pitch < PITCHES and notes > 0:
            known = self._played.setdefault(pitch, [0.0, 0.0])
            known[0] += notes
            known[1] += beats
            self._notes += notes
            self._beats += beats

    def add_all(self, other: Tally, semitones: int = 0) -> None:
        """Count another tally's notes too, that much higher."""
        for pitch, (notes, beats) in other._played.items():
            self.add(pitch + semitones, notes, beats)

    def shifted(self, semitones: int) -> Tally:
        """Return the same notes that much higher."""
        moved = Tally()
        moved.add_all(self, semitones)
        return moved

    def within(self, lowest: int, highest: int) -> Tally:
        """Return the notes of these pitches alone."""
        kept = Tally()
        for pitch, (notes, beats) in self._played.items():
            if lowest <= pitch <= highest:
                kept.add(pitch, notes, beats)
        return kept

    def only(self, pitch: int, played_at: int) -> Tally:
        """Return the notes of one pitch, played at another."""
        kept = Tally()
        if pitch in self._played:
            kept.add(played_at, *self._played[pitch])
        return kept

    def total(self) -> Played:
        """Return all notes together."""
        return Played(round(self._notes), round(self._beats, 4))

    def by_pitch(self) -> dict[int, Played]:
        """Return what is played of each pitch, the lowest first."""
        return {pitch: Played(round(n), round(beats, 4)) for pitch, (n, beats) in sorted(self._played.items())}


class Window:
    """What of a clip's content is played, and how often: everything, until `set` says more.

    Live plays a clip for `duration` beats from `first`; where it loops, it goes back to `start` at each `end`.
    """

    __slots__ = ("duration", "end", "first", "length", "loops", "start", "whole_repetitions")

    def __init__(
        self,
        start: float = -math.inf,
        end: float = math.inf,
        first: float = -math.inf,
        duration: float = math.inf,
        *,
        loops: bool = False,
    ) -> None:
        self.start, self.end, self.first, self.duration = start, end, first, duration
        self.length = end - start
        self.loops = loops and self.length > 0 and math.isfinite(self.length) and math.isfinite(first)
        # Where a loop is played from its start so many times to the end, every note in it is; else 0.
        times = duration / self.length if self.loops and first == start else 0.0
        self.whole_repetitions = int(times) if times == times // 1 and 1 <= times <= MAX_REPETITIONS else 0

    def plays(self, time: float) -> int:
        """Return how often a note at this beat of the clip's content is played."""
        if not self.loops:
            return int(self.start <= time < self.end)
        after = time - self.first
        if after >= 0 and time < self.end:
            if time < self.start:
                return int(after < self.duration)
        elif self.start <= time < self.first:
            after += self.length * math.ceil(-after / self.length)
        else:
            return 0
        left = self.duration - after
        if left <= 0:
            return 0
        # A hair is taken off, so that a note at the very end of a repetition is not counted for float noise.
        times = left / self.length - 1e-9
        return 1 if times < 1 else MAX_REPETITIONS if times > MAX_REPETITIONS else 1 + int(times)

    def occurrences(self, time: float) -> Iterator[float]:
        """Yield how many beats after the clip's start a note at this beat of its content is played, each time."""
        times = self.plays(time)
        first = self.first if math.isfinite(self.first) else 0.0
        after = time - first
        if not self.loops:
            if times and 0 <= after < self.duration:
                yield after
            return
        if after < 0:
            after += self.length * math.ceil(-after / self.length)
        for number in range(times):
            yield after + number * self.length
