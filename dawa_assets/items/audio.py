"""Audio on its way from the inbox into an item's folder, and what is known of audio that is there.

An item's audio is `artists/{slug}/training/{item-id}/audio.{ext}`, the bytes as they were uploaded. The bucket is
written before the row, and the file in the inbox is deleted last, so a worker that is killed anywhere has left
behind what its successor needs. Many bounces are entered, and many are placed, in one transaction each time.
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from uuid import UUID

from dawa_assets.intake.inbox import is_known, remove_taken
from dawa_assets.intake.kinds import kind_of
from dawa_assets.intake.rejection import reject
from dawa_assets.items.quality import keep_measured
from dawa_assets.pipeline.batches import Batch, batches_of
from dawa_assets.pipeline.file_transfer import LocalCopy, local_copy, object_hash, plain_reason, put_verified
from dawa_assets.pipeline.step import Step
from dawa_assets.tables import training_items
from dawa_assets.tables import uploads as ledger
from dawa_assets.tables.arriving_files import (
    ArrivingFile,
    Destination,
    TakenFile,
    begin_files,
    finish_taken,
    finished_files,
    record_destinations,
)
from dawa_assets.tables.training_items import Audio, Item
from dawa_assets.tables.uploads import InboxFile, Known, LedgerRow
from modal_app.errors import UnreadableAudioError
from resources.bucket.base import StoredObject
from resources.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from modal_app.audio.decode import AudioInfo
    from modal_app.audio.quality import MeasuredAudio

log = logging.getLogger(__name__)

_ATTEMPTS = 5


@dataclass
class AudioReport:
    """What became of bounces; pairs are (name, item or reason)."""

    paired: list[tuple[str, str]] = field(default_factory=list)
    replaced: list[tuple[str, str]] = field(default_factory=list)
    unchanged: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, item: Item, sha256: str) -> None:
        """A bounce found its item, as that was before."""
        if item.audio_hash is None:
            self.paired.append((name, item.name))
        elif item.audio_hash != sha256:
            self.replaced.append((name, item.name))
        else:
            self.unchanged.append((name, f"the same bytes as the audio of {item.name}"))


@dataclass(frozen=True, eq=False)
class _Placement:
    """A waiting bounce on its way to an item, and what it will be there."""

    row: LedgerRow
    item_id: UUID
    file: InboxFile
    local: LocalCopy
    audio: Audio
    measured: "MeasuredAudio | None"


class Bounces:
    """The bounces of one artist during one update; remembers what each is, so that no file is decoded twice."""

    def __init__(self, step: Step, report: AudioReport) -> None:
        self._step = step
        self._bucket = step.ports.bucket
        self._report = report
        self._infos: dict[tuple[str, str], AudioInfo] = {}
        """By SHA-256 and suffix: whether its name fits its bytes is said of each file by its own name."""

    def register(self, files: Iterable[InboxFile], known: dict[str, Known]) -> None:
        """Enter bounces into the ledger, those that are new and can be decoded; reject those that can't."""
        new = (file for file in files if not is_known(file, known))
        for batch in batches_of(new, lambda file: file.stored.size):
            with ExitStack() as copies:
                self._register([found for file in batch if (found := self._fetched(file, copies)) is not None])

    def place(self, waiting: Iterable[tuple[LedgerRow, UUID]]) -> None:
        """Bring waiting bounces to their items, in this order, and out of the inbox."""
        found = ((row, item_id, self._bucket.stat(row.inbox_key)) for row, item_id in waiting)
        for batch in batches_of(found, lambda each: each[2].size if each[2] is not None else 0):
            with ExitStack() as copies:
                self._place_batch(batch, copies)

    def tidy(self, item_ids: Sequence[UUID]) -> None:
        """Remove audio of other formats that the present audio of items has replaced."""
        if not item_ids:
            return
        with self._step.ports.database.transaction() as connection:
            items = training_items.get_items(connection, item_ids)
        for item_id, item in items.items():
            if item.audio_path is None:
                continue
            folder = training_folder(self._step.artist.slug, item_id)
            left = [
                stored.key
                for stored in self._bucket.list(folder)
                if PurePosixPath(stored.key).stem == "audio" and stored.key != item.audio_path
            ]
            self._bucket.delete(left)

    def describe(self, item: Item) -> None:
        """Find out what audio is that somebody else put into its place.

        Raises:
            UnreadableAudioError: it can't be decoded.
            ObjectNotFoundError: it is gone.
        """
        path = item.audio_path or ""
        with local_copy(self._bucket, path, PurePosixPath(path).name) as local:
            info = self._info(local)
            audio = Audio(path, local.sha256, info.extension, info.duration_seconds, info.warnings)
        with self._step.ports.database.transaction() as connection:
            self._step.held.check(connection)
            if training_items.describe_audio(connection, item, audio):
                keep_measured(connection, self._step.artist.id, {audio.sha256: info.measured})

    def _fetched(self, file: InboxFile, copies: ExitStack) -> tuple[InboxFile, LocalCopy] | None:
        try:
            return file, copies.enter_context(local_copy(self._bucket, file.stored.key, file.name))
        except ObjectNotFoundError:
            log.info("%s: gone from the inbox before it was taken", file.stored.key)
            return None

    def _register(self, files: Sequence[tuple[InboxFile, LocalCopy]]) -> None:
        if not files:
            return
        with self._step.ports.database.transaction() as connection:
            done = finished_files(connection, [ArrivingFile(file, local.sha256) for file, local in files])
        self.tidy([row.training_item_id for row in done.values() if row.training_item_id is not None])
        with Batch(self._begin) as batch:
            for file, local in files:
                if file.stored.key in done:
                    remove_taken(self._bucket, file)
                    continue
                try:
                    info = self._info(local)
                except UnreadableAudioError as error:
                    self._reject(file, local, error)
                    continue
                batch.add((ArrivingFile(file, local.sha256), info))

    def _begin(self, decoded: Sequence[tuple[ArrivingFile, "AudioInfo"]]) -> None:
        """Enter bounces into the ledger, and keep what was measured of them: it is not held until they are paired."""
        measured = {arriving.sha256: info.measured for arriving, info in decoded if info.measured is not None}
        with self._step.ports.database.transaction() as connection:
            self._step.held.check(connection)
            begin_files(connection, self._step.artist.id, [arriving for arriving, _ in decoded])
            keep_measured(connection, self._step.artist.id, measured)

    def _place_batch(self, batch: Sequence[tuple[LedgerRow, UUID, StoredObject | None]], copies: ExitStack) -> None:
        items: set[UUID] = set()
        with Batch(self._commit) as placements:
            for row, item_id, stored in batch:
                if (one := self._placement(row, item_id, stored, copies)) is None:
                    continue
                if item_id in items:  # the later one takes the place of the earlier
                    placements.flush()
                    items.clear()
                items.add(item_id)
                placements.add(one)

    def _placement(
        self, row: LedgerRow, item_id: UUID, stored: StoredObject | None, copies: ExitStack
    ) -> "_Placement | None":
        """Return a waiting bounce with its bytes; None where those are not the ones that were looked at."""
        try:
            local = copies.enter_context(local_copy(self._bucket, row.inbox_key, row.name))
        except ObjectNotFoundError:
            self._forget(row)
            return None
        if stored is None or local.sha256 != row.sha256:
            self._forget(row)
            return None
        file = InboxFile(stored, row.upload_id, row.folder, row.name, kind_of(row.name))
        try:
            info = self._info(local)
        except UnreadableAudioError as error:
            self._reject(file, local, error)
            return None
        # The key is by its bytes, not its name.
        key = f"{training_folder(self._step.artist.slug, item_id)}/audio.{info.extension}"
        audio = Audio(key, local.sha256, info.extension, info.duration_seconds, info.warnings)
        return _Placement(row, item_id, file, local, audio, info.measured)

    def _commit(self, placements: Sequence["_Placement"]) -> None:
        """Put bounces into their items' places, then their rows, and take them out of the inbox."""
        left = list(placements)
        for _ in range(_ATTEMPTS):
            if not left:
                return
            left = self._attempt(left)
        for each in left:
            name = each.row.name
            log.warning("%s: its item keeps being changed by somebody else; it is tried again next time", name)

    def _attempt(self, placements: Sequence["_Placement"]) -> list["_Placement"]:
        """Do so, and return those whose items were changed by somebody else meanwhile; no item is there twice."""
        database, held = self._step.ports.database, self._step.held
        with database.transaction() as connection:
            held.check(connection)
            items = training_items.get_items(connection, [each.item_id for each in placements])
            placements = [each for each in placements if each.item_id in items]
            record_destinations(
                connection, [Destination(each.row.id, each.item_id, each.audio.path) for each in placements]
            )
        written = [each for each in placements if not self._is_in_place(each, items[each.item_id])]
        for each in written:
            put_verified(self._bucket, each.local, each.audio.path)
        with database.transaction() as connection:
            held.check(connection)
            given = training_items.set_audio(connection, [(items[each.item_id], each.audio) for each in written])
            placed = [each for each in placements if each not in written or each.item_id in given]
            keep_measured(connection, self._step.artist.id, {each.audio.sha256: each.measured for each in placed})
            finish_taken(connection, [TakenFile(each.row.id, each.item_id) for each in placed])
        for each in placed:
            self._report.add(each.row.name, items[each.item_id], each.audio.sha256)
        self.tidy([each.item_id for each in placed])
        for each in placed:
            remove_taken(self._bucket, each.file)
        return [each for each in placements if each not in placed]

    def _is_in_place(self, each: "_Placement", item: Item) -> bool:
        # The same bytes again for an item that failed are a request to try again.
        is_same = (item.audio_hash, item.audio_path) == (each.audio.sha256, each.audio.path) and item.status != "failed"
        return is_same and object_hash(self._bucket, each.audio.path) == each.audio.sha256

    def _reject(self, file: InboxFile, local: LocalCopy, error: UnreadableAudioError) -> None:
        reason = plain_reason(error, local.path.name)
        if reject(self._step, file, local.sha256, reason):
            self._report.rejected.append((file.name, reason))

    def _forget(self, row: LedgerRow) -> None:
        log.info("%s: no longer in the inbox as it was", row.inbox_key)
        with self._step.ports.database.transaction() as connection:
            self._step.held.check(connection)
            ledger.forget(connection, row.id)

    def _info(self, local: LocalCopy) -> "AudioInfo":
        """Return what a bounce is, with what was measured of it where it is decoded now."""
        from modal_app.audio.decode import probe

        key = (local.sha256, local.path.suffix.lower())
        if key not in self._infos:
            log.info("listening to %s", local.path.name)
            info = probe(local.path, measure=True)
            for warning in info.warnings:
                log.warning("%s: %s", local.path.name, warning)
            self._infos[key] = replace(info, measured=None)
            return info
        return self._infos[key]


def training_folder(slug: str, item_id: UUID) -> str:
    """Return the folder of an item's files in the bucket."""
    return f"artists/{slug}/training/{item_id}"
