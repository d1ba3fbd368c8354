"""Takes in the Live Sets of one upload, many in a batch: what the tables know of them is asked for and written at once.

The order is what makes it safe to be killed anywhere: the ledger says where the sets of a batch go, their files are put
there and the copies' hashes compared, one transaction writes all rows, and only then the sets are deleted from the
inbox. Whoever comes after a killed one reads the sets of its last batch once more, and finds the same places.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from uuid import UUID, uuid4

from psycopg import DataError

from dawa_assets.ableton.summary import PARSER_VERSION
from dawa_assets.artists.paths import is_own
from dawa_assets.errors import UnreadableLiveSetError
from dawa_assets.intake.inbox import remove_taken
from dawa_assets.intake.kinds import stem_of
from dawa_assets.intake.layout import export_folder, kept_set
from dawa_assets.intake.live_sets_report import LiveSetsReport
from dawa_assets.intake.projects import Projects
from dawa_assets.intake.rejection import reject
from dawa_assets.intake.set_files import SetOutputs, is_own_folder, parse_id, put_outputs, read_set
from dawa_assets.pipeline.batches import Batch, batches_of
from dawa_assets.pipeline.file_transfer import LocalCopy, local_copy, object_hash, plain_reason, put_verified
from dawa_assets.pipeline.step import Step
from dawa_assets.tables.arriving_files import (
    ArrivingFile,
    ParsedSet,
    TakenFile,
    begin_files,
    finish_taken,
    finished_files,
    folders_of_items,
    save_summaries,
    summaries_of,
)
from dawa_assets.tables.training_items import NewItem, ensure_items, items_of_summaries
from dawa_assets.tables.uploads import InboxFile, Summary, wait
from resources.errors import ObjectNotFoundError

log = logging.getLogger(__name__)

_MAX_SUMMARIES_BYTES = 8 << 20  # of those that wait in memory for their batch's transaction


@dataclass(frozen=True)
class _ArrivedSet:
    """A set of the inbox on this machine, and what it may be called.

    `project` is the one found by where it lay, or its own stem; `former` the folder that it lay in alone, by which sets
    were called once.
    """

    file: InboxFile
    local: LocalCopy
    parse_id: str
    project: str
    former: str

    @property
    def stem(self) -> str:
        return stem_of(self.file.name)

    @property
    def former_key(self) -> str:
        return f"{self.former}/{self.stem}"

    @property
    def names(self) -> set[str]:
        """Whatever another set of the same batch must not share with it."""
        return {f"parse {self.parse_id}", f"item {self.project}/{self.stem}", f"item {self.former_key}"}

    @property
    def shown(self) -> str:
        return f"{self.file.folder}/{self.file.name}" if self.file.folder else self.file.name


@dataclass
class _Known:
    """What the tables know of some sets: rows that are done by key, summaries by parse id, folders by item key.

    `written` has what was written since; of that they know more by now.
    """

    done: set[str]
    summaries: dict[str, Summary]
    folders: dict[str, list[str]]
    written: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _ReadSet:
    """A set that its row and its files can be written of; no `outputs` where they are in place already."""

    arrived: _ArrivedSet
    project: str
    summary: Summary
    known: Summary | None
    outputs: SetOutputs | None


class _EntangledError(Exception):
    """An item of one set of a batch would be another one's from then on: which has it depends on their order."""


def take_in(step: Step, files: Sequence[InboxFile], projects: Projects, report: LiveSetsReport) -> None:
    """Take in Live Sets of one folder of the inbox, in their order. What can't be read is rejected or waits alone.

    Raises:
        LostLeaseError: somebody else took over this step.
    """
    for batch in batches_of(files, lambda file: file.stored.size):
        with ExitStack() as copies:
            _take_in_batch(step, list(_fetched(step, batch, projects, copies)), report)


def _fetched(step: Step, files: Sequence[InboxFile], projects: Projects, copies: ExitStack) -> Iterator[_ArrivedSet]:
    for file in files:
        try:
            local = copies.enter_context(local_copy(step.ports.bucket, file.stored.key, file.name))
        except ObjectNotFoundError:
            log.info("%s: gone from the inbox before it was taken", file.stored.key)
            continue
        stem = stem_of(file.name)
        project = projects.of(file.upload_id, file.folder, file.name) or stem
        former = file.folder.rpartition("/")[2] or stem
        yield _ArrivedSet(file, local, parse_id(step.artist.id, local.path), project, former)


def _take_in_batch(step: Step, arrived: Sequence[_ArrivedSet], report: LiveSetsReport) -> None:
    known = _look_up(step, arrived)
    with Batch[_ReadSet](lambda read: _commit(step, read, report), _MAX_SUMMARIES_BYTES) as batch:
        for each in arrived:
            if each.names & known.written:  # the same bytes, or the same item, once more
                batch.flush()
                known = _look_up(step, arrived)
            known.written |= each.names
            if each.file.stored.key in known.done:
                remove_taken(step.ports.bucket, each.file)
            elif (one := _read(step, each, known, report)) is not None:
                batch.add(one, len(one.outputs.summary) if one.outputs else 0)


def _look_up(step: Step, arrived: Sequence[_ArrivedSet]) -> _Known:
    if not arrived:
        return _Known(set(), {}, {})
    with step.ports.database.transaction() as connection:
        done = finished_files(connection, [ArrivingFile(each.file, each.local.sha256) for each in arrived])
        summaries = summaries_of(connection, step.artist.id, [each.parse_id for each in arrived])
        former = [each.former_key for each in arrived if each.former != each.project]
        folders = folders_of_items(connection, step.artist.id, former) if former else {}
    return _Known(set(done), summaries, folders)


def _read(step: Step, each: _ArrivedSet, known: _Known, report: LiveSetsReport) -> _ReadSet | None:
    """Read one set, unless all there is of it is in place already; None where it was rejected or waits."""
    project = _project(each, known)
    former = known.summaries.get(each.parse_id)
    summary = _as_it_will_be(step.artist.slug, each, project, former)
    if summary == former and object_hash(step.ports.bucket, summary.source_key or "") == each.local.sha256:
        return _ReadSet(each, project, summary, former, None)
    try:
        outputs = read_set(each.local.path, summary, step.artist.name)
    except UnreadableLiveSetError as error:
        reason = plain_reason(error, each.local.path.name)
        if reject(step, each.file, each.local.sha256, reason):
            report.rejected.append((each.shown, reason))
        return None
    except Exception as error:
        log.exception("%s: could not be read", each.file.stored.key)
        _let_wait(step, each, error, report)
        return None
    return _ReadSet(each, project, summary, former, outputs)


def _let_wait(step: Step, each: _ArrivedSet, error: Exception, report: LiveSetsReport) -> None:
    """Leave a set in the inbox: a fault of ours must not hold up the batch, and not cost its owner the file."""
    line = next(iter(str(error).splitlines()), "")
    reason = f"could not be read by a fault of the program ({type(error).__name__}: {line}); report it"
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        [upload] = begin_files(connection, step.artist.id, [ArrivingFile(each.file, each.local.sha256)]).values()
        wait(connection, [(upload, reason)])
    report.waiting.append((each.shown, reason))


def _project(each: _ArrivedSet, known: _Known) -> str:
    """Return the project that the set is called by: the one found, or its own stem.

    Where an item has it under the folder that it lay in alone, it stays that one's.
    """
    folders = known.folders.get(each.former_key)
    if each.project == each.former or folders is None:
        return each.project
    is_same = not folders or any(_is_same_place(each.file.folder, folder) for folder in folders)
    return each.former if is_same else each.project


def _is_same_place(one: str, other: str) -> bool:
    """Return whether two folders can be the same one, seen from different folders above it."""
    shorter, longer = sorted((PurePosixPath(one).parts, PurePosixPath(other).parts), key=len)
    return longer[len(longer) - len(shorter) :] == shorter


def _as_it_will_be(slug: str, each: _ArrivedSet, project: str, known: Summary | None) -> Summary:
    """Return the row of these bytes: under the names by which they came first."""
    als_filename = known.als_filename if known else each.file.name
    if known:
        project = known.project_name or stem_of(als_filename)
    kept = known.export_path if known is not None and is_own_folder(slug, known.export_path) else None
    folder = kept or export_folder(slug, project, stem_of(als_filename), each.parse_id)
    source = known.source_key if known is not None and is_own(slug, known.source_key) else None
    return Summary(
        id=known.id if known else uuid4(),
        parse_id=each.parse_id,
        als_filename=als_filename,
        project_name=project,
        export_path=folder,
        source_key=source or kept_set(folder, stem_of(als_filename)),
        parser_version=PARSER_VERSION,
    )


def _commit(step: Step, read: Sequence[_ReadSet], report: LiveSetsReport) -> None:
    """Put the files of sets into their places, then their rows, and take them out of the inbox."""
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        uploads = begin_files(
            connection,
            step.artist.id,
            [ArrivingFile(each.arrived.file, each.arrived.local.sha256, each.summary.source_key) for each in read],
        )
    for each in read:
        if each.outputs is not None:
            put_verified(step.ports.bucket, each.arrived.local, each.summary.source_key or "")
            put_outputs(step.ports.bucket, each.summary, each.outputs)
    try:
        _write_rows(step, read, uploads)
    except (_EntangledError, DataError) as error:
        if len(read) > 1:
            for each in read:
                _commit(step, [each], report)
        else:  # it says what no column takes: it waits, the others don't
            log.exception("%s: could not be stored", read[0].arrived.file.stored.key)
            _let_wait(step, read[0].arrived, error, report)
        return
    for each in read:
        remove_taken(step.ports.bucket, each.arrived.file)
        if each.known is None:
            report.taken.append(each.arrived.shown)
            log.info("took in %s", each.arrived.shown)
        else:
            same = f"the same bytes as {each.known.project_name}/{each.known.als_filename}"
            report.unchanged.append((each.arrived.shown, same))


def _write_rows(step: Step, read: Sequence[_ReadSet], uploads: dict[str, UUID]) -> None:
    """Write summaries and items, and that the files are there: all of it, or nothing.

    Raises:
        _EntangledError: they have to be written one after the other.
        DataError: a row of one of them is refused.
    """
    parsed = [ParsedSet(each.summary, each.outputs.summary) for each in read if each.outputs is not None]
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        saved = save_summaries(connection, step.artist.id, parsed) if parsed else {}
        rows = {each.summary.parse_id: saved.get(each.summary.parse_id, each.summary.id) for each in read}
        items = items_of_summaries(connection, list(rows.values()))
        new = [each for each in read if rows[each.summary.parse_id] not in items]
        made = (
            ensure_items(connection, step.artist.id, [_item_of(each, rows[each.summary.parse_id]) for each in new])
            if new
            else {}
        )
        if not set(items.values()).isdisjoint(made.values()):
            raise _EntangledError
        items |= {rows[each.summary.parse_id]: made[_item_key(each)] for each in new}
        finish_taken(
            connection,
            [
                TakenFile(uploads[each.arrived.file.stored.key], items[row], row)
                for each in read
                for row in [rows[each.summary.parse_id]]
            ],
        )


def _item_of(each: _ReadSet, row: UUID) -> NewItem:
    # The item is the set as it was called in this upload, even if its bytes came first under another name.
    return NewItem(
        item_key=_item_key(each),
        summary_id=row,
        parse_id=each.summary.parse_id,
        als_filename=each.arrived.file.name,
        project_name=each.project,
    )


def _item_key(each: _ReadSet) -> str:
    return f"{each.project}/{each.arrived.stem}"
