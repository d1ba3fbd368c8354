"""Audio on its way from the inbox into an item's folder, and what is known of audio that is there.

An item's audio is `artists/{slug}/training/{item-id}/audio.{ext}`, the bytes as they were uploaded. The bucket is
written before the row, and the file in the inbox is deleted last, so a worker that is killed anywhere has left
behind what its successor needs.
"""

import logging
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from uuid import UUID

from dawa_assets.intake.inbox import is_known, remove_taken
from dawa_assets.intake.kinds import kind_of
from dawa_assets.intake.rejection import reject
from dawa_assets.items.quality import keep_measured
from dawa_assets.pipeline.file_transfer import LocalCopy, local_copy, object_hash, plain_reason, put_verified
from dawa_assets.pipeline.step import Step
from dawa_assets.tables import training_items
from dawa_assets.tables import uploads as ledger
from dawa_assets.tables.training_items import Audio, Item
from dawa_assets.tables.uploads import InboxFile, Known, LedgerRow
from modal_app.errors import UnreadableAudioError
from resources.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from modal_app.audio.decode import AudioInfo

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


class Bounces:
    """The bounces of one artist during one update; remembers what each is, so that no file is decoded twice."""

    def __init__(self, step: Step, report: AudioReport) -> None:
        self._step = step
        self._bucket = step.ports.bucket
        self._report = report
        self._infos: dict[tuple[str, str], AudioInfo] = {}
        """By SHA-256 and suffix: whether its name fits its bytes is said of each file by its own name."""

    def register(self, file: InboxFile, known: dict[str, Known]) -> None:
        """Enter a bounce into the ledger, if it is a new one that can be decoded; reject it if it can't."""
        if is_known(file, known):
            return
        try:
            with local_copy(self._bucket, file.stored.key, file.name) as local:
                self._register(file, local)
        except ObjectNotFoundError:
            log.info("%s: gone from the inbox before it was taken", file.stored.key)

    def place(self, row: LedgerRow, item_id: UUID) -> None:
        """Bring a waiting bounce to its item, and out of the inbox."""
        stored = self._bucket.stat(row.inbox_key)
        try:
            with local_copy(self._bucket, row.inbox_key, row.name) as local:
                if stored is None or local.sha256 != row.sha256:
                    self._forget(row)
                    return
                file = InboxFile(stored, row.upload_id, row.folder, row.name, kind_of(row.name))
                try:
                    info = self._info(local)
                except UnreadableAudioError as error:
                    self._reject(file, local, error)
                    return
                placed = self._place(row, item_id, local, info)
        except ObjectNotFoundError:
            self._forget(row)
            return
        if placed:
            self.tidy(item_id)
            remove_taken(self._bucket, file)

    def tidy(self, item_id: UUID) -> None:
        """Remove audio of another format that an item's present audio has replaced."""
        with self._step.ports.database.transaction() as connection:
            item = training_items.get_item(connection, item_id)
        if item is None or item.audio_path is None:
            return
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
                keep_measured(connection, self._step.artist.id, audio.sha256, info.measured)

    def _register(self, file: InboxFile, local: LocalCopy) -> None:
        with self._step.ports.database.transaction() as connection:
            done = ledger.finished(connection, file, local.sha256)
        if done is not None:
            if done.training_item_id is not None:
                self.tidy(done.training_item_id)
            remove_taken(self._bucket, file)
            return
        try:
            self._info(local)
        except UnreadableAudioError as error:
            self._reject(file, local, error)
            return
        with self._step.ports.database.transaction() as connection:
            self._step.held.check(connection)
            ledger.begin(connection, self._step.artist.id, file, local.sha256)

    def _place(self, row: LedgerRow, item_id: UUID, local: LocalCopy, info: "AudioInfo") -> bool:
        key = f"{training_folder(self._step.artist.slug, item_id)}/audio.{info.extension}"  # by its bytes, not its name
        audio = Audio(key, local.sha256, info.extension, info.duration_seconds, info.warnings)
        for _ in range(_ATTEMPTS):
            with self._step.ports.database.transaction() as connection:
                self._step.held.check(connection)
                item = training_items.get_item(connection, item_id)
                if item is None:
                    return False
                ledger.head_for(connection, row.id, item_id, key)
            # The same bytes again for an item that failed are a request to try again.
            same = item.audio_hash == local.sha256 and item.audio_path == key and item.status != "failed"
            unchanged = same and object_hash(self._bucket, key) == local.sha256
            if not unchanged:
                put_verified(self._bucket, local, key)
            with self._step.ports.database.transaction() as connection:
                self._step.held.check(connection)
                if unchanged or training_items.set_audio(connection, item, audio):
                    keep_measured(connection, self._step.artist.id, audio.sha256, info.measured)
                    ledger.finish_taken(connection, row.id, item_id)
                    self._report.add(row.name, item, local.sha256)
                    return True
        log.warning("%s: its item keeps being changed by somebody else; it is tried again next time", row.name)
        return False

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
        from modal_app.audio.decode import probe

        key = (local.sha256, local.path.suffix.lower())
        if key not in self._infos:
            log.info("listening to %s", local.path.name)
            info = self._infos[key] = probe(local.path, measure=True)
            for warning in info.warnings:
                log.warning("%s: %s", local.path.name, warning)
        return self._infos[key]


def training_folder(slug: str, item_id: UUID) -> str:
    """Return the folder of an item's files in the bucket."""
    return f"artists/{slug}/training/{item_id}"
