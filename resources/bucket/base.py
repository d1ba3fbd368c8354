"""The `Bucket` port: named objects with bytes, streamed in and out. What a key means is not known here.

Keys are `/`-separated and may hold any Unicode; an implementation encodes what its store refuses and decodes
it again, so that callers see the keys that they wrote (`resources/bucket/keys.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal
from uuid import uuid4

from resources.errors import BucketError


@dataclass(frozen=True)
class StoredObject:
    """One object: its key, its size in bytes, and when it was last written (UTC)."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class UploadLink:
    """Leave to write one object, for whoever has it.

    `put`: one PUT of the bytes to `url`, with `headers`. `tus`: a resumable upload by the protocol of tus.io; the first
    request goes to `url`, and each one has `headers`; `metadata` is that request's `Upload-Metadata`; parts have
    `chunk_bytes` bytes, but for the last one. The rest is what client libraries ask for: the bucket, the object's name
    in it, its content type, and the token that is the leave.
    """

    kind: Literal["put", "tus"]
    url: str
    headers: dict[str, str]
    bucket: str = ""
    name: str = ""
    content_type: str = ""
    token: str = ""
    metadata: str = ""
    chunk_bytes: int = 0


class Bucket(ABC):
    """A private store of objects. Writes are atomic: an object is there whole or not at all.

    Every method raises `InvalidKeyError` for a key that no bucket may be asked for, and `BucketError` when
    the store does not answer.
    """

    def inspect(self) -> tuple[Literal["ok", "warning", "error"], str]:
        """Say in one line whether the bucket can be used, with the way out where not. Makes nothing."""
        found = next(iter(self.list("artists")), None)
        return "ok", "answers" if found else "answers, nothing of an artist in it yet"

    def try_writing(self) -> None:
        """Write a small object, read it back and remove it: nothing is left behind.

        Raises:
            BucketError: one of that is refused; the message says which, why, and the way out.
        """
        key = f"doctor/{uuid4().hex}"
        written = key.encode()
        self.put(key, written, content_type="text/plain")
        try:
            with self.open(key) as stream:
                read = stream.read(len(written) + 1)
        finally:
            self.delete([key])
        if read != written:
            raise BucketError(f"{key}: other bytes come back than were written; look at what lies before the bucket")
        if self.stat(key) is not None:
            raise BucketError(f"{key}: can be written and not removed; give the bucket's user leave to delete")

    @abstractmethod
    def put(
        self, key: str, source: Path | bytes | BinaryIO, *, content_type: str | None = None, consume: bool = False
    ) -> None:
        """Write an object from a file, from bytes, or from a stream, replacing the one of this key.

        The content type is guessed from the key where none is given. With `consume` nobody needs the source any more:
        a file may be moved instead of copied.
        """

    @abstractmethod
    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Read an object as a stream. Raises `ObjectNotFoundError`."""

    @abstractmethod
    def fetch(self, key: str, target: Path) -> None:
        """Write an object's bytes to a file, atomically. Raises `ObjectNotFoundError`."""

    @abstractmethod
    def stat(self, key: str) -> StoredObject | None:
        """Return what is known of an object without reading it; None where there is none."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Return every object below a folder (`prefix` names one, with or without `/` at its end), in key order."""

    @abstractmethod
    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the bucket, replacing the target. Raises `ObjectNotFoundError`."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error."""

    @abstractmethod
    def sign(self, key: str, seconds: int = 3600) -> str:
        """Return a URL under which whoever holds it can read the object for so many seconds.

        Raises `ObjectNotFoundError`.
        """

    def upload_link(self, key: str, size: int) -> UploadLink | None:  # noqa: ARG002 - of a store that gives no leave
        """Leave to write an object of `size` bytes straight to the store, for a while; None where it gives none.

        An object that is there already is not replaced.
        """
        return None
