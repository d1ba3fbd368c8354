"""SQL of segments: what lies in the worker's cache of each item's audio."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.current_datasets import CURRENT_DATASETS, CURRENT_ITEMS
from dawa_assets.tables.names import track_name
from modal_app.protocol.audio import PreparedAudio
from resources.database.base import Connection

_TRACKS = f"""
  select i.position, {track_name("i")} as name, i.audio_hash,
    (select array_agg(s.index order by s.silent, s.gain_db, s.index) from audio_segments s
     where s.audio_hash = i.audio_hash and s.recipe = 'mono44') as loudest_first,
    (select s.start_seconds from audio_segments s where s.audio_hash = i.audio_hash and s.recipe = 'mono44'
     order by s.silent, s.gain_db, s.index limit 1) as loudest_at,
    count(*) over () as of_tracks, t.audio_path,
    (select s.parse_id from als_summaries s left join training_items n on n.id = i.training_item_id
     where s.id = coalesce(n.als_summary_id, i.als_summary_id)) as parse_id
  from {CURRENT_ITEMS} i left join training_items t on t.id = i.training_item_id and t.audio_hash = i.audio_hash
  where exists (select from audio_segments s where s.audio_hash = i.audio_hash and s.recipe = 'mono44')
  order by i.position limit %(limit)s
"""


@dataclass(frozen=True)
class SegmentedTrack:
    """An item of the current dataset that has segments, and how many such items there are."""

    position: int
    name: str
    audio_hash: str
    loudest_first: list[int]
    """The indices of its segments: those with sound before silent ones, and what needs little gain before the rest."""
    of_tracks: int
    loudest_at: float
    """Where the loudest one begins, in seconds."""
    audio_path: str | None
    """Where the item's audio lies; None where it has another one by now."""
    parse_id: str | None
    """Of the Live Set that the item uses now."""


def record_segments(connection: Connection, prepared: Iterable[PreparedAudio]) -> None:
    """Record what lies in the worker's cache; rows that say the same already are left alone."""
    for audio in prepared:
        segments = audio.segments
        connection.execute(
            "delete from audio_segments where audio_hash = %s and recipe = %s and index >= %s",
            [audio.audio_hash, audio.recipe, len(segments)],
        )
        connection.execute(
            """
            insert into audio_segments as known (audio_hash, recipe, index, segment_hash, start_seconds, samples,
              gain_db, peak_dbfs, silent)
            select %s, %s, * from unnest(%s::int[], %s::text[], %s::float8[], %s::int[], %s::float8[],
              %s::float8[], %s::bool[])
            on conflict (audio_hash, recipe, index) do update set segment_hash = excluded.segment_hash,
              start_seconds = excluded.start_seconds, samples = excluded.samples, gain_db = excluded.gain_db,
              peak_dbfs = excluded.peak_dbfs, silent = excluded.silent
            where known.segment_hash <> excluded.segment_hash
            """,
            [
                audio.audio_hash,
                audio.recipe,
                [segment.index for segment in segments],
                [segment.sha256 for segment in segments],
                [segment.start_seconds for segment in segments],
                [segment.samples for segment in segments],
                [segment.gain_db for segment in segments],
                [segment.peak_dbfs for segment in segments],
                [segment.silent for segment in segments],
            ],
        )


def segmented_tracks(connection: Connection, artist_id: UUID, limit: int) -> list[SegmentedTrack]:
    """Return the first items of the current dataset that have segments, in order."""
    with connection.cursor(row_factory=class_row(SegmentedTrack)) as cursor:
        return cursor.execute(_TRACKS, {"artist": artist_id, "limit": limit}).fetchall()


def audio_of_other_artists(connection: Connection, artist_id: UUID, recipe: str, limit: int) -> list[str]:
    """Return hashes of segmented audio in others' current datasets that is not the artist's too, one artist at a time.

    In a fixed order, so that the same rows give the same control.
    """
    rows = connection.execute(
        f"""
        select audio_hash from (
          select i.audio_hash, d.artist_id,
            row_number() over (partition by d.artist_id order by md5(i.audio_hash)) as place
          from {CURRENT_DATASETS} d join dataset_items i on i.dataset_id = d.id
          where d.artist_id <> %(artist)s
            and exists (select from audio_segments s where s.audio_hash = i.audio_hash and s.recipe = %(recipe)s)
            and not exists (select from training_items t
              where t.artist_id = %(artist)s and t.audio_hash = i.audio_hash)) other
        group by audio_hash order by min(place), min(md5(artist_id::text)) limit %(limit)s
        """,
        {"artist": artist_id, "recipe": recipe, "limit": limit},
    ).fetchall()
    return [row["audio_hash"] for row in rows]
