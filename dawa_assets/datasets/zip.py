"""The zip of a dataset: names, order and bytes. Pure: knows no database and no bucket.

All entries are stored as they are (audio does not compress) with fixed times and attributes, so that the same
content gives the same bytes on every machine and day.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from dawa_assets.errors import BadTrackError

AUDIO_FORMATS = frozenset(
    {"mp3", "wav", "wave", "w64", "flac", "aif", "aiff", "ogg", "oga", "opus", "m4a", "aac", "caf"}
)
"""File extensions that may name an entry; nothing else of an upload's name gets into the archive."""

_CHUNK = 1 << 18
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PLAIN_FILE = 0o100644 << 16


@dataclass(frozen=True)
class Track:
    """One pair of the archive: the audio as it is opened, its size and SHA-256 as they are on record, the text."""

    position: int
    audio_format: str
    audio_size: int
    audio_hash: str
    open_audio: Callable[[], AbstractContextManager[BinaryIO]]
    text: str


@dataclass(frozen=True)
class Archive:
    """A finished zip: its bytes' count and SHA-256."""

    size: int
    sha256: str


def entry_names(position: int, audio_format: str) -> tuple[str, str]:
    """Return the two names of a track: `dataset/track-0001.mp3` and `dataset/track-0001.txt`; positions count from 1.

    Raises:
        ValueError: the format is none of `AUDIO_FORMATS`, or the position is below 1.
    """
    if audio_format not in AUDIO_FORMATS:
        raise ValueError(f"audio format {audio_format!r} is not one that a dataset may hold")
    if position < 1:
        raise ValueError("positions count from 1")
    stem = f"dataset/track-{position:04d}"
    return f"{stem}.{audio_format}", f"{stem}.txt"


def write_zip(tracks: Iterable[Track], target: Path) -> Archive:
    """Write the tracks in their order, a piece at a time; whatever their sizes (zip64 where it is needed).

    Raises:
        BadTrackError: a track's bytes are not those on record; `target` is then worth nothing.
    """
    with target.open("w+b") as file, _FollowingHash(file) as following:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for track in tracks:
                audio_name, text_name = entry_names(track.position, track.audio_format)
                _write_audio(archive, audio_name, track)
                archive.writestr(_entry(text_name), track.text.encode())
                following.follow()
        return Archive(target.stat().st_size, following.finish())


class _FollowingHash:
    """SHA-256 of a file while it is written: read back by another thread, up to the last finished track.

    It can't be taken of what is written: a zip's entry begins with a checksum that is known at its end.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._place = 0
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def follow(self) -> Future[None]:
        """Hash what is written by now, in the background."""
        self._file.flush()
        return self._thread.submit(self._hash_up_to, self._file.tell())

    def finish(self) -> str:
        """Return the digest of the whole file, as 64 hex digits."""
        self.follow().result()
        return self._digest.hexdigest()

    def _hash_up_to(self, end: int) -> None:
        start = self._place
        while self._place < end:
            chunk = os.pread(self._file.fileno(), min(_CHUNK, end - self._place), self._place)
            self._digest.update(chunk)
            self._place += len(chunk)
        self._begin_writing_out(start, end)

    def _begin_writing_out(self, start: int, end: int) -> None:
        """Let the disk begin with this part: Linux would leave up to a tenth of the memory to the flush at the end."""
        if hasattr(os, "posix_fadvise"):  # not on macOS
            os.posix_fadvise(self._file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)


def _write_audio(archive: zipfile.ZipFile, name: str, track: Track) -> None:
    digest, size = hashlib.sha256(), 0
    entry = _entry(name)
    entry.file_size = track.audio_size  # decides on zip64 before the first byte is written
    with track.open_audio() as source, archive.open(entry, "w") as sink:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > track.audio_size:
                break
            digest.update(chunk)
            sink.write(chunk)
    if size != track.audio_size or digest.hexdigest() != track.audio_hash:
        raise BadTrackError(track.position)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_STORED
    entry.create_system = _UNIX
    entry.external_attr = _PLAIN_FILE
    return entry
