"""From an audio file to its mono signal, block by block, and what must be said about the file.

Files come from strangers: only the formats listed here are opened, only from the one file handle (a playlist or a
reference inside a file opens nothing), within limits. No resampling, cutting or writing here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from modal_app.audio.completeness import declared_samples, missing_end
from modal_app.errors import UnreadableAudioError

if TYPE_CHECKING:
    from av import AudioFrame

    Piece = tuple[AudioFrame, int]
    """A frame and how many of its samples belong to the music."""

Signal = npt.NDArray[np.float32]

# Containers that hold music and refer to no other file. Playlists (hls, concat, dash, sdp, image2 …) are left out on
# purpose: opened as audio they make FFmpeg read other files and URLs.
FORMATS = ("wav", "w64", "aiff", "flac", "mp3", "ogg", "mov,mp4,m4a,3gp,3g2,mj2", "aac", "caf")
SAMPLE_RATES = range(4_000, 384_001)
MAX_CHANNELS = 64
MAX_SECONDS = 6 * 3600

_BLOCK = 65_536
_PADDING = 4_096  # encoders fill their last frame up; AAC's is the longest, 2048 samples with one of lookahead
_GARBAGE = 1e6  # +120 dBFS: no sound, but bytes that happen to be a float
_ANTIPHASE = 0.01  # the mono mix keeps less than 1 % of the channels' energy
_INTEGER_SCALE = {"u1": 2.0**-7, "i2": 2.0**-15, "i4": 2.0**-31, "i8": 2.0**-63}
_MEND = "export it again as WAV, AIFF, FLAC or MP3"


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds, counted by decoding it: headers of mp3 files are often wrong."""

    duration_seconds: float
    sample_rate: int
    channels: int
    codec: str
    samples: int
    """Frames at the file's own rate."""
    warnings: tuple[str, ...] = ()
    extension: str = ""
    """What a file of its container is called, without the dot, whatever this one is called."""


def probe(path: Path) -> AudioInfo:
    """Decode a file from end to end and tell what it holds.

    Raises:
        UnreadableAudioError: it holds no audio that can be decoded, or more than the limits allow.
    """
    with open_audio(path) as audio:
        for _ in audio.frames():
            pass
        return AudioInfo(
            duration_seconds=audio.samples / audio.sample_rate,
            sample_rate=audio.sample_rate,
            channels=audio.channels,
            codec=audio.codec,
            samples=audio.samples,
            warnings=tuple(audio.warnings()),
            extension=audio.extension,
        )


@contextmanager
def open_audio(path: Path) -> Iterator["Audio"]:
    """Open a file for one pass of decoding.

    Raises:
        UnreadableAudioError: it is no audio file, or one outside the limits.
    """
    with open_regular(path) as file, read_audio(file, path.name) as audio:
        yield audio


def open_regular(path: Path) -> BufferedReader:
    """Open a plain file for reading; a pipe or device would never end.

    Raises:
        UnreadableAudioError: there is no such file, or it may not be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise UnreadableAudioError(f"{path.name}: is no plain file; name an audio file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableAudioError(f"{path.name}: can't be opened: {reason}; check the path") from None


@contextmanager
def read_audio(file: BinaryIO, name: str) -> Iterator["Audio"]:
    """Like `open_audio`, from an open file; `name` is what messages call it."""
    import av

    try:
        container = av.open(
            file,
            mode="r",  # else a file that may be written to, as an upload's is, is taken for an output
            container_options={"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "none"},
            metadata_errors="ignore",
            io_open=_open_nothing_else,
        )
    except (av.FFmpegError, ValueError):
        raise UnreadableAudioError(f"{name}: {_why_unreadable(file)}; {_MEND}") from None
    with container:
        yield Audio(container, file, name)


class Audio:
    """One file being decoded. The counts and `warnings()` are complete once a pass has ended."""

    def __init__(self, container: Any, file: BinaryIO, name: str) -> None:
        if not container.streams.audio:
            raise UnreadableAudioError(f"{name}: holds no audio stream; {_MEND}")
        self.name = name
        self._container = container
        self._file = file
        self._stream = container.streams.audio[0]
        self.sample_rate: int = self._stream.rate or 0
        self.channels: int = self._stream.channels or 0
        self.codec: str = self._stream.codec_context.name
        self.extension = "m4a" if "m4a" in container.format.name else str(container.format.name)
        self.samples = 0
        self._damaged_packets = 0
        self._cut_off = False
        self._garbage = 0
        self._channel_energy = 0.0
        self._mono_energy = 0.0
        if self.sample_rate not in SAMPLE_RATES:
            limits = f"{SAMPLE_RATES.start} to {SAMPLE_RATES.stop - 1} Hz"
            self._refuse(f"its sample rate of {self.sample_rate} Hz is outside {limits}")
        if not 1 <= self.channels <= MAX_CHANNELS:
            self._refuse(f"it has {self.channels} channels, {MAX_CHANNELS} are the most")

    def blocks(self, channels: int = 1) -> Iterator[Signal]:
        """The signal as float32, ±1 is full scale, n ≤ 65,536 or one frame.

        For one channel of shape (n,): the mean of the file's. For two of shape (n, 2): those of a stereo file, the
        mean in both for any other. What is no number, or far beyond any sound, is zeroed and counted.

        Raises:
            UnreadableAudioError: see `frames`.
        """
        from av import AudioFifo

        fifo, kind, padding = AudioFifo(), None, 0
        for frame, keep in self.frames():
            if kind != (kind := (frame.format.name, frame.layout.name)):  # mp3 may go from mono to stereo on the way
                yield from self._drain(fifo, 0, channels)
                fifo = AudioFifo()
            frame.pts = None  # the queue would compare times; the counts are what is true here
            fifo.write(frame)
            padding = frame.samples - keep
            if fifo.samples >= _BLOCK:
                yield from self._drain(fifo, padding, channels)
        yield from self._drain(fifo, padding, channels)

    def frames(self) -> Iterator[tuple["AudioFrame", int]]:
        """Decoded frames, each with how many of its samples belong to the music (an encoder pads the last one).

        Raises:
            UnreadableAudioError: nothing could be decoded, the rate changes on the way, or it never ends.
        """
        for frame, keep in self._pieces():
            if frame.sample_rate != self.sample_rate:
                self._refuse(f"its sample rate changes from {self.sample_rate} to {frame.sample_rate} Hz on the way")
            self.samples += keep
            if self.samples > MAX_SECONDS * self.sample_rate:
                self._refuse(f"it is longer than {MAX_SECONDS // 3600} hours")
            yield frame, keep
        if not self.samples:
            self._refuse("it holds a header but no audio")

    def warnings(self) -> list[str]:
        """What a person should know of the file: one line each."""
        found = []
        declared = declared_samples(self._file, self._container.format.name, self._stream)
        short = declared is not None and declared - self.samples > _PADDING
        if short or self._cut_off or missing_end(self._file, self._container.format.name):
            of = f" of {declared / self.sample_rate:.1f}" if short and declared else ""
            found.append(f"truncated: only {self.samples / self.sample_rate:.1f}{of} s are there")
        if self._damaged_packets:
            found.append(f"{self._damaged_packets} damaged packets were left out")
        if self._garbage:
            found.append(f"{self._garbage} samples are not numbers and were set to zero")
        if self._mono_energy < _ANTIPHASE * self._channel_energy:
            found.append("its channels are in antiphase and cancel in mono")
        return found

    def _decode(self) -> Iterator["AudioFrame"]:
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:
                self._cut_off = True
                return
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self._damaged_packets += 1

    def _pieces(self) -> "Iterator[Piece]":
        """Frames without an MP4's padding. In the other formats FFmpeg knows the padding and takes it off itself."""
        if not self._container.format.name.startswith("mov"):
            return ((frame, frame.samples) for frame in self._decode())
        pieces = _without_filling(self._decode())
        if not self._stream.duration:
            return pieces
        edited = round(self._stream.duration * self._stream.time_base * self.sample_rate)
        return _within(pieces, edited, self.sample_rate // 500)

    def _drain(self, fifo: Any, padding: int, wanted: int) -> Iterator[Signal]:
        """What is queued, but for the padding behind it, as one block: numpy is slow on frames of 1,152."""
        if fifo.samples > padding:
            channels = self._without_garbage(_channels_of(fifo.read(fifo.samples - padding)))
            mono = channels[0].copy()
            for channel in channels[1:]:
                mono += channel
            mono /= len(channels)
            self._mono_energy += _energy(mono)
            if wanted == 1:
                yield mono
            else:
                stereo = channels if len(channels) == wanted else [mono] * wanted
                yield np.stack(list(stereo), axis=1)

    def _without_garbage(self, channels: Signal) -> Signal:
        energy = _energy(channels)
        if not energy < _GARBAGE**2:  # also where it is NaN: one cheap sum instead of a look at each sample
            with np.errstate(invalid="ignore"):
                good = np.abs(channels) < _GARBAGE
            self._garbage += int(channels.size - np.count_nonzero(good))
            channels = np.where(good, channels, np.float32(0))
            energy = _energy(channels)
        self._channel_energy += energy / len(channels)
        return channels

    def _refuse(self, reason: str) -> NoReturn:
        raise UnreadableAudioError(f"{self.name}: {reason}; {_MEND}")


def _without_filling(frames: Iterator["AudioFrame"]) -> "Iterator[Piece]":
    """Cut the last frame to the duration that the file states for it; an encoder fills it up."""
    last: AudioFrame | None = None
    for frame in frames:
        if last is not None:
            yield last, last.samples
        last = frame
    if last is not None:
        stated = round(last.duration * last.time_base * last.sample_rate) if last.duration and last.time_base else 0
        yield last, min(stated, last.samples) or last.samples


def _within(pieces: "Iterator[Piece]", limit: int, tolerance: int) -> "Iterator[Piece]":
    """Cut off what lies beyond `limit` if it is short enough to be padding; keep all of it otherwise.

    An edit list counts in milliseconds or so: what is beyond it by no more than `tolerance` is kept.
    """
    position = beyond = 0
    held: list[Piece] = []
    for frame, keep in pieces:
        if beyond > _PADDING or (not held and position + keep <= limit):
            yield from (*held, (frame, keep))
            position += keep
            held.clear()
        else:
            held.append((frame, keep))
            beyond = position + sum(kept for _, kept in held) - limit
    if beyond <= tolerance or beyond > _PADDING:
        yield from held
    elif held and limit > position:
        yield held[0][0], limit - position


def _energy(signal: Signal) -> float:
    """The sum of squares. Not by BLAS: its threads wait busily and cost more than they help."""
    flat = signal.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.einsum("i,i->", flat, flat))


def _channels_of(frame: "AudioFrame") -> Signal:
    """A frame as float32 of shape (channels, n), ±1 is full scale."""
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, len(frame.layout.channels)).T
    kind = array.dtype.str[1:]
    if kind[0] == "f":
        with np.errstate(over="ignore"):
            return array.astype(np.float32, copy=False)
    signal = array.astype(np.float32)
    if kind == "u1":
        signal -= 128
    return np.multiply(signal, np.float32(_INTEGER_SCALE[kind]), out=signal)


def _why_unreadable(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(12)
    if not head:
        return "the file is empty"
    if head[4:8] == b"ftyp":
        return "it is truncated: its index (moov) is missing or damaged"
    return "it is in no audio format that can be read"


def _open_nothing_else(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"a file may not make the decoder open {url}")
