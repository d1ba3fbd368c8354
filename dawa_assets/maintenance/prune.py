"""Removes old zips, and what killed runs left in folders that only the pipeline writes to.

A row says that its zip is gone before it is: whoever is killed in between leaves a zip that the next call removes,
never a row that claims what isn't there. What might be somebody else's (a zip beside ours, files of an item that
has no row yet) is named and left alone.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from uuid import UUID

from dawa_assets.artists.paths import is_own
from dawa_assets.errors import BusyError
from dawa_assets.intake.inbox import close, complete_key, inbox_folders
from dawa_assets.intake.layout import rejected_key
from dawa_assets.items.save import is_saved_pairs_id
from dawa_assets.maintenance.artist_lock import chosen_artists, holding
from dawa_assets.pipeline.local_files import zips_folder
from dawa_assets.tables import cleanup
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import Lease
from modal_app.errors import InputError
from resources.bucket.base import StoredObject
from resources.ports import Ports

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class File:
    """An object, its size in bytes, and what there is to say of it."""

    key: str
    size: int
    reason: str


@dataclass
class PruneReport:
    """What was removed of an artist's, or would be; what is `foreign` and `busy` was left alone."""

    slug: str
    artist_name: str
    zips: list[File] = field(default_factory=list)
    zips_kept: int = 0
    leftovers: list[File] = field(default_factory=list)
    foreign: list[File] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)

    @property
    def freed_bytes(self) -> int:
        """How much space that gave back."""
        return sum(file.size for file in [*self.zips, *self.leftovers])


def prune(
    ports: Ports, *, keep: int, slug: str | None = None, grace_hours: float = 24, dry_run: bool = False
) -> list[PruneReport]:
    """Keep the newest `keep` zips of each artist, or of one, and remove what killed runs left.

    The current dataset's zip always stays, whatever its age; of a zip that is removed, row and manifest stay. Files
    that no row knows go when they are older than `grace_hours`, and only from where nobody but the pipeline writes:
    folders of runs that failed or have no row, audio that an item of ours no longer uses, files of a pair whose saving
    was cut off, what was rejected once and taken in since, the empty mark of an upload of which nothing else is left,
    unfinished zips on this machine.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        InputError: `keep` is below 1, or `grace_hours` below 0.
    """
    if keep < 1:
        raise InputError(f"--keep {keep}: at least 1; an artist's current dataset stays in any case")
    if not 0 <= grace_hours <= 24 * 3650:
        raise InputError(f"--grace-hours {grace_hours:g}: between 0 and ten years; 24 is usual")
    before = datetime.now(UTC) - timedelta(hours=grace_hours)
    reports = []
    for artist in chosen_artists(ports, slug):
        run = _Prune(ports, artist, keep, before, dry_run, PruneReport(artist.slug, artist.name))
        run.run()
        reports.append(run.report)
    return reports


@dataclass
class _Prune:
    ports: Ports
    artist: Artist
    keep: int
    before: datetime
    dry_run: bool
    report: PruneReport
    held: Lease | None = None
    """The lease of the step that is looked at; a dry run holds none."""

    def run(self) -> None:
        parts: list[tuple[str, str, Callable[[], None]]] = [
            ("dataset", "datasets", self._datasets),
            ("training", "LoRAs", self._loras),
            ("items", "training items", self._items),
            ("intake", "uploads", self._uploads),
        ]
        for step, what, work in parts:
            try:
                with self._holding(step):
                    work()
            except BusyError:
                self.report.busy.append(f"{what}: another process is working on them; run it again when that is done")

    @contextmanager
    def _holding(self, step: str) -> Iterator[None]:
        """Hold the lease of a step; a dry run needs none."""
        if self.dry_run:
            yield
            return
        with holding(self.ports, self.artist, step) as mine:
            self.held = mine.held
            yield

    def _list(self, folder: str) -> Iterator[StoredObject]:
        return self.ports.bucket.list(f"artists/{self.artist.slug}/{folder}")

    def _datasets(self) -> None:
        stored = {one.key: one for one in self._list("datasets")}
        with self.ports.database.transaction() as connection:
            zips = cleanup.zips(connection, self.artist.id)
            known = cleanup.dataset_paths(connection, self.artist.id)
        left = [zip_ for zip_ in zips if zip_.pruned_at is not None and zip_.storage_path in stored]
        there = [zip_ for zip_ in zips if zip_.pruned_at is None]
        self.report.zips_kept = len(there[: self.keep])
        for zip_ in there[self.keep :]:
            if self.held is not None and not self._mark(self.held, zip_):
                continue
            self._remove_zip(zip_, stored, "older than those that are kept")
        for zip_ in left:
            self._remove_zip(zip_, stored, "was to be removed before")
        for one in stored.values():
            if one.key not in known:
                self._foreign(one, "no dataset of the pipeline: the dashboard's export, or put there by hand")
        self._scratch()

    def _mark(self, held: Lease, zip_: cleanup.Zip) -> bool:
        with self.ports.database.transaction() as connection:
            held.check(connection)
            return cleanup.mark_pruned(connection, self.artist.id, zip_.id)

    def _remove_zip(self, zip_: cleanup.Zip, stored: dict[str, StoredObject], reason: str) -> None:
        found = stored.get(zip_.storage_path)
        slug, path = self.artist.slug, zip_.storage_path
        if not is_own(slug, path) or not path.startswith(f"artists/{slug}/datasets/"):
            return
        if not self.dry_run:
            self.ports.bucket.delete([zip_.storage_path])
        self.report.zips.append(File(zip_.storage_path, found.size if found else 0, reason))

    def _scratch(self) -> None:
        """Zips that a killed build left unfinished on this machine; the lease says that no other build is at it."""
        folder = zips_folder(self.ports.settings, self.artist.slug)
        if not folder.is_dir():
            return
        files = [path for path in folder.rglob("*") if path.is_file()]
        if any(datetime.fromtimestamp(path.stat().st_mtime, UTC) > self.before for path in files):
            return
        size = sum(path.stat().st_size for path in files)
        if self.held is not None:
            shutil.rmtree(folder, ignore_errors=True)
        self.report.leftovers.append(File(str(folder), size, "unfinished zips of a build that was killed here"))

    def _loras(self) -> None:
        with self.ports.database.transaction() as connection:
            needed = cleanup.runs_with_files(connection, self.artist.id)
        for one in self._list("loras"):
            run = _id_in(one.key)
            if run is None:
                self._foreign(one, "not in the folder of a training run: put there by hand")
            elif run not in needed:
                self._leftover(one, "of a training that failed or has no row")

    def _items(self) -> None:
        with self.ports.database.transaction() as connection:
            items = cleanup.own_items(connection, self.artist.id)
            expected = cleanup.expected_keys(connection, self.artist.id)
        expected.update(path for item in items.values() for path in (item.audio_path, item.prompt_path) if path)
        for one in self._list("training"):
            item_id = _id_in(one.key)
            item = items.get(item_id or UUID(int=0))
            if one.key in expected:
                continue
            if item is None and item_id is not None and is_saved_pairs_id(item_id):
                self._leftover(one, "of a pair that was being saved, without ever becoming an item")
            elif item is None:
                self._foreign(one, "no training item has this folder: put there by hand, or its row is yet to come")
            elif item.is_ours and PurePosixPath(one.key).stem == "audio":
                self._leftover(one, "audio that its item has other audio instead of")

    def _uploads(self) -> None:
        slug = self.artist.slug
        with self.ports.database.transaction() as connection:
            expected = cleanup.expected_keys(connection, self.artist.id)
            taken = {rejected_key(slug, *upload) for upload in cleanup.taken_uploads(connection, self.artist.id)}
        for one in self._list("rejected"):
            file = one.key.removesuffix(".reason.txt")
            if {one.key, file} & expected:
                continue
            if {one.key, file} & taken:
                self._leftover(one, "rejected once, and taken in since")
            else:
                self._foreign(one, "no upload is on record for it")
        for inbox_folder in inbox_folders(self.ports, self.artist.slug):
            marker = (
                None
                if inbox_folder.files
                else self.ports.bucket.stat(complete_key(inbox_folder.slug, inbox_folder.upload_id))
            )
            if marker is None or marker.modified > self.before:
                continue
            if not self.dry_run:
                close(self.ports.bucket, inbox_folder)
            self.report.leftovers.append(File(marker.key, marker.size, "nothing else is left of this upload"))

    def _leftover(self, one: StoredObject, reason: str) -> None:
        if one.modified > self.before:
            return
        if not self.dry_run:
            if self.ports.bucket.stat(one.key) != one:  # written again meanwhile: somebody takes up what was left
                return
            self.ports.bucket.delete([one.key])
            log.info("removed %s", one.key)
        self.report.leftovers.append(File(one.key, one.size, reason))

    def _foreign(self, one: StoredObject, reason: str) -> None:
        self.report.foreign.append(File(one.key, one.size, reason))


def _id_in(key: str) -> UUID | None:
    """Return the id that names the folder of `artists/{slug}/{what}/{id}/…`; None where that is none."""
    parts = key.split("/")
    try:
        return UUID(parts[3]) if len(parts) > 4 and str(UUID(parts[3])) == parts[3] else None
    except ValueError:
        return None
