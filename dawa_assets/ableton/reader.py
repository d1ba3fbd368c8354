"""Reads a Live Set of Live 8 to 12 in one pass: memory stays flat whatever the file's size or intent.

The parts: `stream.py` unpacks within limits, `walk.py` parses along the map of `grammar.py`, `builder.py`
collects.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import BinaryIO
from xml.parsers import expat

from dawa_assets.ableton.builder import Builder
from dawa_assets.ableton.grammar import START
from dawa_assets.ableton.live_set import LiveSet
from dawa_assets.ableton.stream import COPY_AGAIN, GIVE_A_LIVE_SET, UsableReferences, xml_chunks
from dawa_assets.ableton.walk import walk
from dawa_assets.errors import RefusedLiveSetError, UnreadableLiveSetError

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def read_live_set(path: Path, *, with_onsets: bool = False) -> LiveSet:
    """Read the set at `path`, gzipped or plain XML; `with_onsets` also keeps when each note and clip begins.

    Raises:
        UnreadableLiveSetError: no regular file, no Live Set, damaged, or beyond the limits that keep a reading
            within a few seconds and some 100 MB. The message is one line: file, reason, way out.
    """
    try:
        with _open_regular(path) as file:
            return _read(file, PurePath(shown_name(path)).stem, with_onsets=with_onsets)
    except RefusedLiveSetError as refused:
        raise UnreadableLiveSetError(f"{shown_name(path)}: {refused.reason}; {refused.way_out}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableLiveSetError(f"{shown_name(path)}: can't be read ({reason}); check path and rights") from None


def shown_name(path: Path) -> str:
    """Return the file's name, fit for one line of UTF-8 whatever bytes it is made of."""
    name = os.fsencode(path.name or str(path)).decode("utf-8", "backslashreplace")
    return _UNPRINTABLE.sub("?", name)


def _open_regular(path: Path) -> BinaryIO:
    # A FIFO would hang in open() and a device never end, so the kind is asked for first.
    try:
        mode = path.stat().st_mode
    except ValueError:
        raise RefusedLiveSetError("a name with a NUL, which no file has", "check the path") from None
    if stat.S_ISDIR(mode):
        raise RefusedLiveSetError("a folder, not a Live Set", "give the .als files in it")
    if not stat.S_ISREG(mode):
        raise RefusedLiveSetError("not a regular file", GIVE_A_LIVE_SET)
    return path.open("rb")


def _read(file: BinaryIO, name: str, *, with_onsets: bool) -> LiveSet:
    builder = Builder(with_onsets=with_onsets)
    unpacked = xml_chunks(file)
    chunks = UsableReferences(unpacked)
    try:
        walk(chunks, START, builder)
    except expat.ExpatError as error:
        _refuse_if_damaged(unpacked)
        place = f"line {error.lineno}, column {error.offset}"
        raise RefusedLiveSetError(f"XML error: {expat.ErrorString(error.code)} ({place})", COPY_AGAIN) from None
    if chunks.replaced:
        many = "s" if chunks.replaced > 1 else ""
        builder.warn(f"{chunks.replaced:,} unusable character reference{many} replaced")
    return builder.finish(name)


def _refuse_if_damaged(rest: Iterator[bytes]) -> None:
    """Damaged gzip data unpacks to damaged XML before its checksum tells; that is then the reason to give."""
    for _chunk in rest:
        pass
