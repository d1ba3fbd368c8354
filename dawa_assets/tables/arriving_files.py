"""SQL of files on their way from the inbox to their places, many in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.columns import AT_ITS_PLACE, arrays, columns_of
from dawa_assets.tables.uploads import LEDGER_COLUMNS, SUMMARY_COLUMNS, InboxFile, LedgerRow, Summary
from resources.database.base import Connection

_DESTINATION = {"upload": "uuid", "item": "uuid", "final_key": "text"}
_TAKEN = {"upload": "uuid", "item": "uuid", "summary": "uuid"}
_SUMMARY = {
    "id": "uuid",
    "parse_id": "text",
    "als_filename": "text",
    "project_name": "text",
    "export_path": "text",
    "source_key": "text",
    "parser_version": "text",
}


@dataclass(frozen=True)
class ArrivingFile:
    """A file of the inbox with these bytes, and where it is about to go, as far as that is known."""

    file: InboxFile
    sha256: str
    final_key: str | None = None


@dataclass(frozen=True)
class Destination:
    """A waiting bounce, the item that it is about to be copied to, and the key that it gets there."""

    upload: UUID
    item: UUID
    final_key: str


@dataclass(frozen=True)
class TakenFile:
    """A row of the ledger whose file is in its place, and what it belongs to."""

    upload: UUID
    item: UUID
    summary: UUID | None = None


@dataclass(frozen=True)
class ParsedSet:
    """A summary, and what it says as JSON."""

    summary: Summary
    content: str


def finished_files(connection: Connection, files: Sequence[ArrivingFile]) -> dict[str, LedgerRow]:
    """Return by key the rows of these very objects that found their places: only their deletion was left to do."""
    with connection.cursor(row_factory=class_row(LedgerRow)) as cursor:
        found = cursor.execute(
            f"select {LEDGER_COLUMNS} from uploads u join unnest(%s::text[], %s::text[], %s::timestamptz[]) "
            "as w (key, hash, modified) on u.inbox_key = w.key and u.sha256 = w.hash "
            "where u.state <> 'waiting' and u.updated_at >= w.modified",
            [
                [each.file.stored.key for each in files],
                [each.sha256 for each in files],
                [each.file.stored.modified for each in files],
            ],
        ).fetchall()
    return {row.inbox_key: row for row in found}


def begin_files(connection: Connection, artist_id: UUID, files: Sequence[ArrivingFile]) -> dict[str, UUID]:
    """Record that files of the inbox are being worked on, and where they are about to go; their rows' ids by key.

    A bounce that was headed for an item when its worker was killed still is. A row of other bytes that waited under
    the same key is dropped: they were replaced.

    Args:
        connection: in a transaction.
        artist_id: whose inbox it is.
        files: each key once.
    """
    keys, hashes = [each.file.stored.key for each in files], [each.sha256 for each in files]
    connection.execute(
        "delete from uploads u using unnest(%s::text[], %s::text[]) as w (key, hash) "
        "where u.inbox_key = w.key and u.sha256 <> w.hash and u.state = 'waiting'",
        [keys, hashes],
    )
    rows = connection.execute(
        f"""
        insert into uploads as u
          (artist_id, upload_id, inbox_key, folder, name, kind, sha256, size_bytes, state, final_key, created_at)
        select %s, w.upload_id, w.key, w.folder, w.name, w.kind, w.hash, w.size, 'waiting', w.final_key, {AT_ITS_PLACE}
        from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[])
          with ordinality as w (upload_id, key, folder, name, kind, hash, size, final_key, place)
        order by w.place
        on conflict (inbox_key, sha256) do update set state = 'waiting', reason = null, updated_at = now(),
          final_key = coalesce(excluded.final_key, case when u.state = 'waiting' then u.final_key end),
          training_item_id = case when u.state = 'waiting' then u.training_item_id end,
          created_at = case when u.state = 'waiting' then u.created_at else excluded.created_at end
        returning inbox_key, id""",
        [
            artist_id,
            [each.file.upload_id for each in files],
            keys,
            [each.file.folder for each in files],
            [each.file.name for each in files],
            [each.file.kind for each in files],
            hashes,
            [each.file.stored.size for each in files],
            [each.final_key for each in files],
        ],
    )
    return {row["inbox_key"]: row["id"] for row in rows}


def record_destinations(connection: Connection, destinations: Sequence[Destination]) -> None:
    """Record for which items waiting bounces are about to be copied, and where."""
    connection.execute(
        "update uploads u set training_item_id = w.item, final_key = w.final_key, reason = null, updated_at = now() "
        f"from unnest({arrays(_DESTINATION)}) as w ({', '.join(_DESTINATION)}) "
        "where u.id = w.upload and u.state = 'waiting'",
        columns_of(destinations, _DESTINATION),
    )


def finish_taken(connection: Connection, files: Sequence[TakenFile]) -> None:
    """Record that files are in their places."""
    connection.execute(
        "update uploads u set state = 'taken', reason = null, training_item_id = w.item, als_summary_id = w.summary, "
        f"updated_at = now() from unnest({arrays(_TAKEN)}) as w ({', '.join(_TAKEN)}) "
        "where u.id = w.upload and u.state = 'waiting'",
        columns_of(files, _TAKEN),
    )


def summaries_of(connection: Connection, artist_id: UUID, parse_ids: Sequence[str]) -> dict[str, Summary]:
    """Return the artist's summaries of these bytes, by parse id."""
    with connection.cursor(row_factory=class_row(Summary)) as cursor:
        found = cursor.execute(
            f"select {SUMMARY_COLUMNS} from als_summaries where artist_id = %s and parse_id = any(%s)",
            [artist_id, list(parse_ids)],
        ).fetchall()
    return {summary.parse_id: summary for summary in found}


def folders_of_items(connection: Connection, artist_id: UUID, item_keys: Sequence[str]) -> dict[str, list[str]]:
    """Return the folders that the sets of items were ever uploaded in, by item key; keys of no item are left out."""
    rows = connection.execute(
        "select t.item_key, coalesce(array_agg(u.folder) filter (where u.folder is not null), '{}') as folders "
        "from training_items t left join uploads u on u.training_item_id = t.id and u.kind = 'live_set' "
        "where t.artist_id = %s and t.item_key = any(%s) group by t.item_key",
        [artist_id, list(item_keys)],
    )
    return {row["item_key"]: row["folders"] for row in rows}


def save_summaries(connection: Connection, artist_id: UUID, sets: Sequence[ParsedSet]) -> dict[str, UUID]:
    """Insert summaries, or bring those of the same bytes up to date; their ids by parse id.

    Args:
        connection: in a transaction.
        artist_id: whose sets they are.
        sets: each parse id once; a summary's id is used for a new row.
    """
    columns = columns_of((each.summary for each in sets), _SUMMARY)
    given = {**columns, "artist_id": artist_id, "content": [each.content for each in sets]}
    # A row whose artist was deleted lost its artist_id, but still holds the name that this one needs.
    connection.execute(
        "update als_summaries s set artist_id = %(artist_id)s "
        "from unnest(%(als_filename)s::text[], %(parse_id)s::text[]) as w (als_filename, parse_id) "
        "where s.als_filename = w.als_filename and s.parse_id = w.parse_id and s.artist_id is null",
        given,
    )
    rows = connection.execute(
        f"""
        insert into als_summaries (id, artist_id, parse_id, als_filename, project_name, summary, export_path,
          source_key, parser_version, parse_timestamp, created_at)
        select w.id, %(artist_id)s, w.parse_id, w.als_filename, w.project_name, w.content::jsonb, w.export_path,
          w.source_key, w.parser_version, {AT_ITS_PLACE}, {AT_ITS_PLACE}
        from unnest({arrays(_SUMMARY)}, %(content)s::text[])
          with ordinality as w ({", ".join(_SUMMARY)}, content, place)
        order by w.place
        on conflict (artist_id, parse_id) do update set summary = excluded.summary,
          project_name = excluded.project_name, export_path = excluded.export_path,
          source_key = excluded.source_key, parser_version = excluded.parser_version
        returning parse_id, id""",
        given,
    )
    return {row["parse_id"]: row["id"] for row in rows}
