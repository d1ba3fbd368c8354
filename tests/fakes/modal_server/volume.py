"""A volume as Modal's: each container works on its own copy, and others see what it committed, file by file."""

import os
import shutil
import threading
import uuid
from pathlib import Path

from modal_app.modal_runtime.container import Storage

Stamp = tuple[int, int, str]


class VolumeCopy(Storage):
    """A container's copy of the volume in `volume`, at `local`."""

    def __init__(self, volume: Path, local: Path) -> None:
        self._volume, self._local = volume, local
        self._seen: dict[str, Stamp] = {}
        self._lock = threading.Lock()
        self._volume.mkdir(parents=True, exist_ok=True)
        self._local.mkdir(parents=True, exist_ok=True)

    def refresh(self) -> None:
        with self._lock:
            self._bring(self._volume, self._local)

    def commit(self) -> None:
        with self._lock:
            self._bring(self._local, self._volume)

    def _bring(self, source: Path, target: Path) -> None:
        """Make `target` have what changed in `source` since both were last the same."""
        there = _stamps(source)
        for path, stamp in there.items():
            if self._seen.get(path) != stamp:
                _copy(source / path, target / path)
        for path in self._seen.keys() - there.keys():
            (target / path).unlink(missing_ok=True)
        self._seen = there


def _stamps(folder: Path) -> dict[str, Stamp]:
    """Every file and link below a folder; modification times are copied with the files, so they tell versions apart."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in [*files, *(name for name in folders if (Path(parent) / name).is_symlink())]:
            path = Path(parent) / name
            try:
                status = path.lstat()
                link = str(path.readlink()) if path.is_symlink() else ""
            except FileNotFoundError:
                continue
            size, time = (0, 0) if link else (status.st_size, status.st_mtime_ns)
            found[str(path.relative_to(folder))] = (size, time, link)
    return found


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{uuid.uuid4().hex}.sync"
    try:
        if source.is_symlink():
            temporary.symlink_to(source.readlink())
        else:
            shutil.copy2(source, temporary)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        temporary.replace(target)
    except FileNotFoundError:  # gone meanwhile: work in progress
        temporary.unlink(missing_ok=True)
