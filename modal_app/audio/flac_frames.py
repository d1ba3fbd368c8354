"""FLAC's own words on itself: STREAMINFO, and where frames begin in bytes that a parser could not cut.

https://www.rfc-editor.org/rfc/rfc9639. No decoding here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from modal_app.audio.window import Window

_MAX_BLOCKS = 1_000


@dataclass(frozen=True)
class StreamInfo:
    """The block that every FLAC file begins with."""

    largest_block: int
    fixed_block: int | None
    sample_rate: int
    channels: int
    bits: int
    samples: int | None
    md5: bytes | None
    first_frame: int
    """Where the music begins in the file."""


def stream_info(file: Window) -> StreamInfo | None:
    """Return the block of a native FLAC file; None where it is missing or damaged."""
    at, found = 4, None
    for _ in range(_MAX_BLOCKS):
        head = file.at(at, 4)
        if len(head) < 4:
            return None
        size = int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == 0 and found is None:
            found = file.at(at + 4, 34)
        at += 4 + size
        if head[0] & 0x80:
            break
    if found is None or len(found) < 34:
        return None
    return _read(found, at)


def _read(block: bytes, first_frame: int) -> StreamInfo:
    smallest, largest = int.from_bytes(block[:2], "big"), int.from_bytes(block[2:4], "big")
    packed = int.from_bytes(block[10:18], "big")
    return StreamInfo(
        largest_block=largest,
        fixed_block=largest if smallest == largest else None,
        sample_rate=packed >> 44,
        channels=(packed >> 41 & 7) + 1,
        bits=(packed >> 36 & 31) + 1,
        samples=packed & (1 << 36) - 1 or None,
        md5=block[18:34] if any(block[18:34]) else None,
        first_frame=first_frame,
    )


def split_frames(data: bytes, info: StreamInfo) -> Iterator[tuple[int, bytes]]:
    """Yield each frame that begins in `data` and its first sample's number; the last one ends with the data."""
    found: list[tuple[int, int]] = []
    at = data.find(b"\xff")
    while at >= 0:
        sample = _first_sample(data[at : at + 16], info)
        if sample is not None and (not found or sample > found[-1][0]):
            found.append((sample, at))
        at = data.find(b"\xff", at + 1)
    ends = [at for _, at in found[1:]] + [len(data)]
    yield from ((sample, data[at:end]) for (sample, at), end in zip(found, ends, strict=True))


def _first_sample(head: bytes, info: StreamInfo) -> int | None:
    """Return the number of a frame's first sample, from a header whose checksum is right."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
        return None
    lead = head[4]
    more = 0 if lead < 0x80 else f"{lead:08b}".find("0") - 1
    if lead >= 0x80 and not 1 <= more <= 6:
        return None
    number = lead if lead < 0x80 else lead & (0x3F >> more)
    for byte in head[5 : 5 + more]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    end = 5 + more + {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if len(head) <= end or _crc8(head[:end]) != head[end]:
        return None
    return number if head[1] & 1 else number * (info.fixed_block or info.largest_block)


def _crc8(data: bytes) -> int:
    remainder = 0
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1 ^ 0x07 if remainder & 0x80 else remainder << 1) & 0xFF
    return remainder
