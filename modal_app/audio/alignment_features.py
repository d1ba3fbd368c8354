"""What of a sound file is held against a score: when something begins, and which pitch classes sound.

Onsets are a log-spectral flux in bands of the mel scale, as in Böck and Widmer, "Maximum filter vibrato suppression for
onset detection" (DAFx 2013), without their filter; chroma are the spectrum's peaks by pitch class. Streamed: memory is
flat but for the features, some 6 MB an hour. What they fit to is not decided here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modal_app.audio.decode import open_audio
from modal_app.audio.pcm import Signal

ONSETS_A_SECOND = 100
CHROMA_A_SECOND = 10

_ONSET_WINDOW = 1_024 / 44_100  # seconds
_CHROMA_WINDOW = 8_192 / 44_100
_LAG = 2  # frames between which a rise is measured: 20 ms, about the width of the window
_BANDS = 60
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 16_000.0  # what mp3 and AAC leave
_FLOOR = 1e-3  # of the loudest band up to there: what is lower is hiss and reverb
_LEAST_FLOOR = 1e-7
_DECADES = 3  # a rise of all by 60 dB is 1
_PITCHES_HZ = (55.0, 2_000.0)

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AlignmentFeatures:
    """Of a whole file of so many `seconds`.

    `onsets` has shape (n,): how much the spectrum rises, the i-th at i / `ONSETS_A_SECOND` seconds. `chroma` has shape
    (m, 12): how much of each pitch class sounds (0 is C), the j-th at j / `CHROMA_A_SECOND`.
    """

    onsets: Features
    chroma: Features
    seconds: float
    warnings: tuple[str, ...] = ()


def measure_features(path: Path) -> AlignmentFeatures:
    """Decode a file from end to end.

    Raises:
        UnreadableAudioError: it holds no audio that can be decoded, or more than the limits allow.
    """
    from dataclasses import replace

    with open_audio(path) as audio:
        found = features_of(audio.blocks(), audio.sample_rate)
        return replace(found, warnings=tuple(audio.warnings()))


def features_of(blocks: Iterable[Signal], sample_rate: int) -> AlignmentFeatures:
    """Return the features of a mono signal that comes in blocks of shape (n,), whatever its level."""
    flux = _Flux(sample_rate)
    pitches = _Pitches(sample_rate)
    samples = 0
    silence = np.zeros(pitches.frames.size, np.float32)  # behind it, so that the last frames are whole
    for block in chain(blocks, [silence]):
        samples += len(block)
        flux.feed(block)
        pitches.feed(block)
    seconds = (samples - len(silence)) / sample_rate
    onsets = np.concatenate([np.zeros(0, np.float32), *flux.rises])
    chroma = np.concatenate([np.zeros((0, 12), np.float32), *pitches.chroma])
    # A rise between two frames lies half-way between them.
    return AlignmentFeatures(
        onsets=onsets[_LAG // 2 :][: int(seconds * ONSETS_A_SECOND) + 1],
        chroma=chroma[: int(seconds * CHROMA_A_SECOND) + 1],
        seconds=seconds,
    )


class _Frames:
    """Cuts a signal into windowed frames; the middle of the i-th is at i / `rate` seconds, silence lies before it."""

    def __init__(self, sample_rate: int, seconds: float, rate: int) -> None:
        self.size = max(16, round(sample_rate * seconds))
        self._hop = sample_rate / rate
        self._shape = np.hanning(self.size).astype(np.float32)
        self._shape /= self._shape.sum()
        self._held = np.zeros(self.size // 2, np.float32)
        self._begin = self._next = 0

    def of(self, block: Signal) -> Iterator[Features]:
        """Yield the frames that are complete with this block: shape (frames, size), if there are any."""
        self._held = np.concatenate([self._held, block])
        last = self._begin + len(self._held) - self.size
        if last < round(self._next * self._hop):
            return
        end = max(self._next, int(last / self._hop) + 2)
        starts = np.rint(np.arange(self._next, end) * self._hop).astype(np.int64)
        starts = starts[starts <= last] - self._begin
        yield np.lib.stride_tricks.sliding_window_view(self._held, self.size)[starts] * self._shape
        self._next += len(starts)
        done = min(round(self._next * self._hop) - self._begin, len(self._held))
        self._held, self._begin = self._held[done:], self._begin + done


class _Flux:
    """How much a signal's bands rise from frame to frame."""

    def __init__(self, sample_rate: int) -> None:
        self.rises: list[Features] = []
        self._frames = _Frames(sample_rate, _ONSET_WINDOW, ONSETS_A_SECOND)
        self._edges = _band_edges(sample_rate, self._frames.size)
        self._loudest = np.float32(0)
        self._before: Features | None = None

    def feed(self, block: Signal) -> None:
        """Go on with a block."""
        from scipy.fft import rfft

        for frames in self._frames.of(block):
            power = np.abs(rfft(frames, axis=1)) ** 2
            bands = np.sqrt(np.add.reduceat(power, self._edges, axis=1)[:, :-1])
            loudest = np.maximum.accumulate(np.append(self._loudest, bands.max(axis=1)))[1:]
            self._loudest = loudest[-1]
            floor = np.maximum(loudest * np.float32(_FLOOR), np.float32(_LEAST_FLOOR))[:, None]
            # Over a floor of its own each frame is at 0 where nothing is heard, so silence before it is zeros.
            levels = np.log10(np.maximum(bands, floor) / floor)
            if self._before is None:
                self._before = np.zeros((_LAG, levels.shape[1]), np.float32)
            levels = np.concatenate([self._before, levels])
            rises = np.maximum(levels[_LAG:] - levels[:-_LAG], 0).mean(axis=1) / np.float32(_DECADES)
            self.rises.append(rises.astype(np.float32))
            self._before = levels[-_LAG:]


class _Pitches:
    """Which pitch classes sound in a signal: the peaks of its spectrum."""

    def __init__(self, sample_rate: int) -> None:
        self.chroma: list[Features] = []
        self.frames = _Frames(sample_rate, _CHROMA_WINDOW, CHROMA_A_SECOND)
        low, high = (round(hz * self.frames.size / sample_rate) for hz in _PITCHES_HZ)
        self._bins = slice(max(1, low), max(2, min(high, self.frames.size // 2)))
        hertz = np.arange(self._bins.start, self._bins.stop) * sample_rate / self.frames.size
        classes = np.rint(69 + 12 * np.log2(hertz / 440)).astype(int) % 12
        self._classes = np.eye(12, dtype=np.float32)[classes]

    def feed(self, block: Signal) -> None:
        """Go on with a block."""
        from scipy.fft import rfft

        low, high = self._bins.start, self._bins.stop
        for frames in self.frames.of(block):
            heights = np.abs(rfft(frames, axis=1))
            here = heights[:, low:high]
            peaks = (here > heights[:, low - 1 : high - 1]) & (here >= heights[:, low + 1 : high + 1])
            self.chroma.append(np.where(peaks, np.sqrt(here), 0).astype(np.float32) @ self._classes)


def _band_edges(sample_rate: int, size: int) -> npt.NDArray[np.intp]:
    """Return the first bins of the bands, spaced by the mel scale and at least one bin wide, and of what is above."""
    highest = min(_HIGHEST_HZ, 0.48 * sample_rate)
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOWEST_HZ, highest))
    hertz = 700 * (10 ** (np.linspace(low, high, _BANDS + 1) / 2595) - 1)
    return np.unique(np.maximum(1, np.rint(hertz * size / sample_rate))).astype(np.intp)
