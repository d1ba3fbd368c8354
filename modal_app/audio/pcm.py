"""Linear PCM: how its samples lie in a file, read as float32 by that. Headers are read in `riff`, `aiff` and `caf`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from modal_app.audio.window import Window

Signal = npt.NDArray[np.float32]

_FRAMES = 65_536
_LOOKED_AT = 64  # places at which it is looked where in its container a sample lies
_FRAMES_A_PLACE = 256


class Encoding(StrEnum):
    """What a sample's bits are."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    FLOAT = "float"


class UsedBits(StrEnum):
    """Which bits of a container that is wider than its samples hold them."""

    UPPER = "upper"
    LOWER = "lower"
    ALL = "all"


@dataclass(frozen=True)
class PcmLayout:
    """Where the samples lie, and what each is. `size` is what is there, cut down to whole frames."""

    start: int
    size: int
    sample_rate: int
    channels: int
    encoding: Encoding
    width: int
    """Bytes of one sample."""
    valid_bits: int
    """Of them, those that are said to count; they are the upper ones."""
    big_endian: bool
    positions: tuple[str, ...] | None = None
    """The loudspeakers of the channels, as FFmpeg calls them; None where nothing is known."""
    stated_frames: int | None = None
    """What the header promises; None where it promises nothing."""
    findings: tuple[str, ...] = field(default=())

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return self.width * self.channels

    @property
    def frames(self) -> int:
        """How many there are."""
        return self.size // self.frame_bytes

    @property
    def codec(self) -> str:
        """As FFmpeg would name it."""
        letter = {Encoding.SIGNED: "s", Encoding.UNSIGNED: "u", Encoding.FLOAT: "f"}[self.encoding]
        end = "" if self.width == 1 else "be" if self.big_endian else "le"
        return f"pcm_{letter}{8 * self.width}{end}"


def is_readable(encoding: Encoding, width: int) -> bool:
    """Return whether there are samples of such a kind and width that `read_pcm` reads."""
    if encoding is Encoding.FLOAT:
        return width in (4, 8)
    return width == 1 if encoding is Encoding.UNSIGNED else width in (1, 2, 3, 4, 8)


def read_pcm(file: Window, layout: PcmLayout) -> Iterator[Signal]:
    """Yield the samples as float32 of shape (channels, n), n ≤ 65,536; ±1 is full scale."""
    shift = 8 * layout.width - layout.valid_bits if used_bits(file, layout) is UsedBits.LOWER else 0
    done = 0
    while done < layout.frames:
        count = min(_FRAMES, layout.frames - done)
        data = file.at(layout.start + done * layout.frame_bytes, count * layout.frame_bytes)
        whole = len(data) // layout.frame_bytes
        if whole == 0:
            return
        yield _as_float(_samples(data[: whole * layout.frame_bytes], layout), layout, shift)
        done += whole


def used_bits(file: Window, layout: PcmLayout) -> UsedBits:
    """Return where in its container a sample lies, by the samples: the formats' rule is that it is the upper bits."""
    spare = 8 * layout.width - layout.valid_bits
    if spare <= 0 or layout.encoding is not Encoding.SIGNED or layout.frames == 0:
        return UsedBits.UPPER
    lower, narrow = False, True
    for place in range(_LOOKED_AT):
        frame = layout.frames * place // _LOOKED_AT
        count = min(_FRAMES_A_PLACE, layout.frames - frame)
        data = file.at(layout.start + frame * layout.frame_bytes, count * layout.frame_bytes)
        whole = data[: len(data) // layout.frame_bytes * layout.frame_bytes]
        samples = _samples(whole, layout).astype(np.int64)
        stored = samples >> 8 if layout.width == 3 else samples  # 24 bits come in the upper part of 32
        lower = lower or bool((stored & ((1 << spare) - 1)).any())
        edge = stored >> (layout.valid_bits - 1)  # nothing but the sign, where only lower bits are used
        narrow = narrow and not ((edge != 0) & (edge != -1)).any()
        if lower and not narrow:
            return UsedBits.ALL
    return UsedBits.LOWER if lower else UsedBits.UPPER


def _samples(data: bytes, layout: PcmLayout) -> npt.NDArray[np.generic]:
    """Native numbers, one after the other; 24 bits as the upper part of 32."""
    order = ">" if layout.big_endian else "<"
    if layout.width == 3:  # four bytes are read of each sample, one of them its neighbour's, which is blanked
        framed = data + b"\0" if layout.big_endian else b"\0" + data
        four = np.ndarray(len(data) // 3, f"{order}i4", buffer=framed, strides=(3,))
        upper: npt.NDArray[np.int32] = np.bitwise_and(four, -256, dtype=np.int32)
        return upper
    kind = {Encoding.SIGNED: "i", Encoding.UNSIGNED: "u", Encoding.FLOAT: "f"}[layout.encoding]
    return np.frombuffer(data, f"{order}{kind}{layout.width}")


def _as_float(samples: npt.NDArray[np.generic], layout: PcmLayout, shift: int) -> Signal:
    """Float32 of shape (channels, n); each channel lies in one piece: all that follows is twice as fast then."""
    channels = samples.reshape(-1, layout.channels).T
    with np.errstate(over="ignore"):
        signal = channels.astype(np.float32, order="C")
    if layout.encoding is Encoding.FLOAT:
        return signal
    if layout.encoding is Encoding.UNSIGNED:
        signal -= 128
    bits = 32 if layout.width == 3 else 8 * layout.width
    signal *= np.float32(2.0 ** (shift + 1 - bits))
    return signal
