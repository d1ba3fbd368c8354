"""Builds datasets: decides by fingerprint whether there is anything to do, writes the zip, records what is in it.

Order of things, so that a kill at any moment is made good by the next call: row `building` with its path → zip →
manifest → row `done`, its items and the items' status in one transaction. The same path is used again.
"""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

from dawa_assets.artists.paths import is_own, own_object
from dawa_assets.datasets.manifest import manifest_bytes
from dawa_assets.datasets.zip import AUDIO_FORMATS, Archive, Track, entry_names, write_zip
from dawa_assets.errors import BadTrackError
from dawa_assets.items.present_audio import describe_saved_items
from dawa_assets.items.quality import check_new_audio
from dawa_assets.pipeline.file_transfer import object_hash
from dawa_assets.pipeline.local_files import zips_folder
from dawa_assets.pipeline.step import artist_step
from dawa_assets.rights.enforce import enforce
from dawa_assets.tables import datasets
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.chosen_items import Superseded, incomplete_items
from dawa_assets.tables.datasets import Dataset, Wanted, WantedItem
from dawa_assets.tables.item_findings import shown_findings
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.training_items import counts_by_status
from resources.database.base import Connection
from resources.database.kept_connections import KeptConnections
from resources.ports import Ports

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 5.0
_MAX_REPORTED = 20  # superseded items that are named in the log; the report has all

State = Literal["built", "unchanged", "current again", "restored", "nothing ready"]


@dataclass(frozen=True)
class DatasetTrack:
    """One pair of the dataset, for a table."""

    file: str
    item: str
    audio_sha256: str
    prompt: str


@dataclass(frozen=True)
class DatasetReport:
    """What a build did, and the dataset that the artist has now (none where nothing was ever ready)."""

    headline: str
    state: State
    dataset_id: str | None
    fingerprint: str | None
    storage_path: str | None
    manifest_path: str | None
    item_count: int
    size_bytes: int
    sha256: str | None
    exported: int
    by_status: dict[str, int]
    tracks: list[DatasetTrack]
    superseded: list[Superseded]
    blocked: list[tuple[str, str]]
    failed: list[tuple[str, str]]
    seconds: float


def build_dataset(ports: Ports, slug: str, *, new_items_only: bool = False) -> DatasetReport:
    """Bring the artist's dataset up to date: every item that is ready or was exported, and is not excluded.

    Unchanged content makes no new zip; a zip that is gone from the bucket is made again at its path, with the same
    bytes (unless it was pruned). An item whose audio is missing, altered or lies elsewhere is marked `failed` and
    reported, and the others go on. With nothing ready, nothing happens and the report says so; an artist's last
    dataset stays the current one. With `new_items_only`, the zip holds just the items that were never exported, and
    the current dataset stays as it is; with none, and nothing changed since the last such zip, it is that one again, so
    that whoever lost the answer gets it. Items that a finding blocks wait, and the report names them. Of several items
    with identical audio one is in it, with the latest text by a person, else the latest by a model; the report names
    the others.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        BusyError: another process is building this artist's dataset and did not end in time.
        LostLeaseError: this process was silent for so long that another one took over.
    """
    started = time.monotonic()
    with (
        KeptConnections(ports.database) as database,
        artist_step(replace(ports, database=database), slug, "dataset") as step,
    ):
        enforce(step.ports, step.artist)
        return _Build(step.ports, step.artist, step.held, new_items_only, started).run()


@dataclass
class _Build:
    ports: Ports
    artist: Artist
    held: Lease
    new_items_only: bool
    started: float
    failed: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> DatasetReport:
        self.failed += describe_saved_items(self.ports, self.artist)
        check_new_audio(self.ports, self.artist)
        while True:
            wanted, dataset, was_current = self._claim()
            if dataset is None:
                again = self._exported_last() if self.new_items_only and not self.failed else None
                return self._report("nothing ready" if again is None else "unchanged", again, wanted, 0)
            if dataset.state != "building" and self._is_intact(dataset, was_current):
                return self._keep(dataset, wanted, was_current)
            try:
                return self._make(dataset, wanted)
            except BadTrackError as error:
                self._fail_unless_fixed(wanted.items[error.position - 1])

    def _claim(self) -> tuple[Wanted, Dataset | None, bool]:
        """Return what is wanted now, its row, and whether that row is the artist's current dataset already."""
        with self.ports.database.transaction() as connection:
            wanted = datasets.wanted(connection, self.artist, new_items_only=self.new_items_only)
            if self._fail_unusable(connection, wanted.items):
                wanted = datasets.wanted(connection, self.artist, new_items_only=self.new_items_only)
            abandoned = datasets.abandoned_datasets(connection, self.artist, wanted.fingerprint)
            self.held.check(connection)
        for dataset in abandoned:
            paths = [dataset.storage_path, dataset.manifest_path]
            self.ports.bucket.delete([path for path in paths if is_own(self.artist.slug, path)])
        stem = self._free_stem()
        with self.ports.database.transaction() as connection:
            self.held.check(connection)
            for dataset in abandoned:
                datasets.forget_dataset(connection, dataset)
            if wanted.fingerprint is None:
                return wanted, None, False
            current = datasets.current_dataset(connection, self.artist.id)
            claimed = datasets.claim_dataset(connection, self.artist, wanted.fingerprint, len(wanted.items), stem)
            return wanted, claimed, current is not None and current.id == claimed.id

    def _exported_last(self) -> Dataset | None:
        """Return the last export, where it is what the artist's items still are."""
        with self.ports.database.transaction() as connection:
            last = datasets.last_export(connection, self.artist.id)
            if last is None or not datasets.is_as_exported(connection, last):
                return None
        return last if self._is_intact(last, was_current=False) else None

    def _free_stem(self) -> str:
        """Return a name that no file has: the dashboard puts its own zips into the same folder."""
        while True:
            stem = datetime.now(UTC).strftime("dataset-%Y%m%dT%H%M%S%fZ")
            if self.ports.bucket.stat(f"artists/{self.artist.slug}/datasets/{stem}.zip") is None:
                return stem

    def _fail_unusable(self, connection: Connection, items: list[WantedItem]) -> bool:
        """Mark the items that may not be read: users write these rows, the pipeline reads with its own rights."""
        unusable = [(item, reason) for item in items if (reason := self._why_unusable(item)) is not None]
        for item, reason in unusable:
            datasets.fail_item(connection, item.id, item.audio_hash, reason)
            self._note_failure(item, reason)
        return bool(unusable)

    def _why_unusable(self, item: WantedItem) -> str | None:
        if not is_own(self.artist.slug, item.audio_path):
            return "its audio is no file below its artist's folder; upload the file again"
        if item.audio_format not in AUDIO_FORMATS:
            return f"{item.audio_format!r} is no audio format that a dataset may hold; upload mp3, wav or flac"
        return None

    def _is_intact(self, dataset: Dataset, was_current: bool) -> bool:
        if dataset.pruned_at is not None:
            return was_current  # removed on purpose; needed again only where it becomes the current one
        bucket, slug = self.ports.bucket, self.artist.slug
        stored = own_object(bucket, slug, dataset.storage_path)
        return (
            stored is not None
            and stored.size == dataset.size_bytes
            and own_object(bucket, slug, dataset.manifest_path) is not None
        )

    def _keep(self, dataset: Dataset, wanted: Wanted, was_current: bool) -> DatasetReport:
        again = dataset.state == "done" and not was_current
        with self.ports.database.transaction() as connection:
            self.held.check(connection)
            if again or self.new_items_only:  # of exports too, the one that was asked for last is the last one
                datasets.make_current(connection, dataset)
            exported = datasets.mark_exported(connection, wanted.items)
        return self._report("current again" if again else "unchanged", dataset, wanted, exported)

    def _make(self, dataset: Dataset, wanted: Wanted) -> DatasetReport:
        """Write the archive at the row's path and finish the row.

        Raises:
            BadTrackError: an item's audio is not what its row says.
        """
        sizes = [self._size(position, item) for position, item in enumerate(wanted.items, start=1)]
        log.info("dataset of %s: writing %d tracks, %.1f MB", self.artist.slug, len(sizes), sum(sizes) / 1e6)
        folder = zips_folder(self.ports.settings, self.artist.slug)
        shutil.rmtree(folder, ignore_errors=True)  # of a killed run; whoever still writes there lost their lease
        folder.mkdir(parents=True)
        try:
            target = folder / f"{self.held.fence}.zip"
            archive = write_zip(self._tracks(wanted.items, sizes), target)
            self._upload(dataset, wanted.items, sizes, archive, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if dataset.sha256 not in (None, archive.sha256):
            log.warning("%s: made again with other bytes than before", dataset.storage_path)
        with self.ports.database.transaction() as connection:
            self.held.check(connection)
            state = "export" if self.new_items_only else "done"
            datasets.finish_dataset(connection, dataset, state, wanted.items, archive.size, archive.sha256)
            exported = datasets.mark_exported(connection, wanted.items)
        made = Dataset(**{**vars(dataset), "size_bytes": archive.size, "sha256": archive.sha256})
        return self._report("built" if dataset.state == "building" else "restored", made, wanted, exported)

    def _size(self, position: int, item: WantedItem) -> int:
        stored = own_object(self.ports.bucket, self.artist.slug, item.audio_path)
        if stored is None:
            raise BadTrackError(position)
        return stored.size

    def _tracks(self, items: list[WantedItem], sizes: list[int]) -> Iterator[Track]:
        reported_at = time.monotonic()
        for position, (item, size) in enumerate(zip(items, sizes, strict=True), start=1):
            if time.monotonic() - reported_at > _SECONDS_BETWEEN_LINES:
                log.info("dataset of %s: track %d of %d", self.artist.slug, position, len(items))
                reported_at = time.monotonic()
            yield Track(position, item.audio_format, size, item.audio_hash, _Opener(self.ports, item), item.prompt_text)

    def _upload(
        self, dataset: Dataset, items: list[WantedItem], sizes: list[int], archive: Archive, target: Path
    ) -> None:
        self.ports.bucket.put(dataset.storage_path, target, content_type="application/zip", consume=True)
        manifest = manifest_bytes(dataset, self.artist.slug, items, sizes, archive)
        self.ports.bucket.put(dataset.manifest_path, manifest, content_type="application/json")

    def _fail_unless_fixed(self, item: WantedItem) -> None:
        """Mark an item failed whose audio is wrong, unless it was just being replaced: that step is waited for."""
        with artist_step(self.ports, self.artist, "items"):
            reason = _why_unreadable(self.ports, item)
            if reason is None:
                return
            with self.ports.database.transaction() as connection:
                self.held.check(connection)
                marked = datasets.fail_item(connection, item.id, item.audio_hash, reason)
        if marked:
            self._note_failure(item, reason)

    def _note_failure(self, item: WantedItem, reason: str) -> None:
        log.warning("%s: %s", item.name, reason)
        self.failed.append((item.name, reason))

    def _report(self, state: State, dataset: Dataset | None, wanted: Wanted, exported: int) -> DatasetReport:
        with self.ports.database.transaction() as connection:
            counts = counts_by_status(connection, self.artist.id)
            incomplete = incomplete_items(connection, self.artist.id)
            blocking = [each for each in shown_findings(connection, self.artist.id) if each.blocks]
            shown = dataset or datasets.current_dataset(connection, self.artist.id)
        ready = counts.get("ready", 0) + counts.get("exported", 0)
        left_out = f", {len(wanted.superseded)} of them superseded" if wanted.superseded else ""
        left_out += f", {waiting} blocked" if (waiting := len({each.item_id for each in blocking})) else ""
        for finding in blocking[:_MAX_REPORTED]:
            log.warning("left out: %s: %s", finding.item, finding.line)
        for each in wanted.superseded[:_MAX_REPORTED]:
            log.info("left out: %s %s", each.item, each.reason)
        return DatasetReport(
            headline=f"dataset: {state}, {ready}/{sum(counts.values())} items ready{left_out}",
            state=state,
            dataset_id=None if shown is None else str(shown.id),
            fingerprint=None if shown is None else shown.fingerprint,
            storage_path=None if shown is None else shown.storage_path,
            manifest_path=None if shown is None else shown.manifest_path,
            item_count=0 if shown is None else shown.item_count,
            size_bytes=0 if shown is None else shown.size_bytes or 0,
            sha256=None if shown is None else shown.sha256,
            exported=exported,
            by_status=counts,
            tracks=[
                DatasetTrack(entry_names(position, item.audio_format)[0], item.name, item.audio_hash, item.prompt_text)
                for position, item in enumerate(wanted.items, start=1)
            ],
            superseded=wanted.superseded,
            blocked=[(finding.item, finding.line) for finding in blocking],
            failed=self.failed + incomplete,
            seconds=round(time.monotonic() - self.started, 3),
        )


@dataclass(frozen=True)
class _Opener:
    ports: Ports
    item: WantedItem

    def __call__(self) -> AbstractContextManager[BinaryIO]:
        return self.ports.bucket.open(self.item.audio_path)


def _why_unreadable(ports: Ports, item: WantedItem) -> str | None:
    found = object_hash(ports.bucket, item.audio_path)
    if found is None:
        return "its audio is not in the bucket; upload the file again"
    if found != item.audio_hash:
        return "its audio in the bucket is not the one on record; upload the file again"
    return None
