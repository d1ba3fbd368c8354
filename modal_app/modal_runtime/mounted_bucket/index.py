"""The index of a mounted bucket: which object is which path's content now. Contents are not looked at here.

It is made of files that are written once. Each session (a call in its container) writes what it changed, all of it
again each time; who reads merges all that they find, and of two records of one path the later one holds. So it does not
matter in which order files are read, or whether one is read twice, and two sessions that write at once lose nothing.
Where there are many files somebody writes what they say together into one and removes them.
"""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modal_app.errors import JobError
from modal_app.modal_runtime.mounted_bucket.mount import Mount

_FOLDER = "index"
_MANY = 64  # files
_GRACE = 24 * 3600 * 10**9  # ns, in which who looked earlier may still read what was replaced
_FORGOTTEN = 3 * _GRACE  # ns, longer than any call lasts: after it nothing older than a deletion is written again
_TRIES = 20


@dataclass(frozen=True)
class Record:
    """What a path is since `at` (ns since 1970): an object's content, a link, or nothing any more."""

    at: int
    session: str
    key: str | None = None
    size: int = 0
    link: str | None = None

    @property
    def is_gone(self) -> bool:
        """Whether there is nothing any more."""
        return self.key is None and self.link is None

    def beats(self, other: "Record | None") -> bool:
        """Return whether this one holds, of two records of one path."""
        return other is None or (self.at, self.session) > (other.at, other.session)


@dataclass
class _Page:
    """What one file says. `unused` are objects that may be nobody's, and since when."""

    records: dict[str, Record] = field(default_factory=dict)
    unused: dict[str, int] = field(default_factory=dict)

    def merge(self, other: "_Page") -> None:
        for path, record in other.records.items():
            mine = self.records.get(path)
            if not record.beats(mine):
                loser = record
            else:
                loser, self.records[path] = mine or record, record
            if loser.key is not None and loser.key != self.records[path].key:
                self.unused.setdefault(loser.key, self.records[path].at)
        for key, since in other.unused.items():
            self.unused[key] = min(since, self.unused.get(key, since))


class Index:
    """The index as one container sees it, and its own session in it. Not safe across threads."""

    def __init__(self, mount: Mount) -> None:
        self._mount = mount
        self._read: dict[str, _Page] = {}  # by file; a file never changes
        self._merged = _Page()
        self.begin()

    def begin(self) -> None:
        """Begin a session: what was entered until now is not written again."""
        self._session, self._number, self._own = uuid.uuid4().hex[:16], 0, _Page()

    def look(self) -> dict[str, Record]:
        """Return what there is now, by path; what is gone is left out.

        Raises:
            JobError: it changes all the time.
        """
        for _ in range(_TRIES):
            names = self._mount.names(_FOLDER)
            try:
                pages = {name: self._read.get(name) or self._page(name) for name in names}
            except FileNotFoundError:  # written together with others meanwhile
                continue
            if pages.keys() != self._read.keys():
                self._merged = _Page()
                for page in pages.values():
                    self._merged.merge(page or _Page())
            self._read = {name: page for name, page in pages.items() if page is not None}
            if len(names) > _MANY:
                self._fold(names)
            return {path: record for path, record in self._merged.records.items() if not record.is_gone}
        raise JobError("the bucket's index changes faster than it can be read; run it again")

    def plan(self, paths: Iterable[str]) -> dict[str, str]:
        """Return a new key for each path's content: if it is never entered, its object is removed some day."""
        keys = {path: _key(path, uuid.uuid4().hex[:16]) for path in paths}
        if keys:
            now = time.time_ns()
            self._own.unused.update(dict.fromkeys(keys.values(), now))
            self._write()
        return keys

    def enter(self, changes: Mapping[str, Record]) -> dict[str, Record]:
        """Enter what this session changed, at once for everybody; gives the records as they were entered.

        The objects of what is gone now are removed. `at` of these records is set here: after all that was seen.
        """
        entered = {}
        now = time.time_ns()
        before = self._merged.records
        for path, change in changes.items():
            at = max(now, before[path].at + 1 if path in before else 0)
            entered[path] = Record(at, self._session, change.key, change.size, change.link)
        self._own.merge(_Page({**entered}, {b.key: now for p in entered if (b := before.get(p)) and b.key}))
        for record in entered.values():
            self._own.unused.pop(record.key or "", None)
        self._write()
        self._merged.merge(self._own)
        for path, record in entered.items():
            if record.is_gone:
                self._remove_all_of(path)
        return entered

    def _write(self) -> None:
        """Write the session's page, and remove the one before."""
        self._number += 1
        name = _name(self._session, self._number)
        self._mount.put(f"{_FOLDER}/{name}", [_written(self._own)])
        if self._number > 1:
            self._mount.remove(f"{_FOLDER}/{_name(self._session, self._number - 1)}")

    def _remove_all_of(self, path: str) -> None:
        for key in [key for key in self._merged.unused if key.rpartition("~")[0] == _key(path, "")[:-1]]:
            self._mount.remove(key)
            self._merged.unused.pop(key)
            self._own.unused.pop(key, None)

    def _page(self, name: str) -> _Page | None:
        """Return what a file says; None where it is not whole: its writer was killed, or has not ended."""
        try:
            return _page_of(self._mount.get(f"{_FOLDER}/{name}"))
        except (ValueError, TypeError, KeyError):
            return None

    def _fold(self, names: Iterable[str]) -> None:
        """Write what all files say into one; remove what nobody has used for long."""
        now = time.time_ns()
        page = _Page()
        page.merge(self._merged)
        used = {record.key for record in page.records.values()}
        page.records = {
            path: record
            for path, record in page.records.items()
            if not (record.is_gone and record.at < now - _FORGOTTEN)
        }
        old = [key for key, since in page.unused.items() if key not in used and since < now - _GRACE]
        page.unused = {key: at for key, at in page.unused.items() if key not in used and key not in old}
        self._mount.put(f"{_FOLDER}/{_name(uuid.uuid4().hex, 0)}", [_written(page)])
        for key in old:
            self._mount.remove(key)
        for name in names:
            key = f"{_FOLDER}/{name}"
            if name in self._read or self._mount.written_at(key) * 10**9 < now - _FORGOTTEN:
                self._mount.remove(key)


def follow_links(state: Mapping[str, Record], path: str) -> Record | None:
    """Return the record of a file at a path that may lead through links; None where there is none."""
    for _ in range(_TRIES):
        parts = path.split("/")
        heads = ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
        head = next((head for head in heads if head in state and state[head].link is not None), None)
        if head is None:
            return state.get(path)
        rest = path.removeprefix(head)
        led = [*head.split("/")[:-1], *(state[head].link or "").split("/")]
        plain: list[str] = []
        for part in led:
            if part == "..":
                plain = plain[:-1]
            elif part not in ("", "."):
                plain.append(part)
        path = "/".join(plain) + rest
    return None


def _name(session: str, number: int) -> str:
    return f"{session}.{number:06d}.json"


def _key(path: str, name: str) -> str:
    """Return the key of an object that is this path's content at some time; `name` tells it from the others."""
    return f"files/{path}~{name}"


def _written(page: _Page) -> bytes:
    rows = [
        [path, r.at, r.session, None if r.key is None else r.key.rpartition("~")[2], r.size, r.link]
        for path, r in page.records.items()
    ]
    return json.dumps({"records": rows, "unused": page.unused}, separators=(",", ":")).encode()


def _page_of(content: bytes) -> _Page:
    stored: dict[str, Any] = json.loads(content)
    records = {
        path: Record(at, session, None if name is None else _key(path, name), size, link)
        for path, at, session, name, size, link in stored["records"]
    }
    return _Page(records, dict(stored["unused"]))
