"""Headers of MPEG audio frames and of ADTS: where a frame begins, how long it is, and what its Xing tag promises."""

from dataclasses import dataclass

from modal_app.audio.window import Window

_BIT_RATES = {  # kbit/s by (MPEG 1?, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)
_SHIFT = {3: 0, 2: 1, 0: 2}  # MPEG 1, 2, 2.5
_DECODER_DELAY = 529
_SEARCHED = 1 << 20
_IN_A_ROW = 3  # frames that must follow each other for a beginning to be believed


@dataclass(frozen=True)
class FrameHeader:
    """What the four bytes of an MPEG audio frame's header say."""

    rate: int
    size: int
    samples: int
    is_mono: bool
    is_mpeg1: bool
    layer: int


@dataclass(frozen=True)
class Gapless:
    """What a Xing, Info or LAME tag promises: frames of music, and samples that are filling."""

    frames: int | None
    delay: int
    """Samples before the music, the decoder's own delay included."""
    padding: int
    """Samples behind it."""


def frame_header(data: bytes) -> FrameHeader | None:
    """Return the header at the beginning of `data`; None where there is none (free format is not known here)."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, 4 - (data[1] >> 1 & 3)
    bits, rate = data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3 or data[3] & 3 == 2:
        return None
    is_mpeg1 = version == 3
    hertz = _RATES[rate] >> _SHIFT[version]
    kilobits, padding = _BIT_RATES[is_mpeg1, layer][bits], data[2] >> 1 & 1
    if layer == 1:
        size, samples = (12_000 * kilobits // hertz + padding) * 4, 384
    else:
        samples = 1_152 if layer == 2 or is_mpeg1 else 576
        size = samples // 8 * 1_000 * kilobits // hertz + padding
    return FrameHeader(hertz, size, samples, data[3] >> 6 == 3, is_mpeg1, layer)


def adts_size(data: bytes) -> int | None:
    """Return the size of the ADTS frame at the beginning of `data`; None where there is none."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[2] >> 2 & 15 > 12:
        return None
    size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    return size if size >= 7 else None


def tag_size(head: bytes) -> int:
    """Return the bytes of the ID3v2 tag at the beginning of `head` (10 bytes are enough); 0 where there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or head[3] == 255 or head[4] == 255 or any(b & 0x80 for b in head[6:10]):
        return 0
    body = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return 10 + body + 10 * (head[5] >> 4 & 1)


def is_mp3_at(file: Window, offset: int) -> bool:
    """Return whether frames of one kind follow each other from here (up to the file's end, where that is near)."""
    first = frame_header(file.at(offset, 4))
    header, at = first, offset
    for _ in range(_IN_A_ROW - 1):
        if first is None or header is None or (header.rate, header.layer) != (first.rate, first.layer):
            return False
        at += header.size
        if at >= len(file):
            return at - offset > header.size or at == len(file)
        header = frame_header(file.at(at, 4))
    return header is not None and first is not None and (header.rate, header.layer) == (first.rate, first.layer)


def is_adts_at(file: Window, offset: int) -> bool:
    """Return the same for ADTS."""
    at = offset
    for _ in range(_IN_A_ROW):
        size = adts_size(file.at(at, 7))
        if size is None:
            return False
        at += size
        if at >= len(file):
            return True
    return True


def find_mp3(file: Window, offset: int) -> int | None:
    """Return where the first frame lies, at `offset` or within a megabyte behind it."""
    data = file.at(offset, _SEARCHED)
    at = data.find(b"\xff")
    while at >= 0:
        if frame_header(data[at : at + 4]) and is_mp3_at(file, offset + at):
            return offset + at
        at = data.find(b"\xff", at + 1)
    return None


def gapless_of(frame: bytes) -> Gapless | None:
    """Return what the first frame's tag promises; None where it has none.

    The delay is taken from encoders that are known to write it, as FFmpeg does.
    """
    header = frame_header(frame)
    if header is None:
        return None
    side = (17 if header.is_mono else 32) if header.is_mpeg1 else (9 if header.is_mono else 17)
    at = 4 + side
    if frame[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    at += 8
    frames = int.from_bytes(frame[at : at + 4], "big") if flags & 1 else None
    at += 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    delay = padding = 0
    if frame[at : at + 4] in (b"LAME", b"Lavf", b"Lavc") and len(frame) >= at + 24:
        both = int.from_bytes(frame[at + 21 : at + 24], "big")
        delay, padding = (both >> 12) + _DECODER_DELAY, max(0, (both & 0xFFF) - _DECODER_DELAY)
    return Gapless(frames or None, delay, padding)
