"""The fingerprint of a sound: the peaks of its spectrum, by which it is known again after coding, pitching or cutting.

Peaks are Wang's (An industrial-strength audio search algorithm, 2003), with time and pitch between the grid's points.
Three of them make a landmark that neither pitch nor speed change, as in Six and Leman's Panako (2014): two intervals
and the ratio of two spans. It is taken from the stream that is decoded anyway, in a few hundredths of a second for a
minute of sound, and needs no more than numpy and scipy; `landmarks.py` has audfprint2's, denser and slower, for what a
generator plays. Looking for fingerprints among others is not done here.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modal_app.audio.pcm import Signal

VERSION = "fingerprint-v1"
SAMPLE_RATE = 11_025
FRAME_SECONDS = 256 / SAMPLE_RATE

_WINDOW, _HOP = 1_024, 256
_BINS = slice(18, 340)  # 190 to 3,660 Hz: what every codec keeps, and where a bin is less than a semitone
_AROUND_FRAMES, _AROUND_BINS = 7, 10  # within which a peak is the highest: some 30 of them a second
_LOUDEST_SINE = (_WINDOW / 4) ** 2
_FLOOR = _LOUDEST_SINE * 1e-11  # a peak of −110 dBFS is the dither of 16 bits
_FRAMES_AT_ONCE = 1_024
_TIME_STEPS, _PITCH_STEPS = 4, 20  # to a frame, to a semitone: what is kept of both

_FAN = 3  # peaks after each one that it makes landmarks with
_NEXT_PEAKS = 40  # those are looked for among
_SPAN_FRAMES = (2.5, 70.0)
_INTERVAL = 14.0  # semitones

Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Fingerprint:
    """Peaks of a sound in the order of time: frames of `FRAME_SECONDS`, and semitones over one bin."""

    frames: Numbers
    pitches: Numbers

    def to_bytes(self) -> bytes:
        """Return it as it is stored: some 100 bytes a second of music."""
        times = np.rint(self.frames * _TIME_STEPS).astype(np.int64)
        steps = np.diff(times, prepend=0).astype("<u4")
        pitches = np.rint(self.pitches * _PITCH_STEPS).astype("<u2")
        planes = steps.view(np.uint8).reshape(-1, 4).T.tobytes() + pitches.view(np.uint8).reshape(-1, 2).T.tobytes()
        return struct.pack("<I", len(steps)) + zlib.compress(planes, 6)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Fingerprint":
        """Read what `to_bytes` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            (count,) = struct.unpack_from("<I", stored)
            planes = np.frombuffer(zlib.decompress(stored[4:]), np.uint8)
            steps = np.ascontiguousarray(planes[: 4 * count].reshape(4, count).T).view("<u4").reshape(-1)
            pitches = np.ascontiguousarray(planes[4 * count :].reshape(2, count).T).view("<u2").reshape(-1)
        except (struct.error, zlib.error) as error:
            raise ValueError(f"is no fingerprint: {error}") from None
        return cls(
            (np.cumsum(steps, dtype=np.int64) / _TIME_STEPS).astype(np.float32),
            (pitches / _PITCH_STEPS).astype(np.float32),
        )


@dataclass(frozen=True)
class Landmarks:
    """Of a sound, n of them: where the first peak of each lies, and what its three peaks are to each other.

    `spans` are frames from the first peak to the third, `ratios` how far along the second one is, `second` and `third`
    their intervals over the first in semitones.
    """

    frames: Numbers
    pitches: Numbers
    second: Numbers
    third: Numbers
    ratios: Numbers
    spans: Numbers

    def part(self, at: npt.NDArray[np.intp]) -> "Landmarks":
        """Return those at some places."""
        return Landmarks(*(each[at] for each in vars(self).values()))


class Fingerprinter:
    """Takes a mono signal block by block; `fingerprint` is complete after the last one. Memory is flat but for it."""

    def __init__(self, sample_rate: int, weights: Numbers | None = None) -> None:
        """Begin with a signal of this rate; `weights` of the spectrum's bins are for `weighted_levels`."""
        import soxr

        self._stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="LQ")
        self._shape = np.hanning(_WINDOW).astype(np.float32)
        self._held: list[Signal] = []
        self._samples = 0
        self._rest = np.zeros(0, np.float32)
        self._power = np.zeros((0, _BINS.stop - _BINS.start), np.float32)
        self._first = 0  # the frame that `_power` begins with
        self._found: list[tuple[Numbers, Numbers]] = []
        self._weights = weights
        self._levels: list[Numbers] = []
        self._weighted: list[Numbers] = []

    @staticmethod
    def hertz() -> npt.NDArray[np.float64]:
        """Return the frequencies of the spectrum's bins."""
        return np.arange(_WINDOW // 2 + 1) * SAMPLE_RATE / _WINDOW

    def levels(self) -> Numbers:
        """Return the mean square of each frame."""
        return np.concatenate([np.zeros(0, np.float32), *self._levels])

    def weighted_levels(self) -> Numbers:
        """Return the same with every bin weighted."""
        return np.concatenate([np.zeros(0, np.float32), *self._weighted])

    def feed(self, block: Signal) -> None:
        """Go on with a block of shape (n,)."""
        self._take(self._stream.resample_chunk(np.ascontiguousarray(block)))

    def fingerprint(self) -> Fingerprint:
        """Return it, when all was heard."""
        self._take(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        self._transform()
        self._pick(len(self._power))
        frames = np.concatenate([np.zeros(0, np.float32), *(each for each, _ in self._found)])
        pitches = np.concatenate([np.zeros(0, np.float32), *(each for _, each in self._found)])
        order = np.argsort(frames, kind="stable")
        return Fingerprint(frames[order], pitches[order])

    def _take(self, signal: Signal) -> None:
        self._held.append(signal)
        self._samples += len(signal)
        if self._samples >= _FRAMES_AT_ONCE * _HOP:
            self._transform()
            self._pick(len(self._power) - _AROUND_FRAMES)

    def _transform(self) -> None:
        from scipy.fft import rfft

        signal = np.concatenate([self._rest, *self._held])
        self._held, self._samples = [], 0
        frames = max(0, (len(signal) - _WINDOW) // _HOP + 1)
        self._rest = signal[frames * _HOP :]
        if frames:
            windows = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP] * self._shape
            spectrum = rfft(windows, axis=1)
            power = spectrum.real**2 + spectrum.imag**2
            self._power = np.concatenate([self._power, power[:, _BINS]])
            if self._weights is not None:
                scale = np.float32(2 / (_WINDOW * float(np.sum(self._shape**2))))
                self._levels.append(power.sum(axis=1) * scale)
                self._weighted.append(np.einsum("fb,b->f", power, self._weights) * scale)

    def _pick(self, end: int) -> None:
        """Pick the peaks of the frames before `end` whose surroundings are there, and keep what the next ones need."""
        begin = 0 if self._first == 0 else _AROUND_FRAMES
        if end <= begin:
            return
        power = self._power
        highest = _running_maximum(_running_maximum(power, _AROUND_FRAMES).T, _AROUND_BINS).T
        frames, bins = np.nonzero((power == highest) & (power > _FLOOR))
        inside = (frames >= max(begin, 1)) & (frames < min(end, len(power) - 1))
        inside &= (bins > 0) & (bins < power.shape[1] - 1)
        frames, bins = frames[inside], bins[inside]
        here, before, after, under, over = (
            np.log(power[frames + at, bins + by] + _FLOOR * 1e-3)
            for at, by in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
        )
        self._found.append(
            (
                (self._first + frames + _vertex(before, here, after)).astype(np.float32),
                (12 * np.log2(_BINS.start + bins + _vertex(under, here, over))).astype(np.float32),
            )
        )
        kept = max(0, end - _AROUND_FRAMES)
        self._power, self._first = power[kept:], self._first + kept


def landmarks_of(fingerprint: Fingerprint) -> Landmarks:
    """Return a sound's landmarks: each peak with every two of the next few that are near enough."""
    frames, pitches = fingerprint.frames, fingerprint.pitches
    count = len(frames)
    chosen = np.full((count, _FAN), -1, np.int64)
    filled = np.zeros(count, np.int64)
    for ahead in range(1, min(_NEXT_PEAKS, count)):
        span = frames[ahead:] - frames[:-ahead]
        near = (span >= _SPAN_FRAMES[0]) & (span <= _SPAN_FRAMES[1]) & (filled[:-ahead] < _FAN)
        near &= np.abs(pitches[ahead:] - pitches[:-ahead]) < _INTERVAL
        at = np.flatnonzero(near)
        chosen[at, filled[at]] = at + ahead
        filled[at] += 1
    places = [np.stack([at, chosen[at, second], chosen[at, third]]) for at, second, third in _corners(chosen)]
    firsts, seconds, thirds = np.concatenate([np.zeros((3, 0), np.int64), *places], axis=1)
    spans = frames[thirds] - frames[firsts]
    return Landmarks(
        frames=frames[firsts],
        pitches=pitches[firsts],
        second=pitches[seconds] - pitches[firsts],
        third=pitches[thirds] - pitches[firsts],
        ratios=(frames[seconds] - frames[firsts]) / spans,
        spans=spans,
    )


def _corners(chosen: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.intp], int, int]]:
    for second in range(_FAN):
        for third in range(second + 1, _FAN):
            yield np.flatnonzero(chosen[:, third] >= 0), second, third


def _running_maximum(rows: Numbers, around: int) -> Numbers:
    """Return for each row the largest of those within `around`: by doubling, a fifth of what scipy's filter takes."""
    wanted, width = 2 * around + 1, 1
    edge = np.zeros((around, rows.shape[1]), rows.dtype)
    found = np.concatenate([edge, rows, edge])
    while width * 2 <= wanted:
        found = np.maximum(found[:-width], found[width:])
        width *= 2
    if width < wanted:
        found = np.maximum(found[: width - wanted], found[wanted - width :])
    return found


def _vertex(before: Numbers, here: Numbers, after: Numbers) -> Numbers:
    """Return where the parabola through three points is highest: within half a step of the middle one."""
    bend = np.minimum(before - 2 * here + after, np.float32(-1e-9))
    vertex: Numbers = np.clip(0.5 * (before - after) / bend, -0.5, 0.5).astype(np.float32)
    return vertex
