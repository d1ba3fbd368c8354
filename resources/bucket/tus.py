"""Resumable uploads (the TUS protocol, as Supabase Storage speaks it) and the records that let one be resumed.

A record is a small file that names an unfinished upload. It is found again by what would be uploaded: the same bytes to
the same key. What was cut, by a broken connection or by the death of its process, goes on at the server's offset.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import httpx

from resources.bucket.storage_link import StorageLink, Tries
from resources.bucket.upload_source import UploadSource
from resources.errors import BucketError, StorageRefusalError

CHUNK = 6 * 2**20  # Storage takes parts of this size only, but for the last
_VERSION = {"Tus-Resumable": "1.0.0"}
_UPSERT = {"x-upsert": "true"}  # with each call: Storage heeds that of the call that brings the last byte
_UNKNOWN = frozenset({404, 410})
_BUSY = frozenset({409, 423})  # another offset than we think, or the end of a broken call still holds the upload
_ANEW = 3  # how often an upload that the server forgot is begun again
_KEPT_SECONDS = 86400.0  # the server forgets an unfinished upload after a day


class ResumeRecords:
    """Records of unfinished uploads in a folder of this machine; each is locked by the upload that uses it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._swept = False

    @contextmanager
    def record(self, *what: str) -> Iterator["ResumeRecord"]:
        """The record of this upload. A second upload of the same gets one that is not kept.

        Raises:
            BucketError: the folder can't be written to.
        """
        path = self._folder / (hashlib.sha256(json.dumps(what).encode()).hexdigest()[:40] + ".upload")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            file = _locked(path)
        except OSError as error:
            raise BucketError(
                f"{self._folder}: can't keep records of uploads: {error.strerror or error}; make room, or set DAWA_HOME"
            ) from error
        if file is None:
            yield ResumeRecord(None)
            return
        with file:
            record = ResumeRecord(file)
            try:
                yield record
            finally:
                if not record.upload:
                    path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove records that are too old to be of use; once per process is often enough."""
        if self._swept:
            return
        self._swept = True
        for path in self._folder.glob("*.upload"):
            with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()


class ResumeRecord:
    """The id of an unfinished upload; empty where there is none."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self.upload = file.read(4096).decode("ascii", "replace").strip() if file else ""

    def set(self, upload: str) -> None:
        """Keep this id, or, if it is empty, none."""
        self.upload = upload
        if self._file:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(upload.encode())
            self._file.flush()
            os.fsync(self._file.fileno())


class TusUpload:
    """One upload."""

    def __init__(
        self, link: StorageLink, key: str, metadata: dict[str, str], source: UploadSource, record: ResumeRecord
    ) -> None:
        self._link, self._key, self._source, self._size, self._record = link, key, source, source.size, record
        self._metadata = ",".join(
            f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in metadata.items()
        )

    def run(self, visible_version: Callable[[], str | None]) -> None:
        """Send what is missing, until the object is there: until `visible_version` gives the upload's own.

        Raises:
            BucketError: Storage refuses, does not answer, or has another number of bytes in the end; or the source
                was changed meanwhile.
        """
        for _ in range(_ANEW):
            if self._record.upload:
                offset = self._offset()
            else:
                self._record.set(self._link.call(self._key, self._create))
                offset = 0
            while offset is not None and offset < self._size:
                if self._size - offset <= CHUNK:
                    self._source.check_unchanged()
                offset = self._send(offset)
            # All bytes may have come without an object's having been made of them: the version is what proves it.
            if offset == self._size and visible_version() == self._version():
                self._record.set("")
                return
            self._record.set("")
        raise BucketError(f"{self._key}: Storage forgot the upload {_ANEW} times; put it again")

    def _send(self, offset: int) -> int | None:
        """Send a part; gives where to go on, or None where the server no longer knows the upload."""
        tries = Tries(self._link.retries)
        while True:
            try:
                return self._stated_offset(self._patch(offset, min(CHUNK, self._size - offset)), at_least=offset + 1)
            except (StorageRefusalError, httpx.HTTPError) as error:
                if isinstance(error, StorageRefusalError) and error.status in _UNKNOWN and not error.no_bucket:
                    return None
                passing = StorageRefusalError(503, "", str(error), None) if _is_busy(error) else error
                if not tries.pause(passing):
                    raise self._link.error_of(self._key, error) from None
            there = self._offset()
            if there is None or there > offset:
                return there
            offset = there

    def _create(self) -> str:
        headers = _VERSION | _UPSERT | {"Upload-Length": str(self._size), "Upload-Metadata": self._metadata}
        answer = self._link.http.post(self._link.base + "upload/resumable", headers=headers)
        # Only the id is taken: behind a proxy the server may call itself by an address that the key must not go to.
        return str(answer.headers["location"].rstrip("/").rpartition("/")[2])

    def _patch(self, offset: int, length: int) -> httpx.Response:
        headers = _VERSION | _UPSERT | {"Upload-Offset": str(offset), "Content-Length": str(length)}
        headers["Content-Type"] = "application/offset+octet-stream"
        return self._link.http.patch(self._url(), headers=headers, content=self._source.pieces(offset, length))

    def _offset(self) -> int | None:
        """Return how far the server is; None where it does not know the upload, or knows it as another one."""

        def ask() -> int | None:
            try:
                answer = self._link.http.head(self._url(), headers=_VERSION)
            except StorageRefusalError as refusal:
                if refusal.status in _UNKNOWN:
                    return None
                raise
            if answer.headers.get("upload-length") != str(self._size):
                return None
            return self._stated_offset(answer, at_least=0)

        return self._link.call(self._key, ask)

    def _stated_offset(self, answer: httpx.Response, at_least: int) -> int:
        stated = answer.headers.get("upload-offset", "")
        if not stated.isdigit() or not at_least <= int(stated) <= self._size:
            self._record.set("")
            raise BucketError(f"{self._key}: Storage has {stated or 'no'} bytes of {self._size}; put it again")
        return int(stated)

    def _url(self) -> str:
        return f"{self._link.base}upload/resumable/{self._record.upload}"

    def _version(self) -> str:
        """Return the version that the finished object has: the last part of what the upload's id encodes."""
        upload = self._record.upload
        with contextlib.suppress(ValueError):
            return base64.urlsafe_b64decode(upload + "=" * (-len(upload) % 4)).decode().rpartition("/")[2]
        return ""


def _is_busy(error: Exception) -> bool:
    return isinstance(error, StorageRefusalError) and error.status in _BUSY


def _locked(path: Path) -> BinaryIO | None:
    """Return the record's file, locked for as long as it is open; None where another upload holds it."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # removed by its last user, in the moment before it was locked
