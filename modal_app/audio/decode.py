"""From an audio file to its mono signal, block by block, and what must be said about the file.

Files come from strangers: whatever is wrong with one becomes one line about it, within limits. Which reader reads a
file is told in `sources`; no resampling, cutting or writing here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from modal_app.audio.identify import Container, identify
from modal_app.audio.mixing import mono, stereo
from modal_app.audio.pcm import Signal
from modal_app.audio.signal_checks import SignalChecks
from modal_app.audio.sources import Source, open_source
from modal_app.audio.window import Window
from modal_app.errors import HeaderError, UndecodableError, UnreadableAudioError

if TYPE_CHECKING:
    from modal_app.audio.quality import MeasuredAudio

SAMPLE_RATES = range(4_000, 384_001)
MAX_CHANNELS = 64
MAX_SECONDS = 6 * 3600

_MAX_LOST = 0.02  # of the music; more, or more than two seconds, is for a person to decide
_MAX_LOST_SECONDS = 2.0
_WAY_OUT = "export it again as WAV, AIFF, FLAC or MP3"


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
    """What a file of its container is called, without the dot: as this one is, where that is right."""
    mime_type: str = ""
    measured: "MeasuredAudio | None" = None
    """What was measured on the way; None where nobody asked for it."""


def probe(path: Path, name: str | None = None, *, measure: bool = False) -> AudioInfo:
    """Decode a file from end to end and tell what it holds.

    Args:
        path: where it lies.
        name: what whoever sent it calls it, if that is not the path's name.
        measure: whether its sound is measured on the way, a third of the work of cutting it.

    Raises:
        UnreadableAudioError: it holds no audio that can be decoded, or more than the limits allow.
    """
    with open_regular(path) as file, read_audio(file, name or path.name, verify=True) as audio:
        measured = None
        if measure:
            measured = audio.measure()
        else:
            audio.listen()
        return AudioInfo(
            duration_seconds=audio.samples / audio.sample_rate,
            sample_rate=audio.sample_rate,
            channels=audio.channels,
            codec=audio.codec,
            samples=audio.samples,
            warnings=tuple(audio.warnings()),
            extension=audio.extension,
            mime_type=audio.container.mime_type,
            measured=measured,
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
def read_audio(file: BinaryIO, name: str, *, verify: bool = False) -> Iterator["Audio"]:
    """Like `open_audio`, from an open file; `name` is what messages call it.

    A file is verified (held against the checksum of its samples, where it has one) when it is taken in; from then on
    the SHA-256 of its bytes stands for it.
    """
    window = Window(file)
    try:
        identity = identify(window)
        if identity is None:
            raise UndecodableError(_why_unreadable(window))
        source = open_source(window, identity, verify=verify)
    except (HeaderError, UndecodableError) as error:
        raise UnreadableAudioError(f"{name}: {_or_truncated(error, window)}; {_WAY_OUT}") from None
    try:
        yield Audio(source, identity.container, name)
    finally:
        source.close()


class Audio:
    """One file being decoded. The counts and `warnings()` are complete once a pass has ended."""

    def __init__(self, source: Source, container: Container, name: str) -> None:
        self.name, self.container = name, container
        self.sample_rate, self.channels, self.codec = source.sample_rate, source.channels, source.codec
        self.extension = _extension(container, self.codec, name)
        self.samples = 0
        self._source = source
        if self.sample_rate not in SAMPLE_RATES:
            limits = f"{SAMPLE_RATES.start} to {SAMPLE_RATES.stop - 1} Hz"
            self._refuse(f"its sample rate of {self.sample_rate} Hz is outside {limits}")
        if not 1 <= self.channels <= MAX_CHANNELS:
            self._refuse(f"it has {self.channels} channels, {MAX_CHANNELS} are the most")
        self._checks = SignalChecks(self.sample_rate, self.channels)

    def blocks(self, channels: int = 1) -> Iterator[Signal]:
        """Yield the signal as float32, ±1 is full scale, n ≤ 65,536 or one frame.

        What was lost in a damaged file is silent.

        For one channel of shape (n,): the mean of the file's. For two of shape (n, 2): those of a stereo file,
        surround folded down, the mean in both for any other. What is no number, or far beyond any sound, is zeroed and
        counted.

        Raises:
            UnreadableAudioError: nothing could be decoded, the rate changes on the way, it never ends, or more is lost
                of it than goes without a person's word.
        """
        for block in self._checked():
            mixed = mono(block)
            yield mixed if channels == 1 else stereo(block, mixed, self._source.positions)

    def listen(self) -> None:
        """Decode and check all of it, as `blocks` does, for what is to be said of it alone."""
        for _ in self._checked():
            pass

    def measure(self) -> "MeasuredAudio":
        """Decode and check all of it, and return what was measured on the way."""
        from modal_app.audio.quality import QualityMeter

        meter = QualityMeter(self.sample_rate, self.channels)
        for block in self._checked():
            meter.feed(block)
        return meter.measured(self.codec, tuple(self._checks.notices()))

    def warnings(self) -> list[str]:
        """Return what a person should know of the file: one line each."""
        found = [*self._losses(), *self._source.findings(), *self._checks.findings()]
        suffix = PurePosixPath(self.name).suffix.lower().removeprefix(".")
        if suffix in _AUDIO_SUFFIXES and suffix not in _names_of(self.container):
            found.append(f"it is called .{suffix} and is {self.container.label}; it is kept as .{self.extension}")
        return list(dict.fromkeys(found))

    def _checked(self) -> Iterator[Signal]:
        """Yield the file's channels, block by block: (channels, n)."""
        for block in self._arrays():
            yield self._checks.take(block)
        if not self.samples:
            self._refuse("it holds a header but no audio")
        self._weigh_losses()

    def _arrays(self) -> Iterator[Signal]:
        try:
            for block in self._source.arrays():
                self.samples += block.shape[1]
                if self.samples > MAX_SECONDS * self.sample_rate:
                    self._refuse(f"it is longer than {MAX_SECONDS // 3600} hours")
                yield block
        except UndecodableError as error:
            self._refuse(str(error))

    def _losses(self) -> Iterator[str]:
        lost = self._source.lost
        if lost:
            places = "" if len(lost) == 1 else f" and {len(lost) - 1} more {'place' if len(lost) == 2 else 'places'}"
            missing = sum(samples for _, samples in lost) / self.sample_rate
            yield f"damaged at {lost[0][0] / self.sample_rate:.1f} s{places}, {missing:.2f} s lost and silent"

    def _weigh_losses(self) -> None:
        missing = sum(samples for _, samples in self._source.lost)
        if missing > min(_MAX_LOST * self.samples, _MAX_LOST_SECONDS * self.sample_rate):
            (line,) = self._losses()
            self._refuse(f"{line}; that is too much of {self.samples / self.sample_rate:.1f} s to go on with")

    def _refuse(self, reason: str) -> NoReturn:
        raise UnreadableAudioError(f"{self.name}: {reason}; {_WAY_OUT}")


def _names_of(container: Container) -> tuple[str, ...]:
    return container.extensions + container.other_extensions


_AUDIO_SUFFIXES = frozenset(name for container in Container for name in _names_of(container))


def _extension(container: Container, codec: str, name: str) -> str:
    usual = container.extension_for(name)
    return "opus" if codec == "opus" and container is Container.OGG and usual == "ogg" and "." not in name else usual


def _why_unreadable(file: Window) -> str:
    if not len(file):
        return "the file is empty"
    if not any(file.at(0, 4_096)):
        return "it begins with nothing but zeros: no audio format is like that, and a transfer that broke off is"
    return "it is in no audio format that can be read"


def _or_truncated(error: Exception, file: Window) -> str:
    """Return an MP4 whose index is missing says nothing of that: FFmpeg only finds no sound in it."""
    head = file.at(0, 12)
    if head[4:8] in (b"ftyp", b"mdat") and b"moov" not in file.at(0, 1 << 16) and not _has_moov(file):
        return "it is truncated: its index (moov) is missing or damaged"
    return str(error)


def _has_moov(file: Window) -> bool:
    at = 0
    for _ in range(1_000):
        head = file.at(at, 16)
        if len(head) < 8:
            return False
        size = int.from_bytes(head[:4], "big")
        if head[4:8] == b"moov":
            return at + size <= len(file)
        at += int.from_bytes(head[8:16], "big") if size == 1 else max(8, size)
    return False
