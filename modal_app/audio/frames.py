"""From decoded frames to blocks of float32, and the checksum of the samples. No decoding, no timeline.

A decoder's frames are of a thousand samples or so, and numpy is slow on what is short: they are gathered.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from modal_app.audio.flac_frames import StreamInfo
from modal_app.audio.pcm import Signal

if TYPE_CHECKING:
    from av import AudioFrame

BLOCK = 65_536
_MAX_FRAME = 8_192  # of usual ones


@dataclass(frozen=True)
class _Kind:
    """What one of FFmpeg's sample formats holds: numbers that lie `zero` too high, at ±1 / `scale`."""

    type: str
    is_planar: bool
    scale: float = 1.0
    zero: int = 0


_KINDS = {
    name + suffix: _Kind(kind, bool(suffix), scale, zero)
    for name, kind, scale, zero in (
        ("u8", "u1", 2.0**-7, 128),
        ("s16", "i2", 2.0**-15, 0),
        ("s32", "i4", 2.0**-31, 0),
        ("s64", "i8", 2.0**-63, 0),
        ("flt", "f4", 1.0, 0),
        ("dbl", "f8", 1.0, 0),
    )
    for suffix in ("", "p")
}


def gathered(frames: "Iterable[AudioFrame]", look: "Callable[[AudioFrame], None] | None" = None) -> Iterator[Signal]:
    """Yield the sound of frames as float32 of shape (channels, n), n ≥ 65,536 by less than a frame, or what is left.

    The next block is written over the one before.

    Args:
        frames: one after the other; their format may change.
        look: is given what a block is made of, as one frame.
    """
    from av import AudioFifo

    fifo, channels = AudioFifo(), 0
    room = np.empty((0, 0), np.float32)

    def block() -> Signal:
        nonlocal room
        frame: Any = fifo.read(fifo.samples)
        if look is not None:
            look(frame)
        if channels != len(room) or frame.samples > room.shape[1]:
            room = np.empty((channels, frame.samples + _MAX_FRAME), np.float32)
        return _filled(room[:, : frame.samples], frame)

    for frame in frames:
        frame.pts = None  # the queue would compare times; the counts are what is true here
        if channels != (wanted := frame.layout.nb_channels):  # an mp3 may; the queue does not look
            if fifo.samples:
                yield block()
            fifo, channels = AudioFifo(), wanted
        try:
            fifo.write(frame)
        except ValueError:  # of another sample format
            if fifo.samples:
                yield block()
            fifo = AudioFifo()
            fifo.write(frame)
        if fifo.samples >= BLOCK:
            yield block()
    if fifo.samples:
        yield block()


def _filled(target: Signal, frame: "AudioFrame") -> Signal:
    """Write a frame's samples to `target`, ±1 is full scale."""
    kind, samples, channels = _KINDS[frame.format.name], frame.samples, len(target)
    planes: Any = frame.planes
    if kind.is_planar:
        for channel, plane in zip(target, planes, strict=True):
            channel[:] = np.frombuffer(plane, kind.type, samples)
    else:
        target[:] = np.frombuffer(planes[0], kind.type, samples * channels).reshape(samples, channels).T
    if kind.zero:
        target -= kind.zero
    if kind.scale != 1.0:
        target *= np.float32(kind.scale)
    return target


class SampleChecksum:
    """A FLAC's MD5: of interleaved little-endian samples of as few bytes as will hold them."""

    def __init__(self, info: StreamInfo) -> None:
        self._wanted, self._bits, self._width = info.md5, info.bits, -(-info.bits // 8)
        self._sum = hashlib.md5(usedforsecurity=False)

    def add(self, frame: "AudioFrame") -> None:
        """Take a frame into account, whose samples lie packed in one plane, in the upper bits of 16 or 32."""
        plane: Any = frame.planes[0]
        size = 2 if frame.format.name == "s16" else 4
        count = frame.samples * frame.layout.nb_channels
        if self._bits == 8 * size:
            self._sum.update(memoryview(plane)[: size * count])
            return
        values: npt.NDArray[Any] = np.frombuffer(plane, f"i{size}", count)
        unused = 8 * size - self._bits
        if unused % 8:
            values, unused = values >> unused, 0
        octets = values.view(np.uint8).reshape(-1, size)[:, unused // 8 :]
        few = np.empty((count, self._width), np.uint8)
        for number in range(self._width):  # one by one: numpy is slow along an axis of three
            few[:, number] = octets[:, number]
        self._sum.update(few.data)

    def matches(self) -> bool:
        """Return whether the samples are those that the file's checksum was made of."""
        return self._sum.digest() == self._wanted
