"""`FolderBucket`: a bucket in a folder of this machine. Each object is a file at its encoded key.

An object is written beside the visible ones (in `=tmp`, where no object may lie) and renamed into place, so a reader
sees the old bytes or the new ones. Links are never followed: what is not below the folder is not in the bucket.
"""

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from modal_app.data_root.atomic_writes import atomic_path
from resources.bucket.base import Bucket, StoredObject
from resources.bucket.keys import FOREIGN, check_key, decode_key, encode_key
from resources.errors import BucketError, InvalidKeyError, ObjectNotFoundError

log = logging.getLogger(__name__)

_TEMPORARY = "=tmp"
_MAX_NAME = 240  # file systems allow 255 bytes; a longer encoded segment is split over nested folders
_CHUNK = 1 << 20
_PUT_ATTEMPTS = 100


class FolderBucket(Bucket):
    """Objects as files below `folder`, which is made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self._root = Path(os.path.realpath(folder))
        self._swept = False

    def try_writing(self) -> None:
        """Write, read and remove a small object, and what was made for it: the bucket's folder too where it is new."""
        new = [folder for folder in (self._root / _TEMPORARY, self._root, *self._root.parents) if not folder.exists()]
        try:
            super().try_writing()
        except BucketError as error:
            if not isinstance(error.__cause__, OSError):
                raise
            raise BucketError(
                f"{self._root}: can't be written to: {error.__cause__.strerror or error.__cause__}; "
                "let this user write there, or choose another DAWA_HOME"
            ) from error
        finally:
            for folder in new:
                with contextlib.suppress(OSError):  # never made, or somebody else writes there by now
                    folder.rmdir()

    def put(
        self,
        key: str,
        source: Path | bytes | BinaryIO,
        *,
        content_type: str | None = None,  # noqa: ARG002 - folders keep no types
        consume: bool = False,
    ) -> None:
        """Write an object, replacing the one of this key; on disk (fsync) when the call returns."""
        target = self._path(key)
        with _file_errors(key), contextlib.ExitStack() as stack:
            if consume and isinstance(source, Path) and self._moved_in(source, target, key):
                return
            temporary, file = stack.enter_context(self._temporary())
            shutil.copyfileobj(_as_stream(key, source, stack), file, _CHUNK)
            file.flush()
            os.fsync(file.fileno())
            self._move_in(temporary, target, key)

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Read an object as a stream; a `put` meanwhile does not disturb it."""
        with _file_errors(key):
            file = self._object(key).open("rb")
        with file:
            yield file

    def fetch(self, key: str, target: Path) -> None:
        """Write an object's bytes to a file, atomically; its folder is made if need be."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self.open(key) as source, atomic_path(target) as temporary, temporary.open("xb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
        except OSError as error:
            raise BucketError(
                f"{key}: can't be written to {target}: {error.strerror or error}; see to that and run it again"
            ) from error

    def stat(self, key: str) -> StoredObject | None:
        """Size and time of an object; None where there is none."""
        with _file_errors(key):
            return _stored(key, self._path(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object below a folder in key order; holds one folder's names at a time."""
        folder = prefix.rstrip("/")
        start = self._path(folder) if folder else self._root
        with _file_errors(folder or "the bucket"):
            for stored in _walk(start, f"{folder}/" if folder else ""):
                if stored.key.startswith(f"{FOREIGN}{_TEMPORARY}/"):
                    continue
                if _may_be_asked_for(stored.key):
                    yield stored

    def copy(self, source: str, target: str) -> None:
        """Copy an object; the bytes are those of one moment of the source."""
        check_key(target)
        with self.open(source) as stream:
            self.put(target, stream)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, and the folders that are left empty."""
        for key in keys:
            path = self._path(key)
            with _file_errors(key):
                if _stored(key, path) is None:
                    continue
                path.unlink(missing_ok=True)
                self._prune(path.parent)

    def sign(self, key: str, seconds: int = 3600) -> str:  # noqa: ARG002 - a file needs no leave
        """Return the object's `file://` URL, for whoever may read this machine's files. It does not run out."""
        with _file_errors(key):
            return self._object(key).as_uri()

    def _object(self, key: str) -> Path:
        path = self._path(key)
        if _stored(key, path) is None:
            raise ObjectNotFoundError(f"{key}: no such object in the bucket")
        return path

    def _path(self, key: str) -> Path:
        """Return where the object lies.

        Raises:
            InvalidKeyError: the key may not be asked for.
            BucketError: a link lies on the way there.
        """
        segments = encode_key(key).split("/")
        if segments[0] == _TEMPORARY:
            raise InvalidKeyError(f"object key {key[:200]!r}: it is where objects are written before they are there")
        named = zip(key.split("/"), segments, strict=True)
        path = self._root.joinpath(
            *(
                piece
                for segment, stored in named
                for piece in ([stored] if segment.startswith(FOREIGN) else _split_long(stored))
            )
        )
        if os.path.realpath(path) != str(path):
            raise BucketError(f"{key}: a link lies on its way in the bucket's folder; the bucket follows none")
        return path

    @contextmanager
    def _temporary(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A file to write to, locked for as long as its writer lives: what is not locked was left by a killed one."""
        folder = self._root / _TEMPORARY
        if not folder.is_dir():
            self._make_root()
            folder.mkdir(exist_ok=True)
        self._sweep(folder)
        path, file = _create_locked(folder)
        try:
            with file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)

    def _make_root(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _sweep(self, folder: Path) -> None:
        """Remove what killed writers left; once per process is often enough."""
        if self._swept:
            return
        self._swept = True
        for left in folder.iterdir():
            with contextlib.suppress(FileNotFoundError, BlockingIOError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()

    def _moved_in(self, source: Path, target: Path, key: str) -> bool:
        """Move a file into the bucket, on disk; False where it lies on another file system, or is no plain file."""
        if source.is_symlink() or not source.is_file():
            return False
        self._make_root()
        with source.open("rb") as file:
            os.fsync(file.fileno())
        try:
            self._move_in(source, target, key)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return False
        return True

    def _move_in(self, temporary: Path, target: Path, key: str) -> None:
        for _ in range(_PUT_ATTEMPTS):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(target)
            except FileNotFoundError:
                continue  # a `delete` pruned the folder between the two calls
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                if target.is_dir() or any(parent.is_file() for parent in target.parents):
                    raise BucketError(
                        f"{key}: an object can't be another one's folder, nor lie in an object; choose another key"
                    ) from None
                continue
            with contextlib.suppress(FileNotFoundError):  # deleted again already, with its folder
                _sync_folder(target.parent)
            return
        raise BucketError(f"{key}: its folder was removed again and again while it was being written; put it again")

    def _prune(self, folder: Path) -> None:
        with contextlib.suppress(OSError):  # not empty, or another process was quicker
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent


def _create_locked(folder: Path) -> tuple[Path, BinaryIO]:
    while True:
        path = folder / uuid.uuid4().hex
        file = path.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():  # else swept away by another process, in the moment before it was locked
            return path, file
        file.close()


@contextmanager
def _file_errors(key: str) -> Iterator[None]:
    """Turn the file system's errors into the port's, naming the object."""
    try:
        yield
    except FileNotFoundError:
        raise ObjectNotFoundError(f"{key}: no such object in the bucket") from None
    except OSError as error:
        raise BucketError(
            f"{key}: the bucket's folder refused: {error.strerror or error}; see to that and run it again"
        ) from error


def _as_stream(key: str, source: Path | bytes | BinaryIO, stack: contextlib.ExitStack) -> BinaryIO:
    if isinstance(source, bytes):
        return BytesIO(source)
    if isinstance(source, Path):
        try:
            return stack.enter_context(source.open("rb"))
        except OSError as error:
            raise BucketError(
                f"{key}: {source} can't be read: {error.strerror}; see to that and run it again"
            ) from error
    return source


def _stored(key: str, path: Path) -> StoredObject | None:
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not S_ISREG(status.st_mode):
        return None
    return StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _may_be_asked_for(key: str) -> bool:
    try:
        check_key(key)
    except InvalidKeyError as error:
        log.warning("left out of the bucket: %s", error)
        return False
    return True


def _walk(folder: Path, prefix: str) -> Iterator[StoredObject]:
    for name, path, is_folder in sorted(_entries(folder, "")):
        if is_folder:
            yield from _walk(path, prefix + name)
        elif (stored := _stored(prefix + name, path)) is not None:
            yield stored


def _entries(folder: Path, beginning: str) -> Iterator[tuple[str, Path, bool]]:
    """Yield names of a folder as keys have them, folders with `/` at the end: sorting them gives the order of keys."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and entry.name.endswith("=") and len(entry.name) == _MAX_NAME + 1:
            yield from _entries(Path(entry.path), beginning + entry.name[:-1])
        elif not entry.is_symlink():
            try:
                name = decode_key(beginning + entry.name)
            except InvalidKeyError:
                log.warning("%s: left out of the bucket: an object's file can't have this name", entry.path)
                continue
            yield name + "/" * is_folder, Path(entry.path), is_folder


def _split_long(segment: str) -> list[str]:
    """Return a long encoded segment as folders and a rest; only the folders end in `=`, which no encoded name does."""
    pieces = []
    while len(segment) > _MAX_NAME:
        pieces.append(segment[:_MAX_NAME] + "=")
        segment = segment[_MAX_NAME:]
    return [*pieces, segment]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
