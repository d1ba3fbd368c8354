"""SQL of the intake: the ledger of uploads (`uploads`) and the rows of summaries (`als_summaries`).

A ledger row that waits without a reason is being worked on, or was when its worker was killed; one that waits with
a reason has been looked at and needs something else to arrive first. What is written for many files at once is in
`arriving_files.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from psycopg.rows import class_row

from resources.bucket.base import StoredObject
from resources.database.base import Connection


class Kind(StrEnum):
    """As in the ledger's column `kind`."""

    LIVE_SET = "live_set"
    AUDIO = "audio"
    OTHER = "other"


@dataclass(frozen=True)
class InboxFile:
    """A file in the inbox: the object, and the folder (inside the upload) and name it had with the user."""

    stored: StoredObject
    upload_id: str
    folder: str
    name: str
    kind: Kind


@dataclass(frozen=True)
class Known:
    """What the ledger knows of an object that waits."""

    size_bytes: int
    looked_at: datetime


@dataclass(frozen=True)
class LedgerRow:
    """One row of the ledger, as pairing and the items need it."""

    id: UUID
    upload_id: str
    inbox_key: str
    folder: str
    name: str
    sha256: str
    state: str
    reason: str | None
    final_key: str | None
    training_item_id: UUID | None
    created_at: datetime


@dataclass(frozen=True)
class Summary:
    """A row of `als_summaries` without its summary."""

    id: UUID
    parse_id: str
    als_filename: str
    project_name: str | None
    export_path: str | None
    source_key: str | None
    parser_version: str | None


@dataclass(frozen=True)
class WaitingBounce:
    """A bounce that waits with its reason."""

    id: UUID
    name: str
    folder: str
    size_bytes: int
    reason: str
    arrived_at: datetime


@dataclass(frozen=True)
class RejectedFile:
    """A file that was put aside."""

    name: str
    reason: str
    at: datetime


LEDGER_COLUMNS = (
    "id, upload_id, inbox_key, folder, name, sha256, state, reason, final_key, training_item_id, created_at"
)
SUMMARY_COLUMNS = "id, parse_id, als_filename, project_name, export_path, source_key, parser_version"


def known_waiting(connection: Connection, artist_id: UUID | None = None) -> dict[str, Known]:
    """Return what waits with a reason, of one artist or of all, by its key in the inbox."""
    rows = connection.execute(
        "select inbox_key, size_bytes, updated_at from uploads where state = 'waiting' and reason is not null "
        "and (%(artist)s::uuid is null or artist_id = %(artist)s) order by updated_at",
        {"artist": artist_id},
    )
    return {row["inbox_key"]: Known(row["size_bytes"], row["updated_at"]) for row in rows}


def ledger(connection: Connection, artist_id: UUID, kind: Kind, *, waiting_only: bool = False) -> list[LedgerRow]:
    """Return the artist's uploads of one kind, oldest first; those of one moment in the order of their keys."""
    with connection.cursor(row_factory=class_row(LedgerRow)) as cursor:
        return cursor.execute(
            f"select {LEDGER_COLUMNS} from uploads where artist_id = %s and kind = %s "
            "and (state = 'waiting' or not %s) order by created_at, inbox_key, id",
            [artist_id, kind, waiting_only],
        ).fetchall()


@dataclass(frozen=True)
class ArrivedFile:
    """A file that was looked at, as it was uploaded."""

    inbox_key: str
    kind: str
    name: str
    folder: str
    size_bytes: int
    created_at: datetime


def arrived(connection: Connection, artist_id: UUID) -> list[ArrivedFile]:
    """Return every file of an artist's that was looked at, whatever became of it; each place in the inbox once."""
    with connection.cursor(row_factory=class_row(ArrivedFile)) as cursor:
        return cursor.execute(
            "select distinct on (inbox_key) inbox_key, kind, name, folder, size_bytes, created_at from uploads "
            "where artist_id = %s order by inbox_key, created_at desc",
            [artist_id],
        ).fetchall()


def waiting_bounces(connection: Connection, artist_id: UUID) -> list[WaitingBounce]:
    """Return the artist's bounces that wait, the latest first."""
    with connection.cursor(row_factory=class_row(WaitingBounce)) as cursor:
        return cursor.execute(
            "select id, name, folder, size_bytes, coalesce(reason, 'is being worked on') as reason, "
            "created_at as arrived_at from uploads where artist_id = %s and state = 'waiting' and kind = 'audio' "
            "order by created_at desc, name",
            [artist_id],
        ).fetchall()


def latest_rejected(connection: Connection, artist_id: UUID, limit: int) -> list[RejectedFile]:
    """Return the artist's files that were rejected, the latest first."""
    with connection.cursor(row_factory=class_row(RejectedFile)) as cursor:
        return cursor.execute(
            "select name, coalesce(reason, 'no reason recorded') as reason, updated_at as at from uploads "
            "where artist_id = %s and state = 'rejected' order by updated_at desc, name limit %s",
            [artist_id, limit],
        ).fetchall()


@dataclass(frozen=True)
class Outcome:
    """What became of a file that was uploaded: its item or its summary where it was taken, the reason where not."""

    upload_id: str
    folder: str
    name: str
    size_bytes: int
    state: str
    reason: str | None
    training_item_id: UUID | None
    parse_id: str | None
    at: datetime


def latest_outcomes(connection: Connection, artist_id: UUID, limit: int) -> list[Outcome]:
    """Return what became of the artist's files that came last, the latest first; each place in the inbox once."""
    with connection.cursor(row_factory=class_row(Outcome)) as cursor:
        return cursor.execute(
            "select * from (select distinct on (u.inbox_key) u.upload_id, u.folder, u.name, u.size_bytes, u.state, "
            "u.reason, u.training_item_id, s.parse_id, u.updated_at as at "
            "from uploads u left join als_summaries s on s.id = u.als_summary_id where u.artist_id = %s "
            "order by u.inbox_key, u.created_at desc, u.id) found order by at desc, upload_id, folder, name limit %s",
            [artist_id, limit],
        ).fetchall()


def are_all_taken(connection: Connection, artist_id: UUID, hashes: set[str]) -> bool:
    """Return whether every file with one of these hashes was taken in before."""
    row = connection.execute(
        "select count(distinct sha256) as n from uploads where artist_id = %s and state = 'taken' and sha256 = any(%s)",
        [artist_id, list(hashes)],
    ).fetchone()
    return row is not None and row["n"] == len(hashes)


def forget_gone(connection: Connection, artist_id: UUID, kinds: list[Kind], present: list[str]) -> None:
    """Drop the rows of files that waited in the inbox and were taken out of it by somebody else."""
    connection.execute(
        "delete from uploads where artist_id = %s and state = 'waiting' and kind = any(%s) and inbox_key <> all(%s)",
        [artist_id, kinds, present],
    )


def wait(connection: Connection, reasons: Sequence[tuple[UUID, str]]) -> None:
    """Let files wait where they lie, each with the reason why."""
    if not reasons:
        return
    connection.execute(
        "update uploads u set reason = w.reason, final_key = null, training_item_id = null, updated_at = now() "
        "from unnest(%s::uuid[], %s::text[]) as w (upload, reason) where u.id = w.upload and u.state = 'waiting'",
        [[upload for upload, _ in reasons], [reason for _, reason in reasons]],
    )


def finish_rejected(connection: Connection, upload: UUID, reason: str) -> None:
    """Record why a file was not taken."""
    connection.execute(
        "update uploads set state = 'rejected', reason = %s, updated_at = now() where id = %s and state = 'waiting'",
        [reason, upload],
    )


def forget(connection: Connection, upload: UUID) -> None:
    """Drop the row of a file that was replaced in the inbox before it was taken: the new one gets its own."""
    connection.execute("delete from uploads where id = %s and state = 'waiting'", [upload])


def find_summary(connection: Connection, artist_id: UUID, parse_id: str) -> Summary | None:
    """Return the artist's summary of these bytes."""
    with connection.cursor(row_factory=class_row(Summary)) as cursor:
        return cursor.execute(
            f"select {SUMMARY_COLUMNS} from als_summaries where artist_id = %s and parse_id = %s",
            [artist_id, parse_id],
        ).fetchone()


def parsed_otherwise(connection: Connection, artist_id: UUID, parser_version: str) -> list[Summary]:
    """Summaries that another version of the reader made of a set that was kept."""
    with connection.cursor(row_factory=class_row(Summary)) as cursor:
        return cursor.execute(
            f"select {SUMMARY_COLUMNS} from als_summaries where artist_id = %s and source_key is not null "
            "and parser_version is distinct from %s order by created_at, id",
            [artist_id, parser_version],
        ).fetchall()


def latest_timelines(connection: Connection, slug: str, limit: int) -> list[tuple[str, str]]:
    """Name and key of the timeline pictures of the sets that were taken in last, the newest first."""
    rows = connection.execute(
        "select coalesce(s.project_name || '/', '') || s.als_filename as name, "
        "s.export_path || '/timeline_visualizer.png' as key "
        "from als_summaries s join artists a on a.id = s.artist_id "
        "where a.slug = %s and s.source_key is not null and s.export_path is not null "
        "order by s.created_at desc, s.id limit %s",
        [slug, limit],
    )
    return [(row["name"], row["key"]) for row in rows]
