"""A file's waveform as numbers to draw, how loud it is, and a copy to listen by: all from one pass of decoding.

Loudness is FFmpeg's `ebur128` (ITU-R BS.1770, EBU R 128). Nothing is drawn here.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modal_app.audio.decode import Audio, open_audio
from modal_app.audio.pcm import Signal

POINTS_A_SECOND = 200
"""The finest resolution that is kept: an hour has 720,000 points."""

Points = npt.NDArray[np.int8]

MAX_COPY_BYTES = 2**30
"""Of one copy: some five hours of music; a small file of another format may claim to hold far more."""

_SILENT_LUFS = -70.0  # what nothing louder than R 128's absolute gate comes to


@dataclass(frozen=True)
class Loudness:
    """Of a whole file; None where it can't be said: silence, or less than 0.4 s."""

    integrated_lufs: float | None
    range_lu: float | None
    true_peak_dbtp: float | None


@dataclass(frozen=True)
class Waveform:
    """What a file looks like.

    `low` and `high` are the extremes of all channels, −127…127 of full scale, `rms` their mean level, 0…127; each of
    shape (points,), `POINTS_A_SECOND` apart (the last one may be of less).
    """

    seconds: float
    sample_rate: int
    channels: int
    low: Points
    high: Points
    rms: Points
    loudness: Loudness


def measure_waveform(path: Path, copy: Path | None = None) -> Waveform:
    """Decode a file from end to end.

    Args:
        path: where it lies.
        copy: where to write what was decoded as well: FLAC of 16 bit, mono as mono and all else as stereo. It is left
            empty where that would be larger than `MAX_COPY_BYTES`, or FLAC has no such sample rate.

    Raises:
        UnreadableAudioError: it holds no audio that can be decoded, or more than the limits allow.
    """
    with open_audio(path) as audio, ExitStack() as files:
        meter = _Meter(audio)
        consumers: list[Callable[[Signal], None]] = [meter.feed]
        if copy is not None:
            copy.touch()
            if _is_rate_of_flac(audio.sample_rate):
                consumers.append(files.enter_context(_writing(copy, audio)))
        lows, highs, levels = [], [], []
        for low, high, level in _points(audio, consumers):
            lows.append(low)
            highs.append(high)
            levels.append(level)
        return Waveform(
            seconds=audio.samples / audio.sample_rate,
            sample_rate=audio.sample_rate,
            channels=audio.channels,
            low=np.concatenate(lows),
            high=np.concatenate(highs),
            rms=np.concatenate(levels),
            loudness=meter.loudness(),
        )


def in_window(points: Points, start: float, end: float, wanted: int, merge: Any) -> npt.NDArray[np.int16]:
    """`wanted` points from `start` to `end` in seconds: each is the `merge` of those in its span.

    A span that is shorter than a point is given the point that it lies in.

    Args:
        points: of a whole waveform.
        start: in seconds, from 0.
        end: in seconds, not before `start`.
        wanted: how many points to give, from 1.
        merge: the ufunc `np.minimum` or `np.maximum`, or `np.add` for the mean.
    """
    edges = np.linspace(start, end, wanted + 1) * POINTS_A_SECOND
    begins = np.clip(np.floor(edges[:-1] + 1e-6).astype(np.int64), 0, len(points) - 1)
    ends = np.clip(np.ceil(edges[1:] - 1e-6).astype(np.int64), begins + 1, len(points))
    padded = np.append(points.astype(np.int32), 0)  # `reduceat` wants every end to be a place
    merged = merge.reduceat(padded, np.stack([begins, ends], axis=1).reshape(-1))[::2]
    if merge is np.add:
        merged = np.round(merged / (ends - begins))
    return np.asarray(merged, dtype=np.int16)


@contextmanager
def _writing(path: Path, audio: Audio) -> Iterator[Callable[[Signal], None]]:
    """A function that writes blocks of shape (n, 2) to a file, which is empty in the end where it grew too large."""
    import soundfile

    channels = min(audio.channels, 2)
    is_too_large = False
    # The lowest level is a fifth of the default's work for files that are a few percent larger.
    with soundfile.SoundFile(
        path, "w", audio.sample_rate, channels, subtype="PCM_16", format="FLAC", compression_level=0
    ) as file:

        def write(block: Signal) -> None:
            nonlocal is_too_large
            if not is_too_large:
                file.write(block[:, :channels])
                is_too_large = path.stat().st_size > MAX_COPY_BYTES

        yield write
    if is_too_large:
        path.write_bytes(b"")


def _is_rate_of_flac(sample_rate: int) -> bool:
    """Return whether FLAC's frames can say the rate: in Hz up to 65,535, beyond that in tens of Hz."""
    return sample_rate < 1 << 16 or sample_rate % 10 == 0


def _points(audio: Audio, consumers: list[Callable[[Signal], None]]) -> Iterator[tuple[Points, Points, Points]]:
    """Points in the order of time, some at once; those of a span are whole, whatever pieces the signal comes in."""
    span = audio.sample_rate / POINTS_A_SECOND
    rest = np.zeros((0, 2), np.float32)
    first = 0  # the sample that `rest` begins with
    done = 0  # points that were given
    for block in audio.blocks(channels=2):
        for feed in consumers:
            feed(block)
        signal = np.concatenate([rest, block])
        whole = int((first + len(signal)) / span)
        edges = np.ceil(np.arange(done, whole + 1) * span - 1e-9).astype(np.int64) - first
        if len(edges) > 1:
            yield _extremes(signal[: edges[-1]], edges[:-1])
            first, rest, done = first + int(edges[-1]), signal[edges[-1] :], whole
        else:
            rest = signal
    if len(rest):
        yield _extremes(rest, np.zeros(1, np.int64))


def _extremes(signal: npt.NDArray[np.float32], begins: npt.NDArray[np.int64]) -> tuple[Points, Points, Points]:
    left, right = signal[:, 0], signal[:, 1]  # by hand: numpy is slow along an axis of two
    low = np.minimum.reduceat(np.minimum(left, right), begins)
    high = np.maximum.reduceat(np.maximum(left, right), begins)
    lengths = np.diff([*begins, len(signal)])
    energy = np.add.reduceat(left * left + right * right, begins) / (2 * lengths)
    return _as_points(low), _as_points(high), _as_points(np.sqrt(energy))


def _as_points(values: npt.NDArray[Any]) -> Points:
    return np.clip(np.round(values * 127), -127, 127).astype(np.int8)


class _Meter:
    """FFmpeg's loudness meter, fed block by block."""

    def __init__(self, audio: Audio) -> None:
        from av.filter import Graph

        self._rate = audio.sample_rate
        self._graph = Graph()
        source = self._graph.add_abuffer(sample_rate=self._rate, format="flt", layout="stereo", time_base=None)
        meter = self._graph.add("ebur128", "peak=true:metadata=1:framelog=quiet")
        sink = self._graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        self._graph.configure()
        self._samples = 0
        self._loudness: dict[str, str] = {}

    def feed(self, block: npt.NDArray[np.float32]) -> None:
        """Measure a block of shape (n, 2)."""
        from av import AudioFrame

        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block.reshape(1, -1)), format="flt", layout="stereo")
        frame.sample_rate = self._rate
        frame.pts = self._samples
        self._samples += len(block)
        self._graph.push(frame)
        self._pull()

    def loudness(self) -> Loudness:
        """Return what was heard, when all was."""
        self._graph.push(None)
        self._pull()
        integrated = _number(self._loudness.get("lavfi.r128.I"))
        heard = integrated is not None and integrated > _SILENT_LUFS
        peaks = [
            peak
            for name, value in self._loudness.items()
            if name.startswith("lavfi.r128.true_peaks_ch") and (peak := _number(value)) is not None and peak > 0
        ]
        return Loudness(
            integrated_lufs=integrated if heard else None,
            range_lu=_number(self._loudness.get("lavfi.r128.LRA")) if heard else None,
            true_peak_dbtp=round(20 * math.log10(max(peaks)), 2) if peaks else None,
        )

    def _pull(self) -> None:
        import av

        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            self._loudness.update(frame.metadata)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return round(value, 2) if math.isfinite(value) else None
