"""Takes Live Sets in: from the inbox to a summary, its files, and a training item that waits for its bounce.

Bounces are taken in by `dawa_assets/items`. What is neither is put aside here, with its reason.
"""

import hashlib
import json
import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from uuid import UUID, uuid4

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary import PARSER_VERSION
from dawa_assets.ableton.summary_builder import summarise
from dawa_assets.artists.paths import is_own, shown_path
from dawa_assets.errors import UnreadableLiveSetError
from dawa_assets.intake.inbox import close, inbox_folders, remove_taken
from dawa_assets.intake.kinds import stem_of
from dawa_assets.intake.layout import export_folder, kept_set
from dawa_assets.intake.projects import Projects
from dawa_assets.intake.rejection import reject
from dawa_assets.pipeline.file_transfer import LocalCopy, local_copy, object_hash, plain_reason, put_verified
from dawa_assets.pipeline.step import Step, artist_step
from dawa_assets.tables import uploads
from dawa_assets.tables.training_items import NewItem, adopt_summaries, ensure_item, item_of_summary
from dawa_assets.tables.uploads import InboxFile, Kind, Summary
from resources.errors import ObjectNotFoundError
from resources.ports import Ports

log = logging.getLogger(__name__)

_MAX_BYTES = 512 << 20  # the largest real set has 37 MB as plain XML; nothing near this is worth fetching
_CHUNK = 1 << 20
_PICTURE = "timeline_visualizer.png"
_NEITHER = "neither a Live Set nor audio; upload .als, .mp3, .wav, .flac …"


@dataclass
class LiveSetsReport:
    """What became of an artist's Live Sets. Pairs are (name, reason)."""

    taken: list[str] = field(default_factory=list)
    unchanged: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    parsed_again: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    adopted: int = 0
    seconds: float = 0.0

    @property
    def headline(self) -> str:
        """The report on one line."""
        counts = {
            "taken in": len(self.taken),
            "known already": len(self.unchanged),
            "rejected": len(self.rejected),
            "waiting": len(self.waiting),
            "read again": len(self.parsed_again),
            "failed": len(self.failed),
            "adopted": self.adopted,
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing new in the inbox"


def take_in_live_sets(ports: Ports, slug: str) -> LiveSetsReport:
    """Bring the artist's Live Sets up to date with the inbox and with this version of the reader.

    Every complete upload's sets get a summary (row, `summary.json`, timeline picture, the kept .als) and an item.
    Sets that can't be read are rejected alone. Sets that an older reader parsed are read again. Summaries that
    were there before the pipeline get an item.

    Raises:
        UnknownArtistError: no artist has this slug.
        BusyError: another process is taking in this artist's sets.
    """
    started = time.monotonic()
    report = LiveSetsReport()
    with artist_step(ports, slug, "intake") as step:
        inbox = list(inbox_folders(ports, slug))
        present = [file.stored.key for inbox_folder in inbox for file in inbox_folder.files]
        with ports.database.transaction() as connection:
            step.held.check(connection)
            uploads.forget_gone(connection, step.artist.id, [Kind.LIVE_SET, Kind.OTHER], present)
        projects = Projects(ports.bucket, inbox)
        for inbox_folder in (inbox_folder for inbox_folder in inbox if inbox_folder.complete):
            # What is no music goes last: while it lies here, its folders tell of projects.
            for file in sorted(inbox_folder.files, key=lambda file: file.kind is Kind.OTHER):
                if file.kind is not Kind.AUDIO:
                    _settle(step, file, projects, report)
            close(ports.bucket, inbox_folder)
        _parse_again(step, report)
        with ports.database.transaction() as connection:
            step.held.check(connection)
            report.adopted = adopt_summaries(connection, step.artist.id)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def parse_id(artist_id: UUID, path: Path) -> str:
    """First 12 hex digits of SHA-256 over the artist's id and the set's bytes: names a parse for good."""
    digest = hashlib.sha256(str(artist_id).encode())
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()[:12]


def _settle(step: Step, file: InboxFile, projects: Projects, report: LiveSetsReport) -> None:
    reason = None
    if file.kind is Kind.OTHER:
        reason = _NEITHER
    elif file.stored.size > _MAX_BYTES:
        reason = f"{file.stored.size:,} bytes are too many for a Live Set; upload the .als file itself"
    try:
        if reason is None:
            with local_copy(step.ports.bucket, file.stored.key, file.name) as local:
                _take(step, file, projects, local, report)
        elif (sha256 := object_hash(step.ports.bucket, file.stored.key)) is not None:
            _reject_once(step, file, sha256, reason, report)
    except ObjectNotFoundError:
        log.info("%s: gone from the inbox before it was taken", file.stored.key)


def _reject_once(step: Step, file: InboxFile, sha256: str, reason: str, report: LiveSetsReport) -> None:
    with step.ports.database.transaction() as connection:
        done = uploads.finished(connection, file, sha256)
    if done:
        remove_taken(step.ports.bucket, file)
    elif reject(step, file, sha256, reason):
        report.rejected.append((file.name, reason))


def _take(step: Step, file: InboxFile, projects: Projects, local: LocalCopy, report: LiveSetsReport) -> None:
    bucket, artist = step.ports.bucket, step.artist
    identity = parse_id(artist.id, local.path)
    with step.ports.database.transaction() as connection:
        done = uploads.finished(connection, file, local.sha256)
        known = uploads.find_summary(connection, artist.id, identity)
    if done:
        remove_taken(bucket, file)
        return
    project = _project(step, file, projects.of(file.upload_id, file.folder, file.name))
    summary = _as_it_will_be(step, file, project, identity, known)
    current = known is not None and known == summary
    content = None
    if not (current and object_hash(bucket, summary.source_key or "") == local.sha256):
        content = _read_and_keep(step, file, local, summary, report)
        if content is None:
            return
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        upload = uploads.begin(connection, artist.id, file, local.sha256, summary.source_key)
        row = summary.id if content is None else uploads.save_summary(connection, artist.id, summary, content)
        item = item_of_summary(connection, row) or ensure_item(
            connection, artist.id, _item_of(file, project, summary, row)
        )
        uploads.finish_taken(connection, upload, item, row)
    remove_taken(bucket, file)
    if known is None:
        report.taken.append(_shown(file))
        log.info("took in %s", _shown(file))
    else:
        report.unchanged.append((_shown(file), f"the same bytes as {known.project_name}/{known.als_filename}"))


def _project(step: Step, file: InboxFile, found: str) -> str:
    """Return the project that the set is called by: the one found, or its own stem.

    Where an item has it under the folder that it lay in alone, by which sets were called once, it stays that one's.
    """
    stem = stem_of(file.name)
    project, former = found or stem, file.folder.rpartition("/")[2] or stem
    if project == former:
        return project
    with step.ports.database.transaction() as connection:
        folders = uploads.folders_of_item(connection, step.artist.id, f"{former}/{stem}")
    if folders is None:
        return project
    is_same = not folders or any(_is_same_place(file.folder, folder) for folder in folders)
    return former if is_same else project


def _is_same_place(one: str, other: str) -> bool:
    """Return whether two folders can be the same one, seen from different folders above it."""
    shorter, longer = sorted((PurePosixPath(one).parts, PurePosixPath(other).parts), key=len)
    return longer[len(longer) - len(shorter) :] == shorter


def _as_it_will_be(step: Step, file: InboxFile, project: str, identity: str, known: Summary | None) -> Summary:
    """Return the row of these bytes: under the names by which they came first."""
    als_filename = known.als_filename if known else file.name
    if known:
        project = known.project_name or stem_of(als_filename)
    slug = step.artist.slug
    kept = known.export_path if known is not None and _is_own_folder(slug, known.export_path) else None
    folder = kept or export_folder(slug, project, stem_of(als_filename), identity)
    source = known.source_key if known is not None and is_own(slug, known.source_key) else None
    return Summary(
        id=known.id if known else uuid4(),
        parse_id=identity,
        als_filename=als_filename,
        project_name=project,
        export_path=folder,
        source_key=source or kept_set(folder, stem_of(als_filename)),
        parser_version=PARSER_VERSION,
    )


def _read_and_keep(
    step: Step, file: InboxFile, local: LocalCopy, summary: Summary, report: LiveSetsReport
) -> dict[str, object] | None:
    """Return the content of the summary, with its files in place; None where the set was rejected or waits."""
    picture = local.path.with_name(_PICTURE)
    try:
        content = _read(local.path, summary, step.artist.name, picture)
    except UnreadableLiveSetError as error:
        reason = plain_reason(error, local.path.name)
        if reject(step, file, local.sha256, reason):
            report.rejected.append((_shown(file), reason))
        return None
    except Exception as error:
        # A fault of ours must not hold up the batch, and not cost its owner the file: it waits in the inbox.
        log.exception("%s: could not be read", file.stored.key)
        reason = f"could not be read by a fault of the program ({type(error).__name__}: {error}); report it"
        with step.ports.database.transaction() as connection:
            step.held.check(connection)
            uploads.wait(connection, uploads.begin(connection, step.artist.id, file, local.sha256), reason)
        report.waiting.append((_shown(file), reason))
        return None
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        uploads.begin(connection, step.artist.id, file, local.sha256, summary.source_key)
    put_verified(step.ports.bucket, local, summary.source_key or "")
    _put_outputs(step.ports, summary, content, picture)
    return content


def _read(path: Path, summary: Summary, artist_name: str, picture: Path) -> dict[str, object]:
    from dawa_assets.ableton.timeline import draw_timeline

    live_set = read_live_set(path)
    stem = stem_of(summary.als_filename)
    project = summary.project_name or ""
    content = summarise(
        live_set,
        als_filename=summary.als_filename,
        project_folder="" if project == stem else project,
        artist_name=artist_name,
    ).model_dump(mode="json")
    draw_timeline(live_set, picture)
    return content


def _put_outputs(ports: Ports, summary: Summary, content: dict[str, object], picture: Path) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2)
    ports.bucket.put(f"{summary.export_path}/summary.json", text.encode())
    ports.bucket.put(f"{summary.export_path}/{_PICTURE}", picture)


def _item_of(file: InboxFile, project: str, summary: Summary, row: UUID) -> NewItem:
    # The item is the set as it was called in this upload, even if its bytes came first under another name.
    stem = stem_of(file.name)
    return NewItem(
        item_key=f"{project}/{stem}",
        summary_id=row,
        parse_id=summary.parse_id,
        als_filename=file.name,
        project_name=project,
    )


def _parse_again(step: Step, report: LiveSetsReport) -> None:
    with step.ports.database.transaction() as connection:
        outdated = uploads.parsed_otherwise(connection, step.artist.id, PARSER_VERSION)
    for number, summary in enumerate(outdated, 1):
        log.info("reading %s again (%d of %d)", summary.als_filename, number, len(outdated))
        try:
            _parse_one_again(step, summary)
        except (UnreadableLiveSetError, ObjectNotFoundError) as error:
            report.failed.append((summary.als_filename, f"{error}; its older summary stays"))
        else:
            report.parsed_again.append(summary.als_filename)


def _parse_one_again(step: Step, summary: Summary) -> None:
    source = summary.source_key or ""
    if not is_own(step.artist.slug, source):
        raise UnreadableLiveSetError(f"{shown_path(source)}: is no file of the artist's own folder; it is not read")
    is_kept = _is_own_folder(step.artist.slug, summary.export_path)
    folder = summary.export_path if is_kept else source.rpartition("/")[0]
    new = replace(summary, export_path=folder, parser_version=PARSER_VERSION)
    with local_copy(step.ports.bucket, source, summary.als_filename) as local:
        if parse_id(step.artist.id, local.path) != summary.parse_id:
            raise UnreadableLiveSetError(f"{source}: is not the file that was taken in; upload the set again")
        picture = local.path.with_name(_PICTURE)
        try:
            content = _read(local.path, new, step.artist.name, picture)
        except UnreadableLiveSetError:
            raise
        except Exception as error:
            log.exception("%s: could not be read again", source)
            raise UnreadableLiveSetError(
                f"{source}: a fault of the program ({type(error).__name__}); its log says how"
            ) from error
        _put_outputs(step.ports, new, content, picture)
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        uploads.save_summary(connection, step.artist.id, new, content)


def _is_own_folder(slug: str, path: str | None) -> bool:
    """Return whether the outputs of a set can lie in a folder that its row names."""
    return is_own(slug, path) and is_own(slug, f"{path}/{_PICTURE}")


def _shown(file: InboxFile) -> str:
    return f"{file.folder}/{file.name}" if file.folder else file.name
