"""Files that are written whole or not at all: under a temporary name on the same file system, then renamed.

What holds for every function here: a reader sees the earlier file or the new one, never a part of it; of several
writers at once one wins; when the writing fails, the earlier file stays and the temporary one is removed. A killed
process may leave its temporary file: beside the target as `.<32 hex digits>.part`, or in its scratch folder, which
`sweep` removes.

Nothing is synced to disk (fsync): after a power cut a file may be as it was before, or empty. That is enough for what
can be made again or is checked when it is read. An object of a `FolderBucket` can't be made again, so that one syncs
file and folder itself. The target's folder must exist: a folder that was removed meanwhile must not come back.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modal_app.data_root.scratch import scratch_folder


@contextmanager
def atomic_path(target: Path, folder: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path, to be made a file or a link; it takes the target's place at the end of the block.

    It lies beside the target, or in `folder`, which is then on the same file system. Nothing is there yet.
    """
    temporary = _temporary(target, folder)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def scratch_path(target: Path, scratch: Path) -> Iterator[Path]:
    """Yield a path like `atomic_path`, of the target's own name, in a new folder under `scratch`."""
    with scratch_folder(scratch) as folder:
        yield folder / target.name
        (folder / target.name).replace(target)


def write_atomic(target: Path, content: str | bytes, folder: Path | None = None) -> None:
    """Write a file, in place of one that is there. Text is written as UTF-8."""
    with atomic_path(target, folder) as temporary:
        temporary.write_bytes(_encoded(content))


def create_atomic(target: Path, content: str | bytes, folder: Path | None = None, *, mode: int = 0o666) -> bool:
    """Write a file where there is none, with this mode less the umask; false where there was one, which then stays.

    Of several writers at once one gets true. The file system needs hard links.
    """
    temporary = _temporary(target, folder)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(_encoded(content))
        os.link(temporary, target)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def read_or_create(path: Path, make: Callable[[], bytes], *, mode: int = 0o666) -> bytes:
    """Return a file's bytes; one that is not there is made first, with this mode less the umask."""
    if not path.exists():
        create_atomic(path, make(), mode=mode)
    return path.read_bytes()


def _temporary(target: Path, folder: Path | None) -> Path:
    return (folder or target.parent) / f".{uuid.uuid4().hex}.part"


def _encoded(content: str | bytes) -> bytes:
    return content.encode("utf-8") if isinstance(content, str) else content
