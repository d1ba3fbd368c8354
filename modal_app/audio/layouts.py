"""What the readers of headers share: their error, and the words for what disagrees."""

from collections.abc import Iterator
from dataclasses import dataclass

from modal_app.audio.pcm import PcmLayout
from modal_app.audio.window import Window

_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
_FILLING = 1 << 16  # zeros behind the end, up to here, are filling
_DEFAULT_POSITIONS = {
    1: ("FC",),
    2: ("FL", "FR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


@dataclass(frozen=True)
class Unpacked:
    """Of samples that are no linear PCM, what the header promises; FFmpeg decodes them."""

    stated_frames: int | None
    block_samples: int = 0
    """Samples of the last block, at most, that may be filling."""
    frames_by_rate: int | None = None
    """As many as its bytes should hold by the bytes a second that are stated: near the truth, but no promise."""
    is_cut: bool = False
    """Whether fewer bytes are there than are stated."""


def default_positions(channels: int) -> tuple[str, ...] | None:
    """Return the loudspeakers that so many channels mean where a header doesn't name them."""
    return _DEFAULT_POSITIONS.get(channels)


def seconds(samples: int, rate: int) -> str:
    """Return a length as messages tell it."""
    return f"{samples / max(1, rate):.2f} s"


def truncated(samples: int, stated: int, rate: int) -> str:
    """Return the finding of a file that ends too early."""
    return f"truncated: only {samples / rate:.1f} of {stated / rate:.1f} s are there"


def short_of(layout: PcmLayout) -> Iterator[str]:
    """Yield the finding, where fewer samples are there than the header states."""
    if layout.stated_frames is not None and layout.frames < layout.stated_frames and layout.sample_rate:
        yield truncated(layout.frames, layout.stated_frames, layout.sample_rate)


def agreed(byte_rate: int, sample_rate: int, block: int) -> Iterator[str]:
    """Yield the finding, where a header's rates disagree with each other."""
    if byte_rate and sample_rate and block and byte_rate != sample_rate * block & 0xFFFFFFFF:
        yield (
            f"header and data contradict each other: {sample_rate} samples of {block} bytes a second are stated, and "
            f"{byte_rate} bytes a second"
        )


def behind_its_end(file: Window, at: int) -> int:
    """Return how many bytes lie from here to the end that may be audio: tags and a filling of zeros are none."""
    left = len(file) - at
    head = file.at(at, 16)
    if any(head.startswith(tag) for tag in _TAGS):
        return 0
    if left <= _FILLING and not any(file.at(at, left)):
        return 0
    return max(0, left)
