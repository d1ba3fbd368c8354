"""What is to be uploaded, whatever it comes from, as a stream that can be read more than once. No HTTP here."""

import contextlib
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from resources.errors import BucketError

_PIECE = 1 << 18


class UploadSource(io.RawIOBase):
    """The `size` bytes of a seekable stream from where it stands.

    Raises:
        BucketError: from reading, when the stream can't be read or ends too early.
    """

    def __init__(self, key: str, file: BinaryIO, size: int) -> None:
        super().__init__()
        self.size = size
        self._key, self._file = key, file
        self._start, self._at = file.tell(), 0
        self._before = _state(file)

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def seekable(self) -> bool:
        """It can be read again."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; from 0 to `size`."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; 0 at the end."""
        target = memoryview(buffer).cast("B")
        wanted = min(len(target), self.size - self._at)
        if wanted <= 0:
            return 0
        try:
            self._file.seek(self._start + self._at)
            piece = self._file.read(wanted)
        except OSError as error:
            raise BucketError(
                f"{self._key}: the source can't be read: {error.strerror or error}; see to that and run it again"
            ) from error
        if not piece:
            # A writer that empties the file before it fills it again is seen here first.
            self.check_unchanged()
            raise BucketError(f"{self._key}: the source ended at byte {self._at} of {self.size}; put it again")
        target[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """Yield a part of it, piece by piece."""
        self.seek(offset)
        while length and (piece := self.read(min(_PIECE, length))):
            length -= len(piece)
            yield piece

    def digest(self) -> str:
        """Return the SHA-256 of all of it, in hex."""
        digest = hashlib.sha256()
        for piece in self.pieces(0, self.size):
            digest.update(piece)
        return digest.hexdigest()

    def check_unchanged(self) -> None:
        """Raise BucketError when the file was written to since it was opened."""
        if _state(self._file) != self._before:
            raise BucketError(f"{self._key}: the source was changed while it was read; put it again")


@contextmanager
def opened(key: str, source: Path | bytes | BinaryIO, folder: Path) -> Iterator[UploadSource]:
    """A source, ready to be read. A stream that can be read only once is kept in `folder` meanwhile.

    Raises:
        BucketError: the source can't be opened, or the folder can't be written to.
    """
    with contextlib.ExitStack() as stack:
        file, size = _seekable(key, source, folder, stack)
        yield stack.enter_context(UploadSource(key, file, size))


def _seekable(
    key: str, source: Path | bytes | BinaryIO, folder: Path, stack: contextlib.ExitStack
) -> tuple[BinaryIO, int]:
    """Return the source as a seekable stream, and how many bytes it has from where it stands."""
    if isinstance(source, bytes):
        return io.BytesIO(source), len(source)
    if isinstance(source, Path):
        try:
            file = stack.enter_context(source.open("rb"))
            return file, os.fstat(file.fileno()).st_size
        except OSError as error:
            raise BucketError(
                f"{key}: {source} can't be read: {error.strerror}; see to that and run it again"
            ) from error
    if source.seekable():
        start = source.tell()
        size = source.seek(0, os.SEEK_END) - start
        source.seek(start)
        return source, size
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        spool = stack.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 - the stack closes it
    except OSError as error:
        raise BucketError(
            f"{folder}: can't keep a stream to upload: {error.strerror or error}; make room, or set DAWA_HOME"
        ) from error
    shutil.copyfileobj(source, spool, _PIECE)
    size = spool.tell()
    spool.seek(0)
    return spool, size


def _state(file: BinaryIO) -> tuple[int, int] | None:
    """Size and time of a file on disk; None for other streams."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, AttributeError):
        return None
    return status.st_size, status.st_mtime_ns
