"""Reading an object of Storage as a stream, going on after a broken connection. What is read, and why, is not known."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import httpx

from resources.bucket.storage_link import StorageLink, Tries
from resources.errors import BucketError, ReplacedObjectError, StorageRefusalError

_PIECE = 1 << 18


class StorageReader(io.RawIOBase):
    """The bytes of one version of an object. A connection that breaks is made again from where it broke.

    Raises:
        ObjectNotFoundError: no object has this key.
        ReplacedObjectError: from `readinto`, see there.
        BucketError: Storage does not answer, or gives another length than it promised.
    """

    def __init__(self, link: StorageLink, key: str, path: str) -> None:
        super().__init__()
        self._link, self._key, self._path = link, key, path
        self._tries = Tries(link.retries)
        self._at = 0
        self._rest = memoryview(b"")
        self._open = contextlib.ExitStack()
        response = link.call(key, lambda: self._ask({}))
        self._tag = response.headers.get("etag")
        length = response.headers.get("content-length", "")
        self._size = int(length) if length.isdigit() else None
        self._pieces = response.iter_raw(_PIECE)

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; 0 at the end of the object."""
        while not self._rest:
            try:
                piece = next(self._pieces, None)
            except (httpx.HTTPError, StorageRefusalError) as error:
                self._go_on(error)
                continue
            if piece is None:
                if self._size is not None and self._at != self._size:
                    raise BucketError(f"{self._key}: {self._at} bytes came of {self._size}; read it again")
                return 0
            self._rest = memoryview(piece)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._at += count
        self._tries.start_over()
        return count

    def close(self) -> None:
        """Give the connection back."""
        self._open.close()
        super().close()

    def _ask(self, headers: dict[str, str]) -> httpx.Response:
        # With the key, not a signed link: a link may run out before a slow reader is through.
        request = self._link.http.build_request("GET", self._link.base + self._path, headers=headers)
        response = self._link.http.send(request, stream=True)
        self._open.callback(response.close)
        return response

    def _go_on(self, error: Exception) -> None:
        """Ask for the rest, of the same version; `_pieces` gives it then, or the next error."""
        self._open.close()
        if self._at == self._size:
            self._pieces = iter(())
            return
        if not self._tries.pause(error):
            raise self._link.error_of(self._key, error) from None
        if self._tag is None:
            raise BucketError(f"{self._key}: the connection broke at byte {self._at}; read it again") from None
        try:
            response = self._ask({"Range": f"bytes={self._at}-", "If-Range": self._tag})
        except httpx.HTTPError as again:
            self._pieces = _raising(again)
            return
        except StorageRefusalError as refusal:
            if refusal.status == 416:
                raise self._replaced() from None
            self._pieces = _raising(refusal)
            return
        if response.headers.get("etag") != self._tag:
            raise self._replaced()
        if response.status_code != 206 or not self._continues(response.headers.get("content-range", "")):
            raise BucketError(f"{self._key}: the connection broke at byte {self._at}; read it again")
        self._pieces = response.iter_raw(_PIECE)

    def _continues(self, content_range: str) -> bool:
        return content_range == f"bytes {self._at}-{(self._size or 0) - 1}/{self._size}"

    def _replaced(self) -> ReplacedObjectError:
        return ReplacedObjectError(f"{self._key}: it was replaced while it was being read; read it again")


def _raising(error: Exception) -> Iterator[bytes]:
    raise error
    yield b""
