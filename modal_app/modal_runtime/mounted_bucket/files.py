"""Files of a mounted bucket for machines that have not mounted it: read and written block by block, through calls.

Asked by `AppFiles` on the one side, answered by `read_block`, `write_block` and `enter_file` in the app on the other.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import time
from typing import Any, BinaryIO

from modal_app.errors import JobError
from modal_app.modal_runtime.mounted_bucket.index import Index, Record, follow_links
from modal_app.modal_runtime.mounted_bucket.mount import Mount, blocks_of
from modal_app.modal_runtime.remote_calls import require_below

BLOCK = 8 << 20
READ, WRITE, ENTER = "read_block", "write_block", "enter_file"
"""What the app calls its three functions."""

_PARTS = "parts"
_PARTS_SECONDS = 24 * 3600.0  # after which a part is left over from who never came to an end

Block = tuple[str, bytes, bool]
"""The object that a block is of, its bytes, and whether it is the last one."""


class MountFiles:
    """The app's side: one for each container."""

    def __init__(self, mount: Mount) -> None:
        self._mount, self._index = mount, Index(mount)

    def read_block(self, path: str, key: str, start: int) -> Block | None:
        """The block of a file that begins at `start`, of the object `key`, or of what the file is now where that is "".

        None where there is no such file.

        Raises:
            JobError: the object is gone.
        """
        if not key:
            record = follow_links(self._index.look(), require_below(path))
            if record is None or record.key is None:
                return None
            key = record.key
        try:
            with self._mount.path(require_below(key)).open("rb") as file:
                file.seek(start)
                content = file.read(BLOCK + 1)
        except FileNotFoundError:
            raise JobError(f"{path}: was removed while it was read; run it again") from None
        return key, content[:BLOCK], len(content) <= BLOCK

    def write_block(self, upload: str, number: int, content: bytes) -> None:
        """Keep a block of a file that is coming. The same one may come twice."""
        key = _part(upload, number)
        try:
            self._mount.put(key, [content])
        except FileExistsError:
            if self._mount.get(key) != content:  # of a container that was taken away
                self._mount.remove(key)
                self._mount.put(key, [content])

    def enter_file(self, path: str, upload: str, blocks: int) -> None:
        """Make a file of the blocks that came: whole, for everybody at once.

        Raises:
            JobError: a block is not there, or the path leads elsewhere.
        """
        parts = [_part(upload, number) for number in range(blocks)]
        self._index.begin()
        self._index.look()
        key = self._index.plan([require_below(path)])[path]
        try:
            size = sum(self._mount.path(part).stat().st_size for part in parts)
            self._mount.put(key, _joined(self._mount, parts))
        except FileNotFoundError:
            raise JobError(f"{path}: came in pieces, and one is missing; send it again") from None
        self._index.enter({path: Record(0, "", key, size)})
        for part in parts:
            self._mount.remove(part)
        for name in self._mount.names(_PARTS):
            if self._mount.written_at(f"{_PARTS}/{name}") < time() - _PARTS_SECONDS:
                self._mount.remove(f"{_PARTS}/{name}")


class AppFiles:
    """The other machine's side. `ask` calls one of the app's functions by its name, and waits for its answer."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def read(self, path: str, target: BinaryIO) -> None:
        """Write a file's content to `target`, all of it as it was at one moment.

        Raises:
            FileNotFoundError: there is no such file.
        """
        key, start, is_last = "", 0, False
        while not is_last:
            block: Block | None = self._ask(READ, require_below(path), key, start)
            if block is None:
                raise FileNotFoundError(path)
            key, content, is_last = block
            target.write(content)
            start += len(content)

    def write(self, path: str, source: Path) -> None:
        """Put a file of this machine there, whole or not at all."""
        upload, number = uuid.uuid4().hex, 0
        for content in _large_blocks(source):
            self._ask(WRITE, upload, number, content)
            number += 1
        self._ask(ENTER, require_below(path), upload, number)


def _large_blocks(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while content := file.read(BLOCK):
            yield content


def _joined(mount: Mount, parts: Iterable[str]) -> Iterator[bytes]:
    for part in parts:
        yield from blocks_of(mount.path(part))


def _part(upload: str, number: int) -> str:
    if not upload.isalnum():
        raise JobError(f"{upload!r}: is no name of an upload; begin the upload anew")
    return f"{_PARTS}/{upload}-{number:06d}"
