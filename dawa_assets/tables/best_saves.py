"""SQL of saves: which of an artist's sets a bounce may be of, which it was compared with, and which it fits best.

A save is a row of `als_summaries` with its file; a set that was saved and uploaded again has several. Each comparison
is a row of `alignments`, whether the save is the one that the bounce's item has or another.
"""

import itertools
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.alignments import STORED_ALIGNMENT, StoredAlignment
from dawa_assets.tables.names import item_name
from resources.database.base import Connection

SAME_FIT = 0.03
"""By how much less a save's score may be than the best one's to fit alike."""


@dataclass(frozen=True)
class Save:
    """A Live Set as it was saved once. What its summary says is as it was parsed, or as other programs wrote it."""

    parse_id: str
    als_filename: str
    project_name: str | None
    source_key: str
    overview: object
    length_bars: object
    taken_in_at: datetime


@dataclass(frozen=True)
class UnsureItem:
    """An item whose bounce doesn't surely fit its own set, or whose set has earlier saves; where its files are.

    `compared` are the saves (parse ids) that its bounce was compared with by these versions.
    """

    id: UUID
    name: str
    audio_path: str
    audio_hash: str
    audio_seconds: float
    parse_id: str
    als_filename: str
    project_name: str | None
    is_sure: bool
    heard_tempo: float | None
    """Of its bounce, in BPM; 0 where nothing begins in it, None where it was not measured."""
    created_at: datetime
    compared: list[str]


@dataclass(frozen=True)
class BestSave:
    """The save that an item's bounce fits best, among those that it was compared with.

    Of saves that fit alike it is the newest, and `alike` counts the others. Its `margin` is by how much its score is
    above that of any that doesn't fit alike; `artist` is a slug.
    """

    artist: str
    name: str
    als_filename: str
    is_own: bool
    """Whether it is the one that the item has."""
    is_own_set: bool
    """Whether it is that, or an earlier save of it."""
    is_own_alike: bool
    """Whether the one that the item has fits alike."""
    set_has_bounce: bool
    """Whether the item of its set has a bounce."""
    set_has_it: bool
    """Whether that is this bounce."""
    has_one_name: bool
    """Whether one Live Set alone is called so, which a bounce of its name would be paired with."""
    alignment: StoredAlignment
    margin: float
    alike: int
    compared: int

    @property
    def words(self) -> str:
        """Which it is, how it fits and how surely, in a few words."""
        named = "its own set" if self.is_own else self.name
        rest = self.compared - 1 - self.alike
        clauses = [named, *([] if self.is_own else [self.alignment.words])]
        clauses.append(f"score {self.alignment.score or 0.0:.2f}")
        if rest:
            clauses.append(f"{self.margin:.2f} above {'the other' if rest == 1 else f'the best of {rest} others'}")
        if self.alike:
            clauses.append(f"{self.alike} older {'save fits' if self.alike == 1 else 'saves fit'} alike")
        return ", ".join(clauses)


_IS_SURE = """(a.answer = 'aligned' and a.confidence >= %(sure)s and abs(a.tempo / a.set_tempo - 1) < 1e-6)"""
_TAKEN_IN = "coalesce(s.created_at, s.parse_timestamp)"
_OF_SET = "(s.als_filename, s.project_name) is not distinct from (o.als_filename, o.project_name)"


def known_saves(connection: Connection, artist_id: UUID) -> list[Save]:
    """Return the artist's saves whose arrangement is not known to be empty, the newest first."""
    with connection.cursor(row_factory=class_row(Save)) as cursor:
        return cursor.execute(
            f"""
            select s.parse_id, s.als_filename, s.project_name, s.source_key, s.overview, s.length_bars,
              {_TAKEN_IN} as taken_in_at
            from als_summaries s
            where s.artist_id = %s and s.source_key is not null and not exists (
              select from song_timelines l where l.artist_id = s.artist_id and l.parse_id = s.parse_id
                and l.timeline -> 'layers' = '[]')
            order by taken_in_at desc, s.parse_id
            """,
            [artist_id],
        ).fetchall()


def unsure_items(
    connection: Connection,
    artist_id: UUID,
    versions: tuple[str, str],
    sure: float,
    items: Collection[UUID] | None = None,
) -> list[UnsureItem]:
    """Return items of the artist whose bounce other saves may fit better; of these items alone where they are given.

    Args:
        connection: in a transaction.
        artist_id: whose.
        versions: of answers for an item's own set, and for other saves.
        sure: the confidence from which on, at the set's own tempo, only earlier saves of it may.
        items: which of them to look at.
    """
    with connection.cursor(row_factory=class_row(UnsureItem)) as cursor:
        return cursor.execute(
            f"""
            select t.id, {item_name("t")} as name, t.audio_path, t.audio_hash,
              t.audio_duration_seconds::float8 as audio_seconds, s.parse_id, s.als_filename, s.project_name,
              {_IS_SURE} as is_sure, a.heard_tempo,
              coalesce(t.created_at, 'epoch') as created_at,
              array(select c.parse_id from alignments c where c.artist_id = t.artist_id
                and c.audio_hash = t.audio_hash and c.version = any(%(versions)s)) as compared
            from training_items t join als_summaries s on s.id = t.als_summary_id and s.artist_id = t.artist_id
            join alignments a on a.artist_id = t.artist_id and a.parse_id = s.parse_id
              and a.audio_hash = t.audio_hash and a.version = %(version)s
            where t.artist_id = %(artist)s and t.audio_path is not null and t.excluded_at is null
              and t.audio_duration_seconds is not null and (%(items)s::uuid[] is null or t.id = any(%(items)s))
              and (not {_IS_SURE} or exists (
                select from als_summaries o where o.artist_id = s.artist_id and o.id <> s.id and {_OF_SET}))
            order by t.created_at, t.id
            """,
            {
                "artist": artist_id,
                "version": versions[0],
                "versions": list(versions),
                "sure": sure,
                "items": None if items is None else list(items),
            },
        ).fetchall()


def keep_heard_tempo(connection: Connection, artist_id: UUID, audio_hash: str, tempo: float) -> None:
    """Store which tempo a bounce seems to have, with each of its alignments."""
    connection.execute(
        "update alignments set heard_tempo = %s where artist_id = %s and audio_hash = %s and heard_tempo is null",
        [tempo, artist_id, audio_hash],
    )


def best_saves_of(
    connection: Connection, artist_id: UUID, items: Collection[UUID] | None = None
) -> dict[UUID, BestSave]:
    """Return by item the save that its bounce fits best, where it was compared with several and fits one.

    Answers of other versions than that for the item's own set are left out.
    """
    # Each `offset 0` keeps the order of the look-ups, one row after the other by its key. Of tables that have just been
    # filled the server knows nothing yet, and would go through all rows of one for each of another, four deep.
    rows = connection.execute(
        rf"""
        select a.item_id, r.slug, {STORED_ALIGNMENT}, s.als_filename,
          case when h.is_now then h.name else coalesce(h.name, nullif(s.project_name || '/', '/') || {_stem("s")},
            {_stem("s")}) || ' as of ' || to_char({_TAKEN_IN} at time zone 'UTC', 'YYYY-MM-DD HH24:MI') end as name,
          s.id = a.als_summary_id as is_own,
          (s.als_filename, s.project_name) is not distinct from (a.own_filename, a.own_project) as is_own_set,
          coalesce(h.audio_path is not null, false) as set_has_bounce,
          coalesce(h.audio_hash = a.audio_hash, false) as set_has_it,
          (select count(*) from training_items x where x.artist_id = a.artist_id and x.item_key is not null
            and {_plain("x")} = {_plain("s")}) = 1 as has_one_name
        from (
          select t.id as item_id, t.als_summary_id, o.als_filename as own_filename, o.project_name as own_project, a.*,
            count(*) over (partition by t.id) as answers, bool_or(a.answer = 'aligned') over (partition by t.id) as fits
          from training_items t
          cross join lateral (
            select s.parse_id, s.als_filename, s.project_name, s.artist_id from als_summaries s
            where s.id = t.als_summary_id offset 0) o
          cross join lateral (
            select a.version as own_version from alignments a where a.artist_id = t.artist_id
              and a.parse_id = o.parse_id and a.audio_hash = t.audio_hash offset 0) v
          cross join lateral (
            select a.* from alignments a where a.artist_id = t.artist_id and a.audio_hash = t.audio_hash
              and (a.version = v.own_version or a.version like v.own_version || ',%%') offset 0) a
          cross join lateral (
            select from als_summaries s where s.artist_id = a.artist_id and s.parse_id = a.parse_id offset 0) there
          where t.artist_id = %(artist)s and o.artist_id = t.artist_id and t.excluded_at is null
            and (%(items)s::uuid[] is null or t.id = any(%(items)s))
        ) a
        join artists r on r.id = a.artist_id
        cross join lateral (
          select * from als_summaries s where s.artist_id = a.artist_id and s.parse_id = a.parse_id offset 0) s
        left join lateral (
          select {item_name("x")} as name, x.audio_path, x.audio_hash, x.als_summary_id = s.id as is_now
          from training_items x
          where x.artist_id = s.artist_id and x.item_key is not null and (x.als_summary_id = s.id
            or (x.als_filename, x.project_name) is not distinct from (s.als_filename, s.project_name))
          order by x.als_summary_id = s.id desc, x.created_at, x.id limit 1) h on true
        where a.answers > 1 and a.fits
        order by a.item_id, {_TAKEN_IN} desc, a.parse_id
        """,
        {"artist": artist_id, "items": None if items is None else list(items)},
    ).fetchall()
    return {item: _best([*compared]) for item, compared in itertools.groupby(rows, key=itemgetter("item_id"))}


def _best(compared: list[dict[str, Any]]) -> BestSave:
    """Return the newest of those that fit best.

    Args:
        compared: rows of one item, the newest save first: several, of which one fits.
    """
    fitting = [row for row in compared if row["answer"] == "aligned"]
    top = max(row["score"] for row in fitting)
    alike = [row for row in fitting if row["score"] >= top - SAME_FIT]
    others = [row["score"] or 0.0 for row in compared if row not in alike]
    row = alike[0]
    return BestSave(
        artist=row["slug"],
        name=row["name"],
        als_filename=row["als_filename"],
        is_own=row["is_own"],
        is_own_set=row["is_own_set"],
        is_own_alike=any(each["is_own"] for each in alike),
        set_has_bounce=row["set_has_bounce"],
        set_has_it=row["set_has_it"],
        has_one_name=row["has_one_name"],
        alignment=StoredAlignment(**{each.name: row[each.name] for each in fields(StoredAlignment)}),
        margin=round(row["score"] - max(others, default=0.0), 3),
        alike=len(alike) - 1,
        compared=len(compared),
    )


def _stem(row: str) -> str:
    return rf"regexp_replace({row}.als_filename, '\.[^.]*$', '')"


def _plain(row: str) -> str:
    """Return a set's name as pairing compares names, nearly: `loose_stem` of `dawa_assets/intake/kinds.py`."""
    return rf"lower(regexp_replace({_stem(row)}, '[\s_-]', '', 'g'))"
