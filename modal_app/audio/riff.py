"""The headers of WAV in all its forms (RIFF, RIFX, RF64, BW64) and of Sony Wave64: where the samples lie, and as what.

Sizes are what programs get wrong most: they are held against what lies in the file.
"""

import struct
from dataclasses import dataclass, replace

from modal_app.audio.layouts import Unpacked, agreed, behind_its_end, default_positions, seconds, short_of
from modal_app.audio.pcm import Encoding, PcmLayout, is_readable
from modal_app.audio.window import Window
from modal_app.errors import HeaderError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_COMPANDED = (6, 7)  # A-law and µ-law: a byte a sample
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_PIPED = (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)
_PIPED_64 = (*_PIPED, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
_OPEN = ((0x7FFFF000, 0x7FFFFFFF), (0xFFFFF000, 0xFFFFFFFF))  # what is written into a pipe, cut to whole frames or less
_PAGE = 4_096  # more than a header has
_WRAP = 1 << 32
_MAX_CHUNKS = 10_000
_SPEAKERS = ("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL",
             "TBC", "TBR")  # fmt: skip


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    size: int
    next: int


@dataclass(frozen=True)
class _Format:
    tag: int
    channels: int
    sample_rate: int
    byte_rate: int
    block: int
    bits: int
    valid_bits: int
    positions: tuple[str, ...] | None


def read_wav(file: Window) -> PcmLayout | Unpacked:
    """Return the layout of a WAV's samples; of one that is not linear PCM, what its header promises.

    Raises:
        HeaderError: the header can't be followed, contradicts itself, or names what nothing here decodes.
    """
    form = file.at(0, 4)
    order = ">" if form == b"RIFX" else "<"
    long_sizes = form in (b"RF64", b"BW64")
    chunks = _Walk(file, order, long_sizes).to_data()
    return _layout(chunks, order)


def read_w64(file: Window) -> PcmLayout | Unpacked:
    """Return the same of a Wave64 file."""
    return _layout(_Walk64(file).to_data(), "<")


@dataclass
class _Found:
    """What a walk found: the first format and data, the frames that are stated elsewhere, and what lies behind."""

    format: bytes | None = None
    stated_frames: int | None = None
    data: _Chunk | None = None
    declared: int | None = None
    """The data's size as it is stated; None where that was never filled in."""
    by_the_whole: int | None = None
    """The data's size by what the file's own is said to be, where the data's was never filled in."""
    lacks_sizes: bool = False
    """Whether its sizes should be in a ds64 chunk, and there is none."""
    second: int = 0
    """Bytes of further `data` chunks, or of a WAV that was put behind this one."""
    wrapped: bool = False


class _Walk:
    """From chunk to chunk of a RIFF file, odd ones with or without their pad byte."""

    def __init__(self, file: Window, order: str, long_sizes: bool) -> None:
        self._file, self._order, self._long_sizes = file, order, long_sizes
        self._data_size: int | None = None
        self._whole = int(struct.unpack(f"{order}I", file.at(4, 4))[0]) + 8
        self._found = _Found()

    def to_data(self) -> _Found:
        at, found = 12, self._found
        for _ in range(_MAX_CHUNKS):
            chunk = self._chunk(at)
            if chunk is None:
                break
            if chunk.name == b"data":
                self._measure(chunk)
                break
            self._take(chunk)
            at = chunk.next
        found.lacks_sizes = self._long_sizes and self._data_size is None
        return found

    def _take(self, chunk: _Chunk) -> None:
        content = self._file.at(chunk.start, min(chunk.size, 64))
        if chunk.name == b"ds64" and self._long_sizes and len(content) >= 24:
            whole, self._data_size, frames = struct.unpack("<QQQ", content[:24])
            self._whole = whole + 8
            self._found.stated_frames = frames if frames not in _PIPED_64 else None
        elif chunk.name == b"fmt " and self._found.format is None:
            self._found.format = content
        elif chunk.name == b"fact" and len(content) >= 4 and not self._found.stated_frames:
            (frames,) = struct.unpack(f"{self._order}I", content[:4])
            self._found.stated_frames = frames if frames not in _PIPED else None

    def _measure(self, chunk: _Chunk) -> None:
        """How much of the data there is, and what lies behind it."""
        found, there = self._found, len(self._file) - chunk.start
        size = chunk.size
        if self._long_sizes and (size == 0xFFFFFFFF or self._data_size not in (None, *_PIPED_64)):
            size = self._data_size if self._data_size is not None else size
        piped = size in _PIPED_64 if self._long_sizes else _is_open(size, _block_of(found.format, self._order))
        if piped and not (size <= there and self._ends_well(chunk.start + size)):
            found.data, found.by_the_whole = _to_the_end(self._file, chunk, self._whole)
            return
        found.declared = size
        if size >= there:
            found.data = replace(chunk, size=min(size, there))
            return
        found.data = replace(chunk, size=size)
        if self._ends_well(chunk.start + size) or self._ends_well(chunk.start + size + size % 2):
            return
        more = size + _WRAP
        while more <= there and not self._long_sizes:
            if self._ends_well(chunk.start + more) or self._ends_well(chunk.start + more + more % 2):
                found.data, found.wrapped, found.second = replace(chunk, size=more), True, 0
                return
            more += _WRAP
        found.second = found.second or there - size

    def _ends_well(self, at: int) -> bool:
        """Return whether nothing but chunks, or nothing that matters, lies from here to the end; notes further data."""
        file = self._file
        second = 0
        for _ in range(_MAX_CHUNKS):
            head = file.at(at, 12)
            if len(head) < 8 or behind_its_end(file, at) == 0:
                self._found.second = second
                return True
            if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
                self._found.second = second + len(file) - at
                return True
            chunk = self._chunk(at)
            if chunk is None:
                return False
            if chunk.name == b"data":
                second += min(chunk.size, len(file) - chunk.start)
            at = chunk.next
        return False

    def _chunk(self, at: int) -> _Chunk | None:
        head = self._file.at(at, 8)
        if len(head) < 8:
            return None
        name, size = head[:4], int(struct.unpack(f"{self._order}I", head[4:])[0])
        if not _is_name(name) or (name != b"data" and at + 8 + size > len(self._file) + 1):
            return None
        end = at + 8 + size
        if size % 2 and not self._begins(end + 1) and self._begins(end):
            return _Chunk(name, at + 8, size, end)  # written without its pad byte
        return _Chunk(name, at + 8, size, end + size % 2)

    def _begins(self, at: int) -> bool:
        return at >= len(self._file) or _is_name(self._file.at(at, 4))


class _Walk64:
    """From chunk to chunk of a Wave64 file: names of 16 bytes, sizes of 8 that count their own head."""

    def __init__(self, file: Window) -> None:
        self._file = file

    def to_data(self) -> _Found:
        found, at = _Found(), 40
        for _ in range(_MAX_CHUNKS):
            head = self._file.at(at, 24)
            if len(head) < 24:
                break
            name, size = head[:4] if head[4:16] == _W64_TAIL else b"", int(struct.unpack("<Q", head[16:])[0])
            start, there = at + 24, len(self._file) - at - 24
            if name == b"data":
                piped = size in _PIPED_64 or size == 24 < there
                found.declared = None if piped else size - 24
                found.data = _Chunk(name, start, min(max(0, size - 24), there), 0)
                if piped:
                    (whole,) = struct.unpack("<Q", self._file.at(16, 8))
                    found.data, found.by_the_whole = _to_the_end(self._file, found.data, whole)
                behind = start + (size - 24 + 7) // 8 * 8
                if not piped and len(self._file) - behind >= 16 and self._file.at(behind + 4, 12) != _W64_TAIL:
                    found.second = behind_its_end(self._file, behind)
                break
            if size < 24:
                break
            content = self._file.at(start, min(size - 24, 64))
            if name == b"fmt ":
                found.format = content
            elif name == b"fact" and len(content) >= 8:
                (frames,) = struct.unpack("<Q", content[:8])
                found.stated_frames = frames if frames not in _PIPED_64 else None
            at += (size + 7) // 8 * 8
        return found


def _is_open(size: int, block: int) -> bool:
    """Return whether a size is one that programs write where they can't know it; some write whole frames of it."""
    return size == 0 or any(first - block < size <= last for first, last in _OPEN)


def _block_of(content: bytes | None, order: str) -> int:
    return 1 if content is None or len(content) < 14 else int(struct.unpack(f"{order}H", content[12:14])[0])


def _to_the_end(file: Window, chunk: _Chunk, whole: int) -> tuple[_Chunk, int | None]:
    """Data whose size was never filled in, and its size by that of the whole file, where that one was."""
    end = len(file)
    if whole <= chunk.start or _is_open(whole - 8, _PAGE) or whole - 8 in _PIPED_64 or whole in _PIPED_64:
        return replace(chunk, size=end - chunk.start), None
    if whole < end and behind_its_end(file, whole) == 0:
        end = whole  # what follows are tags
    stated = end if 0 < whole - end <= 1 else whole  # a pad byte is often left out
    return replace(chunk, size=end - chunk.start), stated - chunk.start


def _layout(found: _Found, order: str) -> PcmLayout | Unpacked:
    if found.format is None:
        raise HeaderError("its header says nothing of the samples (no fmt chunk)")
    if found.data is None:
        raise HeaderError("its header leads to no samples (no data chunk)")
    kind = _format(found.format, order)
    data, declared = found.data, found.declared
    if kind.tag not in (_PCM, _FLOAT):
        return _unpacked(found, data, kind)
    width, rest = divmod(kind.block, kind.channels)
    encoding = Encoding.FLOAT if kind.tag == _FLOAT else Encoding.UNSIGNED if width == 1 else Encoding.SIGNED
    if kind.tag == _FLOAT and kind.bits == 16:
        raise HeaderError("its samples are half floats (16 bits), which nothing here decodes")
    if rest or not width or 8 * width < kind.bits or not kind.bits:
        raise HeaderError(
            f"header and data contradict each other: frames of {kind.block} bytes for {kind.channels} channels of "
            f"{kind.bits} bits"
        )
    if not is_readable(encoding, width):
        raise HeaderError(f"its samples are {encoding} numbers of {8 * width} bits, which nothing here decodes")
    findings = list(agreed(kind.byte_rate, kind.sample_rate, kind.block))
    if found.lacks_sizes:
        findings.append("header and data contradict each other: it is RF64 and has no sizes of that (no ds64 chunk)")
    block = kind.block
    stated = _stated_elsewhere(found, kind, data.size // block) if declared is None else declared // block
    if declared is None and stated and data.size // block > stated:
        more = seconds(data.size // block - stated, kind.sample_rate)
        findings.append(f"more audio than its header says: {more} behind its stated end were read too")
    elif found.stated_frames and declared and stated and found.stated_frames not in (stated, stated * kind.channels):
        findings.append(
            f"header and data contradict each other: {found.stated_frames} samples are stated, "
            f"{stated} are the size of the data"
        )
    if found.wrapped and declared is not None:
        more = seconds((data.size - declared) // block, kind.sample_rate)
        findings.append(f"more audio than its header says: {more} behind its stated end were read too")
        stated = data.size // block
    if found.second >= block:
        more = seconds(found.second // block, kind.sample_rate)
        findings.append(f"more audio than its header says: {more} lie behind its stated end and were left out")
    layout = PcmLayout(
        start=data.start,
        size=data.size,
        sample_rate=kind.sample_rate,
        channels=kind.channels,
        encoding=encoding,
        width=width,
        valid_bits=8 * width if encoding is Encoding.FLOAT else min(kind.valid_bits or kind.bits, 8 * width),
        big_endian=order == ">",
        positions=kind.positions,
        stated_frames=stated,
    )
    return replace(layout, findings=(*short_of(layout), *findings))


def _unpacked(found: _Found, data: _Chunk, kind: _Format) -> Unpacked:
    """Return what is promised of samples that are no linear PCM."""
    known = (size for size in (found.declared, found.by_the_whole) if size is not None)
    size = next(known, data.size)
    is_companded = bool(size and kind.block) and kind.tag in _COMPANDED
    stated, in_block = (size // kind.block, 0) if is_companded else _stated(found, kind, size)
    by_rate = round(size / kind.byte_rate * kind.sample_rate) if kind.byte_rate else None
    return Unpacked(stated, in_block, by_rate, is_cut=size > data.size)


def _stated_elsewhere(found: _Found, kind: _Format, there: int) -> int | None:
    """Return the frames of data whose size was never filled in, by what else states them; None where nothing does."""
    stated = found.stated_frames
    if stated and not _is_open(stated * kind.block, kind.block):
        return there if stated == there * kind.channels else stated
    return None if found.by_the_whole is None else found.by_the_whole // kind.block


def _stated(found: _Found, kind: _Format, size: int) -> tuple[int | None, int]:
    """Return the samples that the header of packed ones states, and those of a block, where both can be told.

    Some programs state them times the channels.
    """
    content, stated = found.format or b"", found.stated_frames
    in_block = int.from_bytes(content[18:20], "little") if len(content) >= 20 else 0
    if not in_block or not kind.block or stated is None:
        return stated, in_block
    most = -(-size // kind.block) * in_block
    near = [each for each in (stated, stated * kind.channels, stated // kind.channels) if 0 <= most - each < in_block]
    return (near[0] if near else stated), in_block


def _format(content: bytes, order: str) -> _Format:
    if len(content) < 14:
        raise HeaderError("its header says nothing of the samples (its fmt chunk is cut)")
    tag, channels, rate, byte_rate, block = struct.unpack(f"{order}HHIIH", content[:14])
    bits = struct.unpack(f"{order}H", content[14:16])[0] if len(content) >= 16 else 8 * block // max(1, channels)
    valid_bits, positions = bits, default_positions(channels)
    if tag == _EXTENSIBLE and len(content) >= 40:
        valid_bits, mask = struct.unpack(f"{order}HI", content[18:24])
        inner, tail = struct.unpack(f"{order}H", content[24:26])[0], content[26:40]
        if order == ">" and tail != _GUID_TAIL:
            tail = _GUID_TAIL if tail[:6] == b"\0\0\0\0\0\x10" else tail
        if tail != _GUID_TAIL:
            raise HeaderError(f"its samples are of an unknown sub-format ({content[24:40].hex()})")
        tag, positions = inner, _positions(mask, channels)
    if channels < 1:
        raise HeaderError("its header states no channels")
    return _Format(tag, channels, rate, byte_rate, block, bits, valid_bits, positions)


def _positions(mask: int, channels: int) -> tuple[str, ...] | None:
    named = tuple(name for bit, name in enumerate(_SPEAKERS) if mask >> bit & 1)
    return named if len(named) == channels else None


def _is_name(name: bytes) -> bool:
    """Return whether four bytes can be a chunk's name: letters, digits and the like, as all are that are in use."""
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name) and name[:1] not in b" "
