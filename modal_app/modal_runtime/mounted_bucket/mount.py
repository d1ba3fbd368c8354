"""A mounted bucket, as far as it can be relied on: objects are written once and whole, read, listed and removed.

There are no renames, links, locks, appends or second writes on such a mount; what needs them lies elsewhere.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_CHUNK = 1 << 20


class Mount:
    """The bucket that is mounted at `folder`. Keys are paths below it. Safe across threads and machines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Return where an object can be read; nobody writes there."""
        return self.folder / key

    def put(self, key: str, content: Iterable[bytes]) -> None:
        """Write a new object; it is in the bucket when this returns.

        Raises:
            FileExistsError: there is one, or what a killed writer left of it.
        """
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for block in content:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    def get(self, key: str) -> bytes:
        """Return an object's content.

        Raises:
            FileNotFoundError: there is none.
        """
        return self.path(key).read_bytes()

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder."""
        with suppress(FileNotFoundError):
            return sorted(entry.name for entry in os.scandir(self.path(folder)) if not entry.is_dir())
        return []

    def written_at(self, key: str) -> float:
        """Return when an object was written, in seconds since 1970; infinity where it is gone."""
        with suppress(FileNotFoundError):
            return self.path(key).stat().st_mtime
        return float("inf")

    def remove(self, key: str) -> None:
        """Remove an object. Missing is fine."""
        self.path(key).unlink(missing_ok=True)


def blocks_of(path: Path, size: int | None = None) -> Iterator[bytes]:
    """Yield the content of a file: all of it, or so many bytes from its beginning.

    Raises:
        EOFError: it is shorter.
    """
    left = size
    with path.open("rb") as file:
        while left is None or left > 0:
            block = file.read(_CHUNK if left is None else min(_CHUNK, left))
            if not block:
                break
            left = None if left is None else left - len(block)
            yield block
    if left:
        raise EOFError(f"{path.name}: got shorter while it was read")
