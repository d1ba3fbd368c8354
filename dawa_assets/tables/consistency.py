"""SQL of what the checks of consistency hold against each other: an artist's summaries, items, segments and tags."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.current_datasets import CURRENT_ITEMS
from dawa_assets.tables.names import item_name, track_name
from dawa_assets.tables.uploads import Kind
from resources.database.base import Connection

_MAX_UPLOADS = 20


@dataclass(frozen=True)
class SummaryFiles:
    """A summary, where its files are, and the tempo that it states; `source_key` is empty where it isn't ours."""

    als_filename: str
    export_path: str | None
    source_key: str | None
    tempo: str | None


@dataclass(frozen=True)
class UnplacedUpload:
    """A file that waits or was rejected, and why."""

    name: str
    reason: str | None
    state: str


@dataclass(frozen=True)
class CheckedItem:
    """A training item that is not excluded; `is_parsed`: it has a summary that a prompt can be written from."""

    id: UUID
    name: str
    status: str
    audio_path: str | None
    prompt_path: str | None
    prompt_text: str | None
    error: str | None
    audio_findings: list[str]
    is_parsed: bool


@dataclass(frozen=True)
class ItemSegments:
    """How many segments an item of the current dataset has; `is_hollow`: one of them has no samples."""

    name: str
    segments: int
    last: int | None
    is_hollow: bool | None
    error: str | None


@dataclass(frozen=True)
class CheckedSegment:
    """A segment of the current dataset; without a text it isn't tagged."""

    name: str
    index: int
    text: str | None


def summary_files(connection: Connection, artist_id: UUID) -> list[SummaryFiles]:
    """Return the artist's summaries by name."""
    with connection.cursor(row_factory=class_row(SummaryFiles)) as cursor:
        return cursor.execute(
            "select als_filename, export_path, source_key, summary -> 'overview' ->> 'tempo' as tempo "
            "from als_summaries where artist_id = %s order by als_filename",
            [artist_id],
        ).fetchall()


def unplaced_uploads(
    connection: Connection, artist_id: UUID, kind: Kind, states: Sequence[str]
) -> list[UnplacedUpload]:
    """Return the latest uploads of one kind in one of these states, at most 20."""
    with connection.cursor(row_factory=class_row(UnplacedUpload)) as cursor:
        return cursor.execute(
            "select name, reason, state from uploads where artist_id = %s and kind = %s and state = any(%s) "
            "order by created_at desc limit %s",
            [artist_id, kind, list(states), _MAX_UPLOADS],
        ).fetchall()


def checked_items(connection: Connection, artist_id: UUID) -> list[CheckedItem]:
    """Return the artist's items that are not excluded, oldest first."""
    with connection.cursor(row_factory=class_row(CheckedItem)) as cursor:
        return cursor.execute(
            f"select id, {item_name('training_items')} as name, status, audio_path, prompt_path, prompt_text, error, "
            "audio_findings, als_summary_id is not null as is_parsed "
            "from training_items where artist_id = %s and excluded_at is null order by created_at, id",
            [artist_id],
        ).fetchall()


def item_segments(connection: Connection, artist_id: UUID) -> list[ItemSegments]:
    """Return the current dataset's items in order with their segments, of all recipes together."""
    with connection.cursor(row_factory=class_row(ItemSegments)) as cursor:
        return cursor.execute(
            f"""
            select {track_name("i")} as name, count(s.index) as segments, max(s.index) as last,
              bool_or(s.samples <= 0) as is_hollow, t.error
            from {CURRENT_ITEMS} i left join audio_segments s on s.audio_hash = i.audio_hash
            left join training_items t on t.id = i.training_item_id
            group by i.position, i.item_key, i.audio_hash, t.error order by i.position
            """,
            {"artist": artist_id},
        ).fetchall()


def checked_segments(connection: Connection, artist_id: UUID) -> list[CheckedSegment]:
    """Return the current dataset's segments with a text each, whichever tagger's."""
    with connection.cursor(row_factory=class_row(CheckedSegment)) as cursor:
        return cursor.execute(
            f"""
            select {track_name("i")} as name, s.index, t.text from {CURRENT_ITEMS} i
            join audio_segments s on s.audio_hash = i.audio_hash
            left join lateral (
              select text from segment_tags t where t.segment_hash = s.segment_hash limit 1) t on true
            """,
            {"artist": artist_id},
        ).fetchall()
