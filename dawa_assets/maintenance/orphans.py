"""Folders of nobody: files under a slug that no artist has. Listed; removed where a deletion of that slug is on record.

Whatever else lies there may be a mistake or somebody's only copy, so only a person removes it.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dawa_assets.tables.artist_deletions import slugs_of_the_deleted, slugs_taken
from resources.bucket.base import StoredObject
from resources.ports import Ports

log = logging.getLogger(__name__)

_TOPS = ("artists", "inbox")
_BATCH_SIZE = 500


@dataclass(frozen=True)
class Stray:
    """A folder whose slug nobody has. `was_deleted`: the artist was deleted, so these came late."""

    folder: str
    files: int
    size: int
    was_deleted: bool

    @property
    def amount(self) -> str:
        """How much lies there."""
        return f"{self.files:,} {'file' if self.files == 1 else 'files'}, {self.size:,} bytes"


def find_strays(ports: Ports) -> list[Stray]:
    """Return every folder of nobody, by name; one listing of the whole bucket, one query. Changes nothing."""
    counts: dict[str, list[int]] = {}
    for one in (one for top in _TOPS for one in ports.bucket.list(top)):
        count = counts.setdefault(_folder(one), [0, 0])
        count[0] += 1
        count[1] += one.size
    with ports.database.transaction() as connection:
        taken = slugs_taken(connection, {_slug(folder) for folder in counts})
        deleted = slugs_of_the_deleted(connection)
    return [
        Stray(folder, files, size, _slug(folder) in deleted)
        for folder, (files, size) in sorted(counts.items())
        if _slug(folder) not in taken
    ]


def remove_strays(ports: Ports, *, grace_hours: float, dry_run: bool = False) -> list[Stray]:
    """Remove what lies in folders of deleted artists and is older than the grace period; what went, or would.

    Looks before every few files whether somebody has the slug by now.
    """
    before = datetime.now(UTC) - timedelta(hours=grace_hours)
    removed = []
    for stray in find_strays(ports):
        if not stray.was_deleted:
            continue
        late = [one for one in ports.bucket.list(stray.folder) if one.modified <= before]
        if late and (dry_run or _remove(ports, stray, late)):
            removed.append(Stray(stray.folder, len(late), sum(one.size for one in late), was_deleted=True))
    return removed


def _remove(ports: Ports, stray: Stray, late: list[StoredObject]) -> bool:
    """Return whether all of it went; not where somebody has the slug by now."""
    for start in range(0, len(late), _BATCH_SIZE):
        with ports.database.transaction() as connection:
            if _slug(stray.folder) not in slugs_of_the_deleted(connection):
                return False
        ports.bucket.delete([one.key for one in late[start : start + _BATCH_SIZE]])
    log.info("%s: %d files of a deleted artist removed", stray.folder, len(late))
    return True


def _folder(one: StoredObject) -> str:
    """`artists/{slug}` or `inbox/{slug}`; a file that lies in no such folder counts as one itself."""
    return "/".join(one.key.split("/", 2)[:2])


def _slug(folder: str) -> str:
    return folder.partition("/")[2]
