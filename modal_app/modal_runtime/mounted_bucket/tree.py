"""`MountStorage`: the data root on this container's own disk, and a mounted bucket behind it.

The worker needs renames, links and locks under its data root, which a mount has not. So the root is an ordinary folder;
what others wrote appears in it as links to the bucket's objects, which are read there when somebody reads them, and
copied by nobody. What was written here goes into new objects, and then into the index, in one step for everybody.
"""

import os
import shutil
import stat
import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modal_app.data_root.atomic_writes import atomic_path
from modal_app.errors import JobError
from modal_app.modal_runtime.container import Storage
from modal_app.modal_runtime.mounted_bucket.index import Index, Record
from modal_app.modal_runtime.mounted_bucket.mount import Mount, blocks_of

_APART = "scratch"  # of work in progress, which no other container needs
_TRIES = 50
_BATCH_SIZE = 16  # objects that are written


@dataclass(frozen=True)
class _Stamp:
    """What tells that a path is another one than before. `link` is where a link leads."""

    inode: int
    size: int
    mtime_ns: int
    link: str | None


class MountStorage(Storage):
    """Keeps `root` and the bucket the same, whenever it is asked to. Safe across threads."""

    def __init__(self, root: Path, mount: Mount) -> None:
        self._root, self._mount = root, mount
        self._index = Index(mount)
        self._known: dict[str, tuple[Record, _Stamp]] = {}  # by path: what both have
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Show here what other machines committed; what was written here and not committed stays."""
        with self._lock:
            self._index.begin()
            wanted, here = self._index.look(), self._stamps()
            same = {path for path, (_, stamp) in self._known.items() if here.get(path) == stamp}
            for path in same - wanted.keys():
                self._take_away(path)
            changed_at: dict[Path, int] = {}
            for path, record in wanted.items():
                known = self._known.get(path)
                if (known and known[0] == record) or (path in here and path not in same):
                    continue
                if (stamp := self._show(path, record, is_new=path not in here)) is not None:
                    self._known[path] = (record, stamp)
                    folder = (self._root / path).parent
                    changed_at[folder] = max(record.at, changed_at.get(folder, 0))
            for folder, at in changed_at.items():
                os.utime(folder, ns=(at, at))  # a call's folder is removed when it is old

    def bring(self, paths: Iterable[str]) -> None:
        """Make files of this machine of what lies at and below some paths."""
        with self._lock:
            heads = [path for path in paths if path]
            for path, (record, _) in list(self._known.items()):
                if record.key is not None and any(f"{path}/".startswith(f"{head}/") for head in heads):
                    self._copy_here(path, record)

    def commit(self) -> None:
        """Show other machines what was written here: all as it was at one moment, or nothing of it."""
        with self._lock:
            if {path: stamp for path, (_, stamp) in self._known.items()} == self._stamps():
                return
            held = self._root / _APART / f"held-{uuid.uuid4().hex}"
            try:
                here = self._hold(held)
                self._enter(here, held)
            except EOFError as error:
                raise JobError(f"/data: {error}; run it again") from None
            finally:
                shutil.rmtree(held, ignore_errors=True)

    def _hold(self, held: Path) -> dict[str, _Stamp]:
        """Return what is here at one moment; files that the bucket has not are linked to below `held`, by their inode.

        A file that only grows (a log) is taken as long as it was. Everything else must stay for the moment this takes:
        if it was written in some order, no later part is entered without the ones before.
        """
        held.mkdir(parents=True)
        for _ in range(_TRIES):
            before = self._stamps()
            with suppress(FileNotFoundError):
                for path, stamp in before.items():
                    if stamp.link is None and not self._is_known(path, stamp):
                        _link_or_copy(self._root / path, held / str(stamp.inode))
            after = self._stamps()
            if before.keys() == after.keys() and all(_is_same_or_grown(before[path], after[path]) for path in before):
                return before
        raise JobError("/data: changes too fast to be committed; it is tried again")

    def _enter(self, here: dict[str, _Stamp], held: Path) -> None:
        contents: dict[str, tuple[Path, int | None]] = {}
        changes: dict[str, Record] = {}
        for path, stamp in here.items():
            if self._is_known(path, stamp):
                continue
            if stamp.link is None:
                contents[path] = (held / str(stamp.inode), stamp.size)
            elif Path(stamp.link).is_relative_to(self._mount.folder):  # a file of the bucket that got another name
                contents[path] = (Path(stamp.link), None)
            else:
                changes[path] = Record(0, "", link=stamp.link)
        keys = self._index.plan(contents)
        with _at_once() as pool:
            for path, size in pool.map(lambda path: (path, self._put(keys[path], *contents[path])), keys):
                changes[path] = Record(0, "", keys[path], size)
        changes |= {path: Record(0, "") for path in self._known.keys() - here.keys()}
        if not changes:
            return
        for path, record in self._index.enter(changes).items():
            if record.is_gone:
                del self._known[path]
            else:
                self._known[path] = (record, here[path])

    def _put(self, key: str, source: Path, size: int | None) -> int:
        self._mount.put(key, blocks_of(source, size))
        return self._mount.path(key).stat().st_size if size is None else size

    def _is_known(self, path: str, stamp: _Stamp) -> bool:
        known = self._known.get(path)
        return known is not None and known[1] == stamp

    def _show(self, path: str, record: Record, *, is_new: bool) -> _Stamp | None:
        """Make a path what a record says; None where something of this container's own is in the way."""
        target = self._root / path
        link = str(self._mount.path(record.key)) if record.key is not None else record.link or ""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if is_new:
                target.symlink_to(link)
            else:
                with self._replacing(target) as temporary:
                    temporary.symlink_to(link)
            return _stamp(str(target), target.lstat())
        except (IsADirectoryError, NotADirectoryError, FileExistsError):
            return None

    def _copy_here(self, path: str, record: Record) -> None:
        target = self._root / path
        if record.key is None or not target.is_symlink():
            return
        try:
            with self._replacing(target) as temporary:
                shutil.copyfile(self._mount.path(record.key), temporary)
        except FileNotFoundError:  # removed meanwhile: the worker finds it missing
            return
        self._known[path] = (record, _stamp(str(target), target.lstat()))

    def _take_away(self, path: str) -> None:
        target = self._root / path
        target.unlink(missing_ok=True)
        del self._known[path]
        for folder in target.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:  # not empty
                return

    def _replacing(self, target: Path) -> AbstractContextManager[Path]:
        folder = self._root / _APART
        folder.mkdir(parents=True, exist_ok=True)
        return atomic_path(target, folder)

    def _stamps(self) -> dict[str, _Stamp]:
        """Return every file and link below the root, but for work in progress."""
        return dict(self._walk(str(self._root), ""))

    def _walk(self, folder: str, prefix: str) -> Iterator[tuple[str, _Stamp]]:
        try:
            entries = list(os.scandir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if path != _APART:
                    yield from self._walk(entry.path, path + "/")
                continue
            with suppress(OSError):  # gone, or another one, meanwhile
                known = self._known.get(path)
                yield path, _stamp(entry.path, entry.stat(follow_symlinks=False), None if known is None else known[1])


@contextmanager
def _at_once() -> Iterator[ThreadPoolExecutor]:
    """Threads for what waits for the bucket; when it ends early, what has not begun is not begun."""
    pool = ThreadPoolExecutor(_BATCH_SIZE)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _stamp(path: str, status: os.stat_result, known: _Stamp | None = None) -> _Stamp:
    """Return the stamp of a path. A link that is known is not read again.

    Raises:
        OSError: it is gone, or another one, meanwhile.
    """
    if not stat.S_ISLNK(status.st_mode):
        return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns, None)
    if known is not None and known.link and (known.inode, known.mtime_ns) == (status.st_ino, status.st_mtime_ns):
        return known
    return _Stamp(status.st_ino, 0, status.st_mtime_ns, os.readlink(path))  # noqa: PTH115 - much is walked over


def _is_same_or_grown(before: _Stamp, after: _Stamp) -> bool:
    has_grown = before.link is None and before.inode == after.inode and before.size < after.size
    return before == after or has_grown


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
