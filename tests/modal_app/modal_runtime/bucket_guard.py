"""A folder that behaves as a mounted bucket: nothing in it is renamed, linked, locked, appended to or written twice.

It watches every such call of this process, whoever makes it, and by whichever name it reaches the folder.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_guarded: set[str] = set()
_NEVER = ("os.rename", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.utime", "fcntl.flock", "fcntl.lockf")


@contextmanager
def as_a_mount(folder: Path) -> Iterator[Path]:
    """Guard a folder for the length of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    name = os.path.realpath(folder)
    _guarded.add(name)
    try:
        yield Path(name)
    finally:
        _guarded.remove(name)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _guarded:
        return
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_TRUNC)
        if writes and (flags & os.O_APPEND or not flags & os.O_EXCL) and _is_inside(path, follow=True):
            raise PermissionError(1, "a mount's object is written once", str(path))
    elif event in _NEVER:
        for argument in arguments[event == "os.symlink" : 2]:  # a link may lead there from elsewhere
            if _is_inside(argument, follow=event in ("os.truncate", "os.chmod", "os.utime")):
                raise PermissionError(1, f"a mount has no {event}", str(argument))


def _is_inside(path: object, *, follow: bool) -> bool:
    if isinstance(path, int):
        path = f"/proc/self/fd/{path}"
        follow = True
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str | os.PathLike):
        return False
    parent, name = os.path.split(os.fspath(path))
    real = os.path.realpath(path) if follow else f"{os.path.realpath(parent or '.')}/{name}"
    return any(real.startswith(f"{folder}/") for folder in _guarded)


sys.addaudithook(_refuse)
