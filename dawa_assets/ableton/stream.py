"""From the bytes of an .als to chunks of XML, within limits that no file can talk its way out of.

Knows gzip and nothing of what the XML says. A few hundred bytes of gzip can hold gigabytes, so every limit is
checked while unpacking, never after it.
"""

import logging
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from dawa_assets.errors import RefusedLiveSetError

log = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
# The largest of 319 real sets unpacks to 37 MB, and sets grow; the best packed one is 41:1. What lies far beyond is
# no set. Memory does not grow with either limit.
MAX_XML_BYTES = 512 * 1024 * 1024
MAX_FILE_BYTES = MAX_XML_BYTES
MAX_MEMBERS = 10_000
MAX_RATIO = 120
# Short of this the ratio means nothing: a run of equal tracks packs far better than a whole set does.
RATIO_FREE_BYTES = 8 * 1024 * 1024

_GZIP_MAGIC = b"\x1f\x8b"
_APPLE_DOUBLE_MAGIC = b"\x00\x05\x16\x07"
# Git LFS had another name before its first release, and still reads what it wrote then.
_GIT_LFS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_REFERENCE = re.compile(rb"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,8}));")
_MAX_REFERENCE_LENGTH = len(b"&#x00000000;")
_REPLACEMENT = b"&#xFFFD;"
_XML_STARTS = (b"<", b"\xef\xbb\xbf<", b"\xff\xfe<\x00", b"\xfe\xff\x00<", b"<\x00", b"\x00<")

COPY_AGAIN = "copy it again from its source, or take one from the project's Backup folder"
SAVE_AGAIN = "open it in Live and save it again"
MAKE_SMALLER = "if Live made it, save it with fewer tracks and clips"
FETCH_FROM_LFS = "fetch the file itself with `git lfs pull`"
GIVE_A_LIVE_SET = "give the .als that Live saved"


def xml_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the XML of an open .als piece by piece, gzipped or plain, at most 64 KiB each.

    Trailing zeros and several gzip members are read as `gzip` reads them. Anything else after the last member
    is left alone with a warning: the set before it has passed its checksum and its XML must still be whole, so
    nothing of it can be missing.

    Raises:
        RefusedLiveSetError: empty, neither gzip nor XML, truncated, damaged, or beyond the limits above.
    """
    source = _Source(file)
    head = source.read()
    if not head:
        raise RefusedLiveSetError("the file is empty", COPY_AGAIN)
    if head.startswith(_APPLE_DOUBLE_MAGIC):
        raise RefusedLiveSetError("not gzip or XML but the side file that macOS keeps beside a set", GIVE_A_LIVE_SET)
    if head.startswith(_GIT_LFS):
        raise RefusedLiveSetError("a Git LFS pointer, which stands for a set and holds none of it", FETCH_FROM_LFS)
    if head.startswith(_GZIP_MAGIC):
        yield from _unpacked(head, source)
    elif head.lstrip().startswith(_XML_STARTS):
        yield from _plain(head, source)
    else:
        raise RefusedLiveSetError("neither gzip nor XML", GIVE_A_LIVE_SET)


class UsableReferences:
    """XML with every character reference that no XML may hold replaced by U+FFFD; `replaced` counts them.

    Live writes some into names that other programs gave it. A reference to NUL is left, and refused by the parser.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.replaced = 0

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self._chunks:
            data = rest + chunk if rest else chunk
            rest = b""
            begun = data.rfind(b"&", max(len(data) - _MAX_REFERENCE_LENGTH, 0))
            if begun >= 0 and b";" not in data[begun:]:
                data, rest = data[:begun], data[begun:]
            if b"&" in data and b"&#" in data:  # one byte is looked for many times as fast as two
                data = _REFERENCE.sub(self._usable, data)
            if data:
                yield data
        if rest:
            yield rest

    def _usable(self, reference: re.Match[bytes]) -> bytes:
        hexadecimal, decimal = reference.groups()
        code = int(hexadecimal, 16) if hexadecimal else int(decimal)
        if (
            code == 0
            or code in (9, 10, 13)
            or 32 <= code < 0xD800
            or 0xE000 <= code < 0xFFFE
            or 0x10000 <= code < 0x110000
        ):
            return reference.group()
        self.replaced += 1
        return _REPLACEMENT


class _Source:
    """An open file and how much of it has been read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0

    def read(self) -> bytes:
        """Return the next chunk, empty at the end."""
        data = self._file.read(CHUNK_BYTES)
        self.size += len(data)
        if self.size > MAX_FILE_BYTES:
            raise RefusedLiveSetError(f"larger than {_megabytes(MAX_FILE_BYTES)}, as no set is", GIVE_A_LIVE_SET)
        return data


def _plain(head: bytes, source: _Source) -> Iterator[bytes]:
    data = head
    while data:
        yield data
        data = source.read()


def _unpacked(head: bytes, source: _Source) -> Iterator[bytes]:
    data, made = head, 0
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            data = data or source.read()
            if not data:
                raise RefusedLiveSetError("truncated: its gzip data stops in the middle", COPY_AGAIN)
            try:
                xml = member.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise RefusedLiveSetError(f"damaged gzip data ({error})", COPY_AGAIN) from None
            data = member.unconsumed_tail
            made += len(xml)
            _check_made(made, source.size - len(data))
            if xml:
                yield xml
        data = _next_member(member.unused_data, source)
        if not data:
            return
    raise RefusedLiveSetError(f"more than {MAX_MEMBERS:,} gzip members, as in no set", GIVE_A_LIVE_SET)


def _next_member(data: bytes, source: _Source) -> bytes:
    """Return what begins the next member, after any zeros; empty if there is none."""
    data = data.lstrip(b"\0")
    while not data:
        more = source.read()
        if not more:
            return b""
        data = more.lstrip(b"\0")
    if len(data) < len(_GZIP_MAGIC):
        data += source.read()
    if data.startswith(_GZIP_MAGIC):
        return data
    log.warning("bytes after the end of the gzip data are left alone")
    return b""


def _check_made(made: int, consumed: int) -> None:
    if made > MAX_XML_BYTES:
        raise RefusedLiveSetError(f"more than {_megabytes(MAX_XML_BYTES)} of XML, as in no set", MAKE_SMALLER)
    if made > RATIO_FREE_BYTES + MAX_RATIO * consumed:
        raise RefusedLiveSetError(f"unpacks to more than {MAX_RATIO} times its size, as no set does", GIVE_A_LIVE_SET)


def _megabytes(count: int) -> str:
    return f"{count // (1024 * 1024)} MB"
