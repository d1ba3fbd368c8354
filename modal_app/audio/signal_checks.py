"""What in a signal is no music: no numbers, silence, dead channels, antiphase, an offset, a wrong layout's noise.

Sums over blocks of a second or so: what they cost is little beside decoding.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from modal_app.audio.pcm import Signal
from modal_app.audio.quality_record import Notice

_GARBAGE = 1e6  # +120 dBFS: no sound, but bytes that happen to be a float
_SILENT = 10 ** (-60 / 10)  # of the mean square: what is below it is not judged
_DEAD = 10 ** (-40 / 10)  # a channel this far below the other one is dead
_ANTIPHASE = -0.9  # correlation of the sides
_ANTIPHASE_SECONDS = 5.0
_OFFSET = 0.02  # of full scale; converters leave a hundredth of that
_HALF = 0.5
_LOUD = 0.1  # mean square of full-scale noise is a third
_STEADY = 0.2  # by how much its blocks' levels differ, relative to their mean
_FLAT = 0.7  # mean over the geometric mean of a spectrum: 1 is white
_LOOKED_AT = 24  # blocks whose spectrum is looked at, at most
_WINDOW = 2_048
_WINDOWS = 8
_NAMES = {0: "left", 1: "right"}


@dataclass
class SignalChecks:
    """Takes a file's blocks one by one; `findings` are complete after the last one."""

    sample_rate: int
    channels: int
    garbage: int = 0
    _samples: int = 0
    _squares: list[list[float]] = field(default_factory=list)
    """Mean squares of each block, by channel."""
    _levels: list[float] = field(default_factory=list)
    """Mean square of each block."""
    _offsets: list[tuple[float, ...]] = field(default_factory=list)
    _lengths: list[int] = field(default_factory=list)
    _opposed: int = 0
    _cancelled: float = 0.0
    _flatness: list[float] = field(default_factory=list)
    _next_spectrum: int = 0

    def take(self, channels: Signal) -> Signal:
        """Take a block of shape (channels, n) into account; gives it with what is no number, or no sound, zeroed."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._taken(channels)

    def _taken(self, channels: Signal) -> Signal:
        squares = [_product(channel, channel) for channel in channels]
        if not sum(squares) < _GARBAGE**2:  # also where it is NaN: one cheap sum instead of a look at each sample
            good = np.abs(channels) < _GARBAGE
            self.garbage += int(channels.size - np.count_nonzero(good))
            channels = np.where(good, channels, np.float32(0))
            squares = [_product(channel, channel) for channel in channels]
        if channels.shape[1]:
            self._add(channels, squares)
        return channels

    def _add(self, channels: Signal, squares: list[float]) -> None:
        samples = channels.shape[1]
        self._squares.append([square / samples for square in squares])
        level = sum(squares) / len(squares) / samples
        self._samples += samples
        self._lengths.append(samples)
        self._levels.append(level)
        self._offsets.append(tuple(float(np.add.reduce(channel)) / samples for channel in channels[:2]))
        if len(squares) == 2 and level > _SILENT:
            both = math.sqrt(squares[0] * squares[1])
            correlation = _product(channels[0], channels[1]) / both if both else 0.0
            if correlation < _ANTIPHASE and min(squares) > _DEAD * max(squares):
                self._opposed += samples
                self._cancelled += correlation * samples
        if level > _LOUD and len(self._levels) > self._next_spectrum:
            self._flatness.append(_flatness(channels[0]))
            self._next_spectrum = len(self._levels) + len(self._levels) // _LOOKED_AT

    def findings(self) -> Iterator[str]:
        """Yield one line for each thing that is wrong, with its number."""
        for each in self.notices():
            yield each.line

    def notices(self) -> Iterator[Notice]:
        """Yield the same with their kinds and numbers."""
        if not self._samples:
            return
        total = self._samples * self.channels
        if self.garbage:
            share = f", {self.garbage / total:.0%} of all," if self.garbage > total * _HALF else ""
            line = f"{self.garbage} samples{share} are not numbers and were set to zero"
            yield Notice("no_numbers", self.garbage, line)
        level = float(np.average(self._levels, weights=self._lengths))
        if level == 0:
            seconds = self._samples / self.sample_rate
            yield Notice("silent", seconds, f"it holds nothing but digital silence ({seconds:.1f} s)")
            return
        yield from self._dead()
        if self._opposed >= min(_ANTIPHASE_SECONDS * self.sample_rate, self._samples * _HALF) > 0:
            seconds, correlation = self._opposed / self.sample_rate, self._cancelled / self._opposed
            line = (
                f"its channels are in antiphase and cancel in mono for {seconds:.1f} of "
                f"{self._samples / self.sample_rate:.1f} s (correlation {correlation:.2f})"
            )
            yield Notice("antiphase", round(correlation, 3), line)
        offset = self._offset()
        if abs(offset) >= _OFFSET:
            line = f"a constant offset of {offset:.2g} takes up the level; remove it (DC filter) before exporting"
            yield Notice("dc_offset", round(offset, 4), line)
        if self._is_noise():
            decibels = 10 * math.log10(level)
            line = (
                f"it sounds like noise from first to last ({decibels:.0f} dBFS, spectrum flat to "
                f"{min(self._flatness):.0%}): was it written in the format that its header names?"
            )
            yield Notice("noise", round(min(self._flatness), 3), line)

    def _dead(self) -> Iterator[Notice]:
        """Channels that are silent from first to last, while others are not; one glitch makes no channel loud."""
        if {len(squares) for squares in self._squares} != {self.channels} or self.channels < 2:
            return
        levels = np.array(self._squares)
        quiet, usual = levels.max(axis=0), np.median(levels, axis=0)
        dead = np.flatnonzero(quiet <= _DEAD * 1e-2 * usual.max())
        if not len(dead) or len(dead) == self.channels or usual.max() == 0:
            return
        if self.channels == 2:
            at = int(dead[0])
            below = (
                f"{10 * math.log10(usual.max() / quiet[at]):.0f} dB below the other" if quiet[at] else "digital silence"
            )
            yield Notice("dead_channel", 1, f"its {_NAMES[at]} channel is dead ({below})")
        elif len(dead) * 2 > self.channels:
            yield Notice("dead_channel", len(dead), f"{len(dead)} of its {self.channels} channels are silent")

    def _offset(self) -> float:
        """The offset that holds through the file: of each channel the middle one of its blocks', so no glitch's."""
        columns = zip(*(each for each in self._offsets if len(each) == len(self._offsets[0])), strict=True)
        return max((float(np.median(column)) for column in columns), key=abs, default=0.0)

    def _is_noise(self) -> bool:
        """Full-band, flat, and as loud at each moment as at any other: the bytes of another layout, not music."""
        whole = [
            level for level, length in zip(self._levels, self._lengths, strict=True) if length * 8 > self.sample_rate
        ]
        if not self._flatness or not whole:
            return False
        mean = sum(whole) / len(whole)
        steady = max(whole) - min(whole) <= _STEADY * mean
        return mean > _LOUD and steady and min(self._flatness) > _FLAT


def _product(one: Signal, other: Signal) -> float:
    """Return the sum of products. Not by BLAS: its threads wait busily and cost more than they help."""
    return float(np.einsum("i,i->", one, other))


def _flatness(signal: Signal) -> float:
    """Return how white a spectrum is: 1 for noise, near 0 for tones."""
    if len(signal) < _WINDOW * _WINDOWS:
        return 0.0
    step = (len(signal) - _WINDOW) // (_WINDOWS - 1)
    windows = np.stack([signal[at * step : at * step + _WINDOW] for at in range(_WINDOWS)])
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), axis=1))).mean(axis=0)[8:-8] + 1e-12
    return float(np.exp(np.log(power).mean()) / power.mean())
