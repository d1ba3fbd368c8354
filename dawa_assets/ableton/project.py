"""Which Live project a file lies in: one rule for everything that asks, on a disk or by names alone."""

import unicodedata
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TypeVar

P = TypeVar("P", bound=PurePath)

PROJECT_MARK = "Ableton Project Info"
_SUFFIX = " Project"


def project_around(file: P, is_marked: Callable[[P], bool]) -> P | None:
    """Return the nearest folder above a file that Live keeps as a project, however deep the file lies in it.

    Live marks it by a folder `Ableton Project Info`. Where none of the folders has that (it is often left out when a
    project is copied), it is the file's own folder, or the one above, if its name ends as Live ends a project's.

    Args:
        file: its path, with no `..` in it.
        is_marked: whether a folder above it holds the mark.
    """
    folders = [folder for folder in file.parents if folder.name]
    marked = next((folder for folder in folders if is_marked(folder)), None)
    return marked or next((folder for folder in folders[:2] if folder.name.endswith(_SUFFIX)), None)


def project_folder(file: Path) -> Path | None:
    """Return the project that a file on this machine lies in; None where it lies in none."""
    return project_around(file.parent.resolve() / file.name, _is_marked)


def project_name(folder: PurePath | None) -> str:
    """Return what a project is called: as its folder, with letters composed as everywhere here; empty for none.

    What can't be shown on one line is replaced.
    """
    name = "" if folder is None else unicodedata.normalize("NFC", folder.name)
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _is_marked(folder: Path) -> bool:
    try:
        return (folder / PROJECT_MARK).is_dir()
    except OSError:
        return False  # no right to look, or too long a path: then nothing is known of it
