"""Which of the files that a user points at are uploaded: their sets and bounces, not what Ableton keeps beside them.

A project folder holds hundreds of samples and a backup of every save. What is left out is told with its reason;
a file that is named itself is always taken if it is a Live Set or audio.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dawa_assets.ableton.project import PROJECT_MARK, project_folder, project_name
from dawa_assets.intake.kinds import kind_of, loose_stem
from dawa_assets.tables.uploads import Kind
from modal_app.errors import InputError

_FOLDERS_OF_ABLETON = {
    "backup": "Ableton's backup copies of the project's sets; name the folder itself to upload them",
    "samples": "samples of the project; name a file itself to upload it",
    PROJECT_MARK.lower(): "Ableton's own data",
}
_NO_MUSIC = "neither a Live Set nor audio"
_HIDDEN = "hidden"
_SAMPLES = "audio below a project's folder that has no set's name: samples, most likely; name it itself to upload it"


@dataclass(frozen=True)
class SelectedFile:
    """A file to upload, its name in the upload (folders and all, `/`-separated), and the project that it lies in.

    The project may begin above all that is uploaded. It is empty where the file lies in none.
    """

    path: Path
    name: str
    project: str


@dataclass(frozen=True)
class Selection:
    """What is uploaded, and what is left out as (name, reason)."""

    files: list[SelectedFile]
    skipped: list[tuple[str, str]]


def select_files(paths: Sequence[Path]) -> Selection:
    """Look through files and folders. A folder's own name stays: files are told apart and found together by it.

    Raises:
        InputError: a path leads to nothing.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder; check the path")
    search = _Search()
    for path in paths:
        if path.is_dir():
            search.folder(path, search.free_name(_name(path.resolve()) or "root"), None)
        else:
            search.named_file(path)
    return Selection(search.files, search.skipped())


def skipped_names(names: Sequence[str]) -> dict[str, str]:
    """Of files that are known by their names alone, as a browser tells a dropped folder: those left out, and why.

    Args:
        names: `/`-separated, folders and all. A name without a folder is of a file that was named itself.
    """
    parts = {name: name.split("/") for name in names}
    projects = {"/".join(each[:-1]) for each in parts.values() if kind_of(each[-1]) is Kind.LIVE_SET}
    stems: dict[str, set[str]] = defaultdict(set)
    marked = {"/".join(each[:place]) for each in parts.values() for place in _marks(each)}
    for each in parts.values():
        if kind_of(each[-1]) is Kind.LIVE_SET:
            stems["/".join(each[:-1])].add(loose_stem(each[-1]))
            for above in {"/".join(each[:place]) for place in range(1, len(each) - 1)} & marked:
                stems[above].add(loose_stem(each[-1]))
    projects |= marked
    found = {name: _why_skipped(each, projects, stems) for name, each in parts.items()}
    return {name: reason for name, reason in found.items() if reason is not None}


def _marks(parts: list[str]) -> list[int]:
    return [place for place, part in enumerate(parts[:-1]) if part == PROJECT_MARK and place]


def _why_skipped(parts: list[str], projects: set[str], stems: dict[str, set[str]]) -> str | None:
    *folders, name = parts
    if any(part.startswith(".") for part in parts):
        return _HIDDEN
    above = ["/".join(folders[:place]) for place in range(1, len(folders) + 1)]
    for folder, inside in zip(above, folders[1:], strict=False):
        if folder in projects and inside.lower() in _FOLDERS_OF_ABLETON:
            return _FOLDERS_OF_ABLETON[inside.lower()]
    if (kind := kind_of(name)) is Kind.OTHER:
        return _NO_MUSIC
    outer = [folder for folder in above if folder in projects]
    if kind is Kind.AUDIO and outer and above[-1] not in projects:
        known = {stem for folder in outer for stem in stems[folder]}
        return None if loose_stem(name) in known else _SAMPLES
    return None


class _Search:
    def __init__(self) -> None:
        self.files: list[SelectedFile] = []
        self._skipped: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._seen: set[Path] = set()
        self._names: set[str] = set()
        self._projects: dict[Path, str] = {}

    def skipped(self) -> list[tuple[str, str]]:
        """Return one entry per folder and reason: a project's hundred `.asd` files are one line."""
        return [
            (f"{folder}{names[0]}" if len(names) == 1 else f"{folder or './'} ({len(names)} files)", reason)
            for (folder, reason), names in self._skipped.items()
        ]

    def free_name(self, name: str) -> str:
        """Return the name, or ` (2)`, ` (3)` … after it: two things of one name must not overwrite each other."""
        free, number = name, 1
        while free in self._names:
            number += 1
            free = f"{name} ({number})"
        self._names.add(free)
        return free

    def named_file(self, path: Path) -> None:
        if kind_of(path.name) is Kind.OTHER:
            self._skip("", path.name, _HIDDEN if path.name.startswith(".") else _NO_MUSIC)
            return
        self._take(path, "")

    def folder(self, folder: Path, name: str, stems: frozenset[str] | None) -> None:
        """Take what is in a folder. `stems`: of the sets of the project that it is in; None outside of one."""
        prefix = f"{name}/"
        real = folder.resolve()
        if real in self._seen:
            self._skip("", prefix, "the same folder again, by a link")
            return
        self._seen.add(real)
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            self._skip("", prefix, f"can't be read: {error.strerror}")
            return
        own = frozenset(loose_stem(entry.name) for entry in entries if kind_of(entry.name) is Kind.LIVE_SET)
        is_marked = any(entry.name == PROJECT_MARK for entry in entries)
        is_project = bool(own) or is_marked
        if is_marked:  # its sets may lie in one folder and their bounces in another
            below = [name for _, _, names in os.walk(folder) for name in names]
            own |= {loose_stem(name) for name in below if kind_of(name) is Kind.LIVE_SET}
        for entry in entries:
            if entry.name.startswith("."):
                self._skip(prefix, entry.name, _HIDDEN)
            elif entry.is_dir():
                reason = _FOLDERS_OF_ABLETON.get(entry.name.lower()) if is_project else None
                if reason is not None:
                    self._skip_folder(entry, prefix + _name(entry), reason)
                else:
                    self.folder(entry, prefix + _name(entry), own | (stems or frozenset()) if is_project else stems)
            elif (kind := kind_of(entry.name)) is Kind.OTHER:
                self._skip(prefix, entry.name, _NO_MUSIC)
            elif kind is Kind.AUDIO and not is_project and stems is not None and loose_stem(entry.name) not in stems:
                self._skip(prefix, entry.name, _SAMPLES)
            else:
                self._take(entry, prefix)

    def _take(self, path: Path, prefix: str) -> None:
        if not path.is_file():
            self._skip(prefix, path.name, "no file that can be read (a broken link, a pipe or a device)")
            return
        if not os.access(path, os.R_OK):
            self._skip(prefix, path.name, "can't be read: permission denied")
            return
        real = path.resolve()
        if real in self._seen:
            return
        self._seen.add(real)
        name = prefix + _name(path)
        if not name.isprintable():
            self._skip(prefix, path.name, "a name with control characters or broken letters; rename it")
            return
        if name in self._names:
            name = f"{self.free_name('again')}/{name}"
        self._names.add(name)
        if path.parent not in self._projects:
            self._projects[path.parent] = project_name(project_folder(path))
        self.files.append(SelectedFile(path, name, self._projects[path.parent]))

    def _skip(self, folder: str, name: str, reason: str) -> None:
        self._skipped[printable(folder), reason].append(printable(name))

    def _skip_folder(self, folder: Path, name: str, reason: str) -> None:
        count = sum(len(files) for _, _, files in os.walk(folder))
        self._skip("", f"{name}/ ({count} files)", reason)


def printable(text: str) -> str:
    """Return the text with what can't be shown on one line replaced."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _name(path: Path) -> str:
    return unicodedata.normalize("NFC", path.name)
