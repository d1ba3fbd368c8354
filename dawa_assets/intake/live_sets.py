"""Takes Live Sets in: from the inbox to a summary, its files, and a training item that waits for its bounce.

Here is which files are read, and which sets are read again; `set_batches.py` takes them in. Bounces are taken in by
`dawa_assets/items`. What is neither is put aside here, with its reason.
"""

import logging
import time
from dataclasses import replace

from dawa_assets.ableton.summary import PARSER_VERSION
from dawa_assets.artists.paths import is_own, shown_path
from dawa_assets.errors import UnreadableLiveSetError
from dawa_assets.intake import set_batches
from dawa_assets.intake.inbox import close, inbox_folders, remove_taken
from dawa_assets.intake.live_sets_report import LiveSetsReport
from dawa_assets.intake.projects import Projects
from dawa_assets.intake.rejection import reject
from dawa_assets.intake.set_files import is_own_folder, parse_id, put_outputs, read_set
from dawa_assets.pipeline.file_transfer import local_copy, object_hash
from dawa_assets.pipeline.step import Step, artist_step
from dawa_assets.tables import uploads
from dawa_assets.tables.arriving_files import ArrivingFile, ParsedSet, finished_files, save_summaries
from dawa_assets.tables.training_items import adopt_summaries
from dawa_assets.tables.uploads import InboxFile, Kind, Summary
from resources.errors import ObjectNotFoundError
from resources.ports import Ports

log = logging.getLogger(__name__)

_MAX_BYTES = 512 << 20  # the largest real set has 37 MB as plain XML; nothing near this is worth fetching
_NEITHER = "neither a Live Set nor audio; upload .als, .mp3, .wav, .flac …"


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
            files = [file for file in inbox_folder.files if file.kind is not Kind.AUDIO]
            set_batches.take_in(step, [file for file in files if _why_not_read(file) is None], projects, report)
            # What is no music goes last: while it lies here, its folders tell of projects.
            for file in sorted(files, key=lambda file: file.kind is Kind.OTHER):
                if (reason := _why_not_read(file)) is not None:
                    _put_aside(step, file, reason, report)
            close(ports.bucket, inbox_folder)
        _parse_again(step, report)
        with ports.database.transaction() as connection:
            step.held.check(connection)
            report.adopted = adopt_summaries(connection, step.artist.id)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _why_not_read(file: InboxFile) -> str | None:
    """Return why a file is put aside unread; None for one that may be a Live Set."""
    if file.kind is Kind.OTHER:
        return _NEITHER
    if file.stored.size > _MAX_BYTES:
        return f"{file.stored.size:,} bytes are too many for a Live Set; upload the .als file itself"
    return None


def _put_aside(step: Step, file: InboxFile, reason: str, report: LiveSetsReport) -> None:
    sha256 = object_hash(step.ports.bucket, file.stored.key)
    if sha256 is None:
        log.info("%s: gone from the inbox before it was taken", file.stored.key)
        return
    with step.ports.database.transaction() as connection:
        done = finished_files(connection, [ArrivingFile(file, sha256)])
    if done:
        remove_taken(step.ports.bucket, file)
    elif reject(step, file, sha256, reason):
        report.rejected.append((file.name, reason))


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
    is_kept = is_own_folder(step.artist.slug, summary.export_path)
    folder = summary.export_path if is_kept else source.rpartition("/")[0]
    new = replace(summary, export_path=folder, parser_version=PARSER_VERSION)
    with local_copy(step.ports.bucket, source, summary.als_filename) as local:
        if parse_id(step.artist.id, local.path) != summary.parse_id:
            raise UnreadableLiveSetError(f"{source}: is not the file that was taken in; upload the set again")
        try:
            outputs = read_set(local.path, new, step.artist.name)
        except UnreadableLiveSetError:
            raise
        except Exception as error:
            log.exception("%s: could not be read again", source)
            raise UnreadableLiveSetError(
                f"{source}: a fault of the program ({type(error).__name__}); its log says how"
            ) from error
        put_outputs(step.ports.bucket, new, outputs)
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        save_summaries(connection, step.artist.id, [ParsedSet(new, outputs.summary)])
