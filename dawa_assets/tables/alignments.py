"""SQL of alignments and timelines: where each item's bounce begins in its Live Set, and what plays when in the set.

Both are keyed by content, and of one version each: what an older version said is replaced.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.columns import arrays, columns_of
from dawa_assets.tables.names import item_name
from modal_app.protocol.song_timeline import SongTimeline
from resources.database.base import Connection

Answer = Literal["aligned", "not this arrangement", "can't be told"]


@dataclass(frozen=True)
class UnalignedItem:
    """An item whose bounce was never held against its present set by this version, and where both files are."""

    id: UUID
    name: str
    audio_path: str
    audio_hash: str
    als_filename: str
    parse_id: str
    source_key: str
    former_tempos: list[float]
    """Of earlier saves of the set, the latest first."""
    needs_alignment: bool
    """Else it is only the set's timeline that is missing."""


@dataclass(frozen=True)
class StoredAlignment:
    """What is stored of a bounce and a set; see `Alignment` of `dawa_assets/ableton/alignment.py`.

    `set_tempo` is the set's own, `tempo` the one that the bounce was rendered at.
    """

    audio_hash: str
    parse_id: str
    answer: Answer
    confidence: float
    reasons: list[str]
    offset_seconds: float | None
    bar: float | None
    tempo: float | None
    set_tempo: float
    score: float | None
    margin: float | None
    version: str
    heard_tempo: float | None = None
    """The bounce's own, in BPM, as far as it can be heard; 0 where nothing begins in it, None where nobody listened."""

    @property
    def speed(self) -> float:
        """The tempo of the bounce over the set's own."""
        return (self.tempo or self.set_tempo) / self.set_tempo

    @property
    def words(self) -> str:
        """The answer in a few words: `aligned from bar 9 (15.74 s)`."""
        if self.answer != "aligned" or self.offset_seconds is None:
            return self.answer
        if self.offset_seconds < -0.1:
            where = f"{-self.offset_seconds:.2f} s before the arrangement"
        else:
            where = f"from bar {self.bar:.4g} ({max(self.offset_seconds, 0.0):.2f} s)"
        at = "" if abs(self.speed - 1) < 1e-6 else f", rendered at {self.tempo:g} BPM"
        return f"aligned {where}{at}"


@dataclass(frozen=True)
class ItemAlignment:
    """An item and its alignment, as far as it was looked at."""

    item_id: UUID
    name: str
    alignment: StoredAlignment


@dataclass(frozen=True)
class BounceTimeline:
    """What plays when in a bounce, by its own clock, and its tempo over the set's own."""

    timeline: SongTimeline
    speed: float


STORED_ALIGNMENT = (
    "a.audio_hash, a.parse_id, a.answer, a.confidence, a.reasons, a.offset_seconds, a.bar, a.tempo, a.set_tempo, "
    "a.score, a.margin, a.version, a.heard_tempo"
)
"""Of `alignments a`: the columns of `StoredAlignment`."""
# The set that an item uses, and its own bytes: what other programs wrote without a file can't be held against anything.
_PAIRS = """training_items t join als_summaries s on s.id = t.als_summary_id and s.artist_id = t.artist_id
  left join alignments a on a.artist_id = t.artist_id and a.parse_id = s.parse_id and a.audio_hash = t.audio_hash"""
_TEMPO = "(e.summary -> 'overview' ->> 'tempo')"


_ALIGNMENT_COLUMNS = {
    "parse_id": "text",
    "audio_hash": "text",
    "version": "text",
    "answer": "text",
    "confidence": "float8",
    "offset_seconds": "float8",
    "bar": "float8",
    "tempo": "float8",
    "set_tempo": "float8",
    "score": "float8",
    "margin": "float8",
    "heard_tempo": "float8",
}


def unaligned_items(
    connection: Connection, artist_id: UUID, version: str, timeline_version: str
) -> list[UnalignedItem]:
    """Return the artist's items with audio and a set's file that lack an answer or a timeline of these versions."""
    with connection.cursor(row_factory=class_row(UnalignedItem)) as cursor:
        return cursor.execute(
            f"""
            select t.id, {item_name("t")} as name, t.audio_path, t.audio_hash, s.als_filename, s.parse_id, s.source_key,
              a.version is distinct from %(version)s as needs_alignment,
              coalesce((select array_agg(e.tempo order by e.parse_timestamp desc) from (
                select {_TEMPO}::float8 as tempo, e.parse_timestamp from als_summaries e
                where e.artist_id = s.artist_id and e.als_filename = s.als_filename
                  and e.project_name is not distinct from s.project_name and e.id <> s.id
                  and jsonb_typeof(e.summary -> 'overview' -> 'tempo') = 'number'
                order by e.parse_timestamp desc limit 8) e), '{{}}') as former_tempos
            from {_PAIRS}
            left join song_timelines l on l.artist_id = t.artist_id and l.parse_id = s.parse_id
            where t.artist_id = %(artist)s and t.audio_path is not null and t.audio_hash is not null
              and t.excluded_at is null and s.source_key is not null
              and (a.version is distinct from %(version)s or l.version is distinct from %(timeline_version)s)
            order by t.created_at, t.id
            """,
            {"artist": artist_id, "version": version, "timeline_version": timeline_version},
        ).fetchall()


def keep_alignments(connection: Connection, artist_id: UUID, found: Sequence[StoredAlignment]) -> None:
    """Store answers in the places of older versions'."""
    each_once = list({(each.parse_id, each.audio_hash): each for each in found}.values())
    if not each_once:
        return
    connection.execute(
        f"""
        insert into alignments (artist_id, {", ".join(_ALIGNMENT_COLUMNS)}, reasons)
        select %(artist)s, {", ".join(f"w.{name}" for name in _ALIGNMENT_COLUMNS)},
          array(select jsonb_array_elements_text(w.reasons))
        from unnest({arrays(_ALIGNMENT_COLUMNS)}, %(reasons)s::jsonb[]) as w ({", ".join(_ALIGNMENT_COLUMNS)}, reasons)
        on conflict (artist_id, parse_id, audio_hash) do update set version = excluded.version,
          answer = excluded.answer, confidence = excluded.confidence, offset_seconds = excluded.offset_seconds,
          bar = excluded.bar, tempo = excluded.tempo, set_tempo = excluded.set_tempo, score = excluded.score,
          margin = excluded.margin, reasons = excluded.reasons, heard_tempo = excluded.heard_tempo,
          created_at = now()
        """,
        {
            **columns_of(each_once, _ALIGNMENT_COLUMNS),
            "reasons": [Jsonb(each.reasons) for each in each_once],
            "artist": artist_id,
        },
    )


def keep_timelines(connection: Connection, artist_id: UUID, timelines: Mapping[str, SongTimeline]) -> None:
    """Store by parse id what plays when in sets, in the places of older versions'."""
    if not timelines:
        return
    connection.execute(
        "insert into song_timelines (artist_id, parse_id, version, timeline) "
        "select %s, w.* from unnest(%s::text[], %s::text[], %s::jsonb[]) as w (parse_id, version, timeline) "
        "on conflict (artist_id, parse_id) do update set version = excluded.version, timeline = excluded.timeline, "
        "created_at = now()",
        [
            artist_id,
            list(timelines),
            [each.version for each in timelines.values()],
            [Jsonb(each.model_dump(mode="json")) for each in timelines.values()],
        ],
    )


def alignments_of(
    connection: Connection, artist_id: UUID, items: Collection[UUID] | None = None
) -> list[ItemAlignment]:
    """Return the alignments of the artist's items, oldest item first; of these items alone where they are given."""
    rows = connection.execute(
        f"""select t.id as item_id, {item_name("t")} as name, {STORED_ALIGNMENT} from {_PAIRS}
        where t.artist_id = %(artist)s and a.answer is not null and t.excluded_at is null
          and (%(items)s::uuid[] is null or t.id = any(%(items)s)) order by t.created_at, t.id""",
        {"artist": artist_id, "items": None if items is None else list(items)},
    ).fetchall()
    return [ItemAlignment(row.pop("item_id"), row.pop("name"), StoredAlignment(**row)) for row in rows]


def bounce_timeline(
    connection: Connection, artist_id: UUID, parse_id: str | None, audio_hash: str
) -> BounceTimeline | None:
    """Return what plays when in a bounce; None unless it has a set (`parse_id`) and is aligned with it."""
    row = connection.execute(
        f"select {STORED_ALIGNMENT}, l.timeline from alignments a join song_timelines l using (artist_id, parse_id) "
        "where artist_id = %s and parse_id = %s and a.audio_hash = %s",
        [artist_id, parse_id, audio_hash],
    ).fetchone()
    if row is None:
        return None
    timeline = SongTimeline.model_validate(row.pop("timeline"))
    found = StoredAlignment(**row)
    if found.offset_seconds is None:
        return None
    return BounceTimeline(timeline.by_bounce_clock(found.offset_seconds, found.speed), found.speed)
