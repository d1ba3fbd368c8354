"""Taking an artist's data out: rows, files, the worker's copies, and a receipt of what went.

The order makes it safe to be killed anywhere and run again: the artist is marked, so that nothing begins or commits for
them any more; who works for them still is waited for; the worker's copies go, then the files, and their rows last, all
in one transaction. Until the end is on record nobody gets their slug, so nothing of a newcomer's is ever in the way.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from dawa_assets.artists.receipt import receipt_of, receipt_path, write_receipt
from dawa_assets.errors import ArtistBeingDeletedError, BusyError, UnknownArtistError
from dawa_assets.pipeline.local_files import remove_local_files
from dawa_assets.pipeline.step import artist_step
from dawa_assets.tables import artist_deletions
from dawa_assets.tables.artist_deletions import Belongings, Deletion
from dawa_assets.tables.artists import Artist, get_artist
from dawa_assets.tables.leases import DELETION, Lease, steps_at_work
from modal_app.errors import InputError
from modal_app.protocol.forgetting import ForgetRequest, ForgetResult
from resources.bucket.base import StoredObject
from resources.ports import Ports

log = logging.getLogger(__name__)

_BATCH_SIZE = 500
_PAUSE_SECONDS = 0.25
_MAX_AUTHOR = 200


class RunHistory(Protocol):
    """What is on record of the runs that were made for artists."""

    def count(self, slug: str) -> dict[str, int]:
        """Count what tells of an artist, by what it is: `runs`, `events`, `ticks`."""

    def forget(self, slug: str, before: datetime | None) -> None:
        """Remove what tells of an artist and is older than `before`; None: all, and they are scheduled no more."""


class NoHistory:
    """In place of a history that this process does not reach: its sensor forgets the artist when it ticks."""

    def count(self, slug: str) -> dict[str, int]:  # noqa: ARG002 - there is none
        """Return nothing."""
        return {}

    def forget(self, slug: str, before: datetime | None) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Plan:
    """What a deletion would take: rows by table, files and the worker's copies by what they are, records of runs."""

    slug: str
    under_way: bool
    rows: dict[str, int]
    files: dict[str, dict[str, int]]
    worker: dict[str, dict[str, int]]
    history: dict[str, int]
    shared_audio: int
    """Audio files that another artist has too: what was made of them stays for that one."""


@dataclass(frozen=True)
class Deleted:
    """A deletion that is done: its receipt, and where that lies."""

    receipt: dict[str, Any]
    path: Path


_NO_HISTORY = NoHistory()


def plan_deletion(ports: Ports, slug: str, history: RunHistory = _NO_HISTORY) -> Plan:
    """Count what would go; changes nothing.

    Raises:
        UnknownArtistError: there is no artist of this slug, or they were deleted already.
        JobError: the worker can't be asked.
    """
    artist, deletion = _who(ports, slug)
    if artist is None:
        return Plan(slug, True, {}, _count_files(ports, slug), {}, history.count(slug), 0)
    with ports.database.transaction() as connection:
        rows = artist_deletions.count_rows(connection, artist)
        own = artist_deletions.belongings(connection, artist.id)
    worker = _forget(ports, artist, own, dry_run=True)
    files, runs = _count_files(ports, slug), history.count(slug)
    return Plan(slug, deletion is not None, rows, files, worker, runs, own.shared_audio)


def delete_artist(ports: Ports, slug: str, *, author: str, history: RunHistory = _NO_HISTORY) -> Deleted:
    """Delete everything of an artist's, or go on with a deletion that was stopped.

    Args:
        ports: where it all is.
        slug: whose.
        author: who asks for it; on the receipt.
        history: the records of runs that this process reaches; whatever others there are follow by themselves.

    Raises:
        UnknownArtistError: there is no artist of this slug, or they were deleted already.
        BusyError: somebody works for them still and did not end in time; nothing new begins, run it again.
        JobError: the worker can't remove its copies; run it again.
    """
    if not author.strip() or len(author) > _MAX_AUTHOR or not author.isprintable():
        raise InputError(f"author: must be a name of at most {_MAX_AUTHOR} printable characters; give another")
    artist, deletion = _who(ports, slug)
    if artist is not None:
        with ports.database.transaction() as connection:
            deletion = artist_deletions.begin(connection, artist, author.strip()) or deletion
        if deletion is not None:
            _remove(ports, artist, deletion, history)
    if deletion is None:
        raise UnknownArtistError(f"artist {slug!r}: was deleted by somebody else a moment ago; nothing is left to do")
    return _finish(ports, deletion, history)


def _who(ports: Ports, slug: str) -> tuple[Artist | None, Deletion | None]:
    """Return the artist and their deletion, as far as there are either."""
    with ports.database.transaction() as connection:
        deletion = artist_deletions.find_deletion(connection, slug)
        is_under_way = deletion is not None and deletion.finished_at is None
        try:
            artist = get_artist(connection, slug)
        except UnknownArtistError:
            if deletion is None:
                raise
            if deletion.finished_at is not None:
                raise UnknownArtistError(
                    f"artist {slug!r}: was deleted on {deletion.finished_at:%Y-%m-%d} by {deletion.asked_by}; "
                    f"the receipt is {receipt_path(ports.settings.home, deletion)}"
                ) from None
            return None, deletion
    return artist, deletion if is_under_way else None


def _remove(ports: Ports, artist: Artist, deletion: Deletion, history: RunHistory) -> None:
    """Everything up to the rows."""
    try:
        with artist_step(ports, artist, DELETION) as step:
            _wait_for_others(ports, artist)
            with ports.database.transaction() as connection:
                own = artist_deletions.belongings(connection, artist.id)
            for call in own.calls:
                ports.compute.cancel(call)
            if deletion.found is None:
                found = {
                    "files": _count_files(ports, artist.slug),
                    "worker": _forget(ports, artist, own, dry_run=True),
                    "sha256": own.file_hashes,
                    "outputs": own.outputs,
                    "shared_audio": own.shared_audio,
                    "history": history.count(artist.slug),
                }
                with ports.database.transaction() as connection:
                    step.held.check(connection)
                    artist_deletions.keep_found(connection, deletion, found)
            _forget(ports, artist, own, dry_run=False)
            while batch := list(islice(_files(ports, artist.slug), _BATCH_SIZE)):
                with ports.database.transaction() as connection:
                    step.held.check(connection)
                ports.bucket.delete([one.key for one in batch])
                log.info("%s: %d files removed", artist.slug, len(batch))
            remove_local_files(ports.settings, artist.slug, artist.id, own.audio_hashes)
            _remove_rows(ports, artist, deletion, step.held)
    except ArtistBeingDeletedError:
        log.info("%s: another process has removed the rows", artist.slug)


def _remove_rows(ports: Ports, artist: Artist, deletion: Deletion, held: Lease) -> None:
    with ports.database.transaction() as connection:
        held.check(connection)
        artist_deletions.remove_rows(connection, artist, deletion)


def _wait_for_others(ports: Ports, artist: Artist) -> None:
    """Until nobody works for the artist: what they write they lose, but files may come until they notice."""
    deadline = time.monotonic() + ports.settings.lease_wait_seconds
    is_logged = False
    while True:
        with ports.database.transaction() as connection:
            steps = steps_at_work(connection, artist.id)
        if not steps:
            return
        if time.monotonic() >= deadline:
            raise BusyError(
                f"artist {artist.slug!r}: {', '.join(steps)} is still at work; nothing new begins for them, and "
                f"nothing of it will be kept: run `dawa artist delete {artist.slug} --yes` again when it has ended"
            )
        if not is_logged:
            log.warning("%s: waiting for %s to end", artist.slug, ", ".join(steps))
            is_logged = True
        time.sleep(_PAUSE_SECONDS)


def _finish(ports: Ports, deletion: Deletion, history: RunHistory) -> Deleted:
    """Do what is left when the rows are gone: files that came meanwhile, the history of runs, the receipt.

    In one transaction, so that of two processes only one does it, and the slug is not free before it is done. Most of
    the history goes before, since there may be much of it; what is older than the deletion is nobody else's.
    """
    history.forget(deletion.slug, deletion.asked_at)
    with ports.database.transaction() as connection:
        mine = artist_deletions.lock_unfinished(connection, deletion)
        if mine is not None:
            late = list(_files(ports, mine.slug))
            ports.bucket.delete([one.key for one in late])
            history.forget(mine.slug, None)
            artist_deletions.finish(connection, mine, {"files": _by_area(late)})
        done = artist_deletions.get_deletion(connection, deletion)
        receipt = receipt_of(done)
        path = write_receipt(ports.settings.home, done, receipt)
    return Deleted(receipt, path)


def _forget(ports: Ports, artist: Artist, own: Belongings, *, dry_run: bool) -> dict[str, dict[str, int]]:
    request = ForgetRequest(
        producer_id=artist.slug,
        model_names=own.model_names,
        run_ids=own.run_ids,
        audio_hashes=own.audio_hashes,
        segment_hashes=own.segment_hashes,
        outputs=own.outputs,
        dry_run=dry_run,
    )
    result: ForgetResult = ports.compute.run(request, lambda event: log.debug("%s", event.message))
    return {what: {"files": each.files, "bytes": each.bytes} for what, each in sorted(result.removed.items())}


def _files(ports: Ports, slug: str) -> Iterator[StoredObject]:
    yield from ports.bucket.list(f"artists/{slug}")
    yield from ports.bucket.list(f"inbox/{slug}")


def _count_files(ports: Ports, slug: str) -> dict[str, dict[str, int]]:
    return _by_area(_files(ports, slug))


def _by_area(files: Iterator[StoredObject] | list[StoredObject]) -> dict[str, dict[str, int]]:
    """Count and bytes by the folder that files lie in: `datasets`, `training` …, and `inbox`. No names of files."""
    areas: dict[str, dict[str, int]] = {}
    for one in files:
        parts = one.key.split("/")
        area = "inbox" if parts[0] == "inbox" else parts[2] if len(parts) > 3 and parts[2] in _AREAS else "others"
        counts = areas.setdefault(area, {"files": 0, "bytes": 0})
        counts["files"] += 1
        counts["bytes"] += one.size
    return dict(sorted(areas.items()))


_AREAS = ("daw-data", "training", "datasets", "loras", "renderings", "rights", "rejected")
