"""Folders of work in progress: made complete here, then renamed to where they belong.

A folder is locked by the process that made it, so the next process can tell a killed one's from one in use. Nothing
is synced to disk: what is built here can be made again, and its readers check sizes.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch_folder(scratch: Path) -> Iterator[Path]:
    """A new, empty folder under `scratch`, removed at the end unless it was renamed away."""
    folder, lock = _make_locked(scratch)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def discard(path: Path, scratch: Path) -> None:
    """Remove a folder or link so that nobody sees it half removed: rename it away first. Missing is fine."""
    with scratch_folder(scratch) as grave, suppress(FileNotFoundError):
        path.rename(grave / "discarded")


def sweep(scratch: Path) -> None:
    """Remove what killed processes left; folders in use stay."""
    with suppress(FileNotFoundError):
        for folder in list(scratch.iterdir()):
            with suppress(FileNotFoundError, BlockingIOError, NotADirectoryError), locked(folder, wait=False):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder; it ends with this block or with the process.

    Raises:
        BlockingIOError: somebody else holds it, and `wait` is false.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def _make_locked(scratch: Path) -> tuple[Path, int]:
    while True:
        folder = scratch / uuid.uuid4().hex
        folder.mkdir(parents=True)
        with suppress(FileNotFoundError):  # swept between mkdir and lock: take another
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists():
                return folder, handle
            os.close(handle)
