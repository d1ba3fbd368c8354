"""Brings training items up to date: bounces paired with their sets and held against them, their files, statuses.

What prompts say is not decided here (`dawa_assets/prompting`), nor what becomes of ready items
(`dawa_assets/datasets`).
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from dawa_assets.arrangements.align_items import align_items
from dawa_assets.intake.inbox import close, inbox_folders
from dawa_assets.intake.pairing import Bounce, Origin, Pairing, SetOrigin, Target, pair
from dawa_assets.intake.projects import Projects
from dawa_assets.items.audio import AudioReport, Bounces, training_folder
from dawa_assets.items.present_audio import audio_is_there
from dawa_assets.items.quality import FindingRow, check_quality, finding_row
from dawa_assets.pipeline.batches import batches_of
from dawa_assets.pipeline.step import Step, artist_step
from dawa_assets.prompting.prompt_files import saved_file_is
from dawa_assets.tables import training_items
from dawa_assets.tables import uploads as ledger
from dawa_assets.tables.alignments import alignments_of
from dawa_assets.tables.best_saves import best_saves_of
from dawa_assets.tables.training_items import Item
from dawa_assets.tables.uploads import Kind, LedgerRow
from resources.ports import Ports

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlignedItem:
    """Where an item's bounce begins in its set, and which other it fits better, for a table."""

    item: str
    answer: str
    confidence: float
    reason: str
    fits_best: str
    version: str


@dataclass
class ItemsReport(AudioReport):
    """What was done for an artist's items. Pairs are (name, item or reason); `items` counts them by status.

    `newly_aligned` were held against their sets now, `not_compared` could not be; `alignments` are those of all items,
    as `findings` are of the quality gate; items that it `blocked` wait.
    """

    waiting: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    prompts_in_place: int = 0
    moved: int = 0
    newly_aligned: list[tuple[str, str]] = field(default_factory=list)
    not_compared: list[tuple[str, str]] = field(default_factory=list)
    alignments: list[AlignedItem] = field(default_factory=list)
    findings: list[FindingRow] = field(default_factory=list)
    blocked: int = 0
    not_measured: list[tuple[str, str]] = field(default_factory=list)
    items: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def headline(self) -> str:
        """The report on one line."""
        ready = self.items.get("ready", 0) + self.items.get("exported", 0)
        counts = {
            "bounces paired": len(self.paired),
            "replaced": len(self.replaced),
            "known already": len(self.unchanged),
            "rejected": len(self.rejected),
            "waiting": len(self.waiting),
            "items failed": len(self.failed),
            "not of their set": sum(each.answer == "not this arrangement" for each in self.alignments),
            "not compared with their set": len(self.not_compared),
            "blocked by what was found": self.blocked,
            "not measured": len(self.not_measured),
        }
        counted = "".join(f", {count} {what}" for what, count in counts.items() if count)
        return f"{ready}/{sum(self.items.values())} items ready{counted}"


def update_training_items(ports: Ports, slug: str) -> ItemsReport:
    """Bring the artist's items up to date with the inbox, their prompts, and what lies in the bucket.

    New and waiting bounces are paired with sets, or wait with their reason. Audio that can't be decoded is rejected
    alone. Each bounce is held against its set once. `prompt.txt` is written where the row's text is another one. Audio
    that somebody else put in place is described, and no bounce takes its place; where it is gone the item fails, and
    comes back when the audio does. Excluded items get audio that is uploaded for them, and are left alone otherwise.

    Raises:
        UnknownArtistError: no artist has this slug.
        BusyError: another process is updating this artist's items.
    """
    started = time.monotonic()
    report = ItemsReport()
    with artist_step(ports, slug, "items") as step:
        _pair_bounces(step, report)
        _fix_and_project(step, report)
        compared = align_items(step)
        quality = check_quality(step)
        with ports.database.transaction() as connection:
            alignments = alignments_of(connection, step.artist.id)
            best = best_saves_of(connection, step.artist.id)
            counts = training_items.counts_by_status(connection, step.artist.id)
            waiting = ledger.ledger(connection, step.artist.id, Kind.AUDIO, waiting_only=True)
    report.newly_aligned, report.not_compared = compared.aligned, compared.not_compared
    report.alignments = [
        AlignedItem(
            each.name,
            each.alignment.words,
            each.alignment.confidence,
            each.alignment.reasons[0],
            best[each.item_id].words if each.item_id in best else "",
            each.alignment.version,
        )
        for each in alignments
    ]
    report.findings = [finding_row(each) for each in quality.findings]
    report.blocked = len({each.item_id for each in quality.findings if each.blocks})
    report.not_measured = quality.unmeasured
    report.items = {status: number for status, number in counts.items() if status != "excluded"}
    report.waiting = [(row.name, row.reason or "is being worked on") for row in waiting]
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _pair_bounces(step: Step, report: ItemsReport) -> None:
    ports, artist = step.ports, step.artist
    bounces = Bounces(step, report)
    inbox = list(inbox_folders(ports, artist.slug))
    with ports.database.transaction() as connection:
        step.held.check(connection)
        present = [file.stored.key for inbox_folder in inbox for file in inbox_folder.files]
        ledger.forget_gone(connection, artist.id, [Kind.AUDIO], present)
        known = ledger.known_waiting(connection, artist.id)
    complete = [inbox_folder for inbox_folder in inbox if inbox_folder.complete]
    bounces.register((file for each in complete for file in each.files if file.kind is Kind.AUDIO), known)
    with ports.database.transaction() as connection:
        step.held.check(connection)
        audio = ledger.ledger(connection, artist.id, Kind.AUDIO)
        sets = ledger.ledger(connection, artist.id, Kind.LIVE_SET)
        items = training_items.items_of(connection, artist.id)
    pairing, rows = _decide(audio, sets, items, Projects(ports.bucket, complete))
    with ports.database.transaction() as connection:
        step.held.check(connection)
        waits = [(rows[bounce.id], reason) for bounce, reason in pairing.waits]
        ledger.wait(connection, [(row.id, reason) for row, reason in waits if row.reason != reason])
    # A bounce that was headed for its item when a worker was killed goes there first: its bytes may be there.
    resumed = [(row, row.training_item_id) for row in audio if row.state == "waiting" and row.training_item_id]
    bounces.place([*resumed, *((rows[bounce.id], UUID(str(item))) for bounce, item in pairing.matches)])
    for inbox_folder in complete:
        close(ports.bucket, inbox_folder)


def _decide(
    audio: Sequence[LedgerRow], sets: Sequence[LedgerRow], items: Sequence[Item], projects: Projects
) -> tuple[Pairing, dict[object, LedgerRow]]:
    waiting = [row for row in audio if row.state == "waiting" and row.training_item_id is None]
    names: dict[UUID, set[str]] = {item.id: {item.als_filename or ""} for item in items}
    arrived: dict[UUID, datetime] = {}
    # What a set of some name in some folder was last taken in as: an older item does not keep the name.
    called = {(row.folder.rpartition("/")[2], row.name): row.training_item_id for row in sets}
    for (_, name), item_id in called.items():
        if item_id in names:
            names[item_id].add(name)
    for row in audio:
        if row.state == "taken" and row.training_item_id is not None:
            arrived[row.training_item_id] = max(row.created_at, arrived.get(row.training_item_id, row.created_at))
    pairing = pair(
        [
            Bounce(
                row.id,
                _origin(row),
                row.name,
                row.sha256,
                row.created_at,
                projects.of(row.upload_id, row.folder, row.name),
            )
            for row in waiting
        ],
        [SetOrigin(_origin(row), row.name, row.training_item_id) for row in sets],
        [
            Target(item.id, item.name, item.project_name or "", frozenset(names[item.id]), arrived.get(item.id))
            for item in items
            if not item.is_saved_pair
        ],
        [(_origin(row), row.name) for row in audio],
    )
    return pairing, {row.id: row for row in waiting}


def _fix_and_project(step: Step, report: ItemsReport) -> None:
    ports, artist = step.ports, step.artist
    present = {stored.key for stored in ports.bucket.list(f"artists/{artist.slug}/training")}
    with ports.database.transaction() as connection:
        items = [item for item in training_items.items_of(connection, artist.id) if not item.excluded]
    with_audio = [
        item.id
        for item in items
        if item.audio_path is not None and audio_is_there(step, item, present, report, report.failed)
    ]
    with ports.database.transaction() as connection:
        step.held.check(connection)
        report.moved = training_items.settle_statuses(connection, artist.id, with_audio)
    for batch in batches_of((item for item in items if item.prompt_text), lambda item: len(item.prompt_text or "")):
        report.prompts_in_place += project_prompts(step, batch, present)


def project_prompts(step: Step, items: Sequence[Item], present: set[str]) -> int:
    """Write the texts of items to their files where those hold other ones, and return how many were written."""
    on_record: list[tuple[Item, str, str]] = []
    written: list[tuple[Item, str, str]] = []
    for item in items:
        path = f"{training_folder(step.artist.slug, item.id)}/prompt.txt"
        content = (item.prompt_text or "").encode()
        text_hash = hashlib.sha256(content).hexdigest()
        if item.prompt_file_hash == text_hash and item.prompt_path == path and path in present:
            continue
        if item.prompt_file_hash is None and path in present and saved_file_is(step, item, path, content):
            on_record.append((item, path, text_hash))
            continue
        step.ports.bucket.put(path, content)
        written.append((item, path, text_hash))
    if not on_record and not written:
        return 0
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        done = training_items.set_prompt_files(connection, [*on_record, *written])
    return sum(item.id in done for item, _, _ in written)


def _origin(row: LedgerRow) -> Origin:
    return Origin(row.upload_id, row.folder)
