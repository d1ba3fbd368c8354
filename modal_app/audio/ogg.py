"""The pages of an Ogg file: which are whole, where each ends in time, and the links of a chain.

Each page carries a checksum and the position that the music has reached at its end: what was lost is known to the
sample. https://www.xiph.org/ogg/doc/framing.html. No decoding here.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from modal_app.audio.window import Window

_HEAD = 27
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_SEARCHED = 1 << 20
_MAX_PAGE_LENGTH = _HEAD + 255 + 255 * 255
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Page:
    """One whole page of the stream that is heard."""

    offset: int
    granule: int
    """Position at the end of its last finished packet; −1 where none ends on it."""
    begun: int
    """Packets that begin on it."""
    leaves_open: bool
    """Whether the last of them goes on on the next page."""
    follows: bool
    """Whether it comes right behind the page before it: none is missing."""
    is_last: bool


@dataclass(frozen=True)
class OggForm:
    """What a link says it holds."""

    codec: str
    sample_rate: int
    channels: int
    pre_skip: int = 0


@dataclass
class Link:
    """One stream from its first page to its last; a chain has several, one after the other."""

    start: int
    end: int
    form: OggForm
    serial: int
    pages: list[Page] = field(default_factory=list)
    others: int = 0
    """Further streams of sound beside it."""

    @property
    def ends(self) -> bool:
        """Whether its last page is there and says so."""
        return bool(self.pages) and self.pages[-1].is_last

    @property
    def samples(self) -> int:
        """The position that the last page states."""
        granules = [page.granule for page in self.pages if page.granule >= 0]
        return max(0, granules[-1] - self.form.pre_skip) if granules else 0


@dataclass(frozen=True)
class _RawPage:
    offset: int
    size: int
    flags: int
    granule: int
    serial: int
    sequence: int
    lacing: bytes
    begins_with: bytes


def links_of(file: Window) -> list[Link]:
    """Return the links, in order. What is damaged is left out of their pages."""
    links: list[Link] = []
    sequences: dict[int, int] = {}
    opening = True
    for page in _pages(file):
        if page.flags & _FIRST:
            form = _form(page.begins_with)
            if not opening or not links:
                if links:
                    links[-1].end = page.offset
                if form is not None:
                    links.append(Link(page.offset, len(file), form, page.serial))
                    opening = True
            elif form is not None:
                links[-1].others += 1
            sequences[page.serial] = page.sequence
            continue
        opening = False
        if links and page.serial == links[-1].serial:
            links[-1].pages.append(_described(page, page.sequence == sequences.get(page.serial, -2) + 1))
        sequences[page.serial] = page.sequence
    return links


def _described(page: _RawPage, follows: bool) -> Page:
    ends = len(page.lacing) - page.lacing.count(255)
    leaves_open = bool(page.lacing) and page.lacing[-1] == 255
    continued = bool(page.flags & _CONTINUED) and bool(page.lacing)
    begun = ends + leaves_open - continued
    return Page(page.offset, page.granule, begun, leaves_open, follows, bool(page.flags & _LAST))


def _pages(file: Window) -> Iterator[_RawPage]:
    """Yield every page whose checksum is right."""
    at, size = 0, len(file)
    data, start = b"", 0  # a piece of the file: thousands of small reads cost more than the checksums
    while at < size:
        if at + _MAX_PAGE_LENGTH > start + len(data) < size:
            data, start = file.at(at, _SEARCHED), at
        page = _page(data, at - start, start)
        if page is not None:
            yield page
            at += page.size
            continue
        found = data.find(b"OggS", at - start + 1)
        at = start + found if found >= 0 else max(at + 1, start + len(data) - 3)


def _page(data: bytes, at: int, start: int) -> _RawPage | None:
    """Return the page at a place of a piece of the file that begins at `start`."""
    if len(data) - at < _HEAD or data[at : at + 5] != b"OggS\0":
        return None
    flags, granule, serial, sequence, checksum, count = struct.unpack_from("<BqIIIB", data, at + 5)
    body = at + _HEAD + count
    lacing = data[at + _HEAD : body]
    end = body + sum(lacing)
    if len(data) < end or len(lacing) < count:
        return None
    if _checksum(data[at : at + 22] + b"\0\0\0\0" + data[at + 26 : end]) != checksum:
        return None
    return _RawPage(start + at, end - at, flags, granule, serial, sequence, lacing, data[body : min(end, body + 64)])


def _checksum(page: bytes) -> int:
    """Ogg's CRC-32: zlib's polynomial with the bits the other way round, from 0, without the last inversion."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


def _form(head: bytes) -> OggForm | None:
    """Return what the first packet of a stream says; None where it is no sound that is known."""
    if head[:7] == b"\x01vorbis" and len(head) >= 16:
        return OggForm("vorbis", int.from_bytes(head[12:16], "little"), head[11])
    if head[:8] == b"OpusHead" and len(head) >= 12:
        return OggForm("opus", 48_000, head[9], int.from_bytes(head[10:12], "little"))
    if head[:5] == b"\x7fFLAC" and len(head) >= 51:
        packed = int.from_bytes(head[27:35], "big")
        return OggForm("flac", packed >> 44, (packed >> 41 & 7) + 1)
    if head[:8] == b"Speex   " and len(head) >= 52:
        return OggForm("speex", int.from_bytes(head[36:40], "little"), int.from_bytes(head[48:52], "little"))
    return None
