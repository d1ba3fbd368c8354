"""Where exports go: a folder or a file of the user's that is there whole or not at all."""

import errno
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modal_app.data_root.atomic_writes import atomic_path
from modal_app.errors import InputError


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a folder beside the target that becomes it at the end of the block, or is gone.

    Raises:
        InputError: the target has something in it, or can't be written.
    """
    folder = target.parent / f".{target.name}.{uuid.uuid4().hex}.part"
    try:
        if target.exists() and (not target.is_dir() or next(target.iterdir(), None) is not None):
            raise InputError(f"{target}: is there already and not empty; name a new folder with --out")
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
        yield folder
        folder.rename(target)  # takes the place of an empty folder, of no other
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise InputError(f"{target}: was filled meanwhile; name a new folder with --out") from None
        raise InputError(f"{target}: can't be written: {error.strerror or error}; name another folder") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield a path beside the target for a file that takes its place at the end of the block, or is gone.

    Raises:
        InputError: it can't be written.
    """
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(f"{target}: no file can be written there; name one in a folder that is there")
    try:
        with atomic_path(target) as temporary:
            yield temporary
    except OSError as error:
        raise InputError(f"{target}: can't be written: {error.strerror or error}; name another file") from None
