"""SQL of what was measured of audio, and of the same music in two contents. Keyed by artist and content.

A content is measured once for each version. It is compared once too: when it is, it is looked for among all others that
are stored by then, so of two that come at the same time one at least sees the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.columns import arrays, columns_of
from dawa_assets.tables.names import item_name
from resources.database.base import Connection


class Content(NamedTuple):
    """Audio of an artist."""

    artist_id: UUID
    audio_hash: str


@dataclass(frozen=True)
class Measurement:
    """What was measured of a content, and its fingerprint."""

    content: Content
    measured: dict[str, Any]
    fingerprint: bytes


@dataclass(frozen=True)
class UnmeasuredAudio:
    """Audio of an item that this version has not measured."""

    name: str
    audio_path: str
    audio_hash: str


@dataclass(frozen=True)
class AudioMatch:
    """Where a content is in another one; see `Likeness` of `modal_app/audio/fingerprint_index.py`."""

    artist_id: UUID
    audio_hash: str
    other_artist_id: UUID
    other_hash: str
    hits: int
    pitch: float
    speed: float
    seconds: float
    start_seconds: float
    other_start_seconds: float

    def reversed(self) -> "AudioMatch":
        """Return the same as the other content sees it."""
        return AudioMatch(
            artist_id=self.other_artist_id,
            audio_hash=self.other_hash,
            other_artist_id=self.artist_id,
            other_hash=self.audio_hash,
            hits=self.hits,
            pitch=-self.pitch,
            speed=round(1 / self.speed, 4),
            seconds=round(self.seconds * self.speed, 2),
            start_seconds=self.other_start_seconds,
            other_start_seconds=self.start_seconds,
        )


_MATCH_COLUMNS = {
    "artist_id": "uuid",
    "audio_hash": "text",
    "other_artist_id": "uuid",
    "other_hash": "text",
    "hits": "int",
    "pitch": "float8",
    "speed": "float8",
    "seconds": "float8",
    "start_seconds": "float8",
    "other_start_seconds": "float8",
}


def unmeasured_audio(connection: Connection, artist_id: UUID, version: str) -> list[UnmeasuredAudio]:
    """Return the contents of the artist's items that this version has not measured, each once."""
    with connection.cursor(row_factory=class_row(UnmeasuredAudio)) as cursor:
        return cursor.execute(
            f"""
            select distinct on (t.audio_hash) {item_name("t")} as name, t.audio_path, t.audio_hash from training_items t
            left join audio_measurements m on m.artist_id = t.artist_id and m.audio_hash = t.audio_hash
            where t.artist_id = %s and t.audio_path is not null and t.audio_hash is not null and t.excluded_at is null
              and m.version is distinct from %s
            order by t.audio_hash, t.created_at, t.id
            """,
            [artist_id, version],
        ).fetchall()


def keep_measurements(connection: Connection, version: str, measured: Sequence[Measurement]) -> None:
    """Store what was measured of contents, to be compared; what another version found of them is forgotten."""
    each_once = list({each.content: each for each in measured}.values())
    if not each_once:
        return
    changed = connection.execute(
        """
        insert into audio_measurements as m (artist_id, audio_hash, version, measured, fingerprint)
        select w.artist, w.hash, %s, w.measured, w.fingerprint
        from unnest(%s::uuid[], %s::text[], %s::jsonb[], %s::bytea[]) as w (artist, hash, measured, fingerprint)
        order by w.artist, w.hash
        on conflict (artist_id, audio_hash) do update set version = excluded.version,
          measured = excluded.measured, fingerprint = excluded.fingerprint, compared_at = null, created_at = now()
        where m.version <> excluded.version
        returning artist_id, audio_hash
        """,
        [
            version,
            [each.content.artist_id for each in each_once],
            [each.content.audio_hash for each in each_once],
            [Jsonb(each.measured) for each in each_once],
            [each.fingerprint for each in each_once],
        ],
    ).fetchall()
    if changed:
        # Locked in one order: two artists that found each other's contents would wait for each other in a circle.
        connection.execute(
            """
            with w (artist, hash) as (select * from unnest(%s::uuid[], %s::text[])),
            gone as (
              select ctid from audio_matches where (artist_id, audio_hash) in (select artist, hash from w)
                or (other_artist_id, other_hash) in (select artist, hash from w)
              order by artist_id, audio_hash, other_artist_id, other_hash for update)
            delete from audio_matches where ctid = any(array(select ctid from gone))
            """,
            [[row["artist_id"] for row in changed], [row["audio_hash"] for row in changed]],
        )


def copy_measurement(connection: Connection, content: Content, version: str) -> bool:
    """Take over what was measured of the same bytes for another artist; whether there is such a thing."""
    row = connection.execute(
        "select measured, fingerprint from audio_measurements where audio_hash = %s and version = %s "
        "and artist_id <> %s limit 1",
        [content.audio_hash, version, content.artist_id],
    ).fetchone()
    if row is None:
        return False
    keep_measurements(connection, version, [Measurement(content, row["measured"], bytes(row["fingerprint"]))])
    return True


def uncompared_audio(connection: Connection, artist_id: UUID, version: str) -> list[str]:
    """Return the hashes of the artist's contents that are to be looked for among all others."""
    rows = connection.execute(
        "select audio_hash from audio_measurements where artist_id = %s and version = %s and compared_at is null "
        "order by created_at, audio_hash",
        [artist_id, version],
    )
    return [row["audio_hash"] for row in rows]


def measured_contents(connection: Connection, version: str) -> list[Content]:
    """Return every artist's contents that this version has measured."""
    rows = connection.execute(
        "select artist_id, audio_hash from audio_measurements where version = %s order by artist_id, audio_hash",
        [version],
    )
    return [Content(row["artist_id"], row["audio_hash"]) for row in rows]


def fingerprints_of(connection: Connection, contents: Sequence[Content]) -> list[tuple[Content, bytes]]:
    """Return fingerprints, all of them in memory; a content that is gone meanwhile is left out."""
    rows = connection.execute(
        "select m.artist_id, m.audio_hash, m.fingerprint from audio_measurements m "
        "join unnest(%s::uuid[], %s::text[]) as w (artist_id, audio_hash) using (artist_id, audio_hash)",
        [[content.artist_id for content in contents], [content.audio_hash for content in contents]],
    )
    return [(Content(row["artist_id"], row["audio_hash"]), bytes(row["fingerprint"])) for row in rows]


def keep_matches(connection: Connection, version: str, found: Mapping[Content, Sequence[AudioMatch]]) -> None:
    """Store where contents are found, on both sides, and that they were compared; not of those that are gone by now."""
    there = connection.execute(
        "update audio_measurements m set compared_at = now() from unnest(%s::uuid[], %s::text[]) as w (artist, hash) "
        "where m.artist_id = w.artist and m.audio_hash = w.hash and m.version = %s returning artist_id, audio_hash",
        [[content.artist_id for content in found], [content.audio_hash for content in found], version],
    ).fetchall()
    matches = (match for row in there for match in found[Content(row["artist_id"], row["audio_hash"])])
    # Always in one order: two artists that find each other at the same time would wait for each other in a circle.
    sides = {_place(side): side for match in matches for side in (match, match.reversed())}
    if not sides:
        return
    connection.execute(
        f"""
        insert into audio_matches ({", ".join(_MATCH_COLUMNS)})
        select {", ".join(f"w.{name}" for name in _MATCH_COLUMNS)}
        from unnest({arrays(_MATCH_COLUMNS)}) with ordinality as w ({", ".join(_MATCH_COLUMNS)}, place)
        where exists (select from audio_measurements m
            where (m.artist_id, m.audio_hash) = (w.artist_id, w.audio_hash))
          and exists (select from audio_measurements m
            where (m.artist_id, m.audio_hash) = (w.other_artist_id, w.other_hash))
        order by w.place
        on conflict (artist_id, audio_hash, other_artist_id, other_hash) do nothing
        """,
        columns_of([sides[place] for place in sorted(sides)], _MATCH_COLUMNS),
    )


def _place(match: AudioMatch) -> tuple[UUID, str, UUID, str]:
    return match.artist_id, match.audio_hash, match.other_artist_id, match.other_hash


def matches_of(connection: Connection, artist_id: UUID) -> list[AudioMatch]:
    """Return where the artist's contents are in others, the surest first."""
    with connection.cursor(row_factory=class_row(AudioMatch)) as cursor:
        return cursor.execute(
            "select artist_id, audio_hash, other_artist_id, other_hash, hits, pitch, speed, seconds, start_seconds, "
            "other_start_seconds from audio_matches where artist_id = %s order by hits desc, other_hash",
            [artist_id],
        ).fetchall()


def artists_matched(connection: Connection, artist_id: UUID) -> list[UUID]:
    """Return the other artists in whose contents some of the artist's are found."""
    rows = connection.execute(
        "select distinct other_artist_id as id from audio_matches "
        "where artist_id = %s and other_artist_id <> artist_id",
        [artist_id],
    )
    return [row["id"] for row in rows]


def forget_unused_audio(connection: Connection, artist_id: UUID) -> None:
    """Remove what was measured of contents that no item of the artist has any more."""
    connection.execute(
        "delete from audio_measurements m where artist_id = %s and not exists (select from training_items t "
        "where t.artist_id = m.artist_id and t.audio_hash = m.audio_hash)",
        [artist_id],
    )


def foreign_matches(connection: Connection, artist_id: UUID) -> dict[UUID, list[str]]:
    """Return by item in which items of other artists its music is, a line each."""
    rows = connection.execute(
        f"""
        select t.id, a.slug, {item_name("o")} as item, m.seconds, m.start_seconds, m.other_start_seconds
        from audio_matches m
        join training_items t on t.artist_id = m.artist_id and t.audio_hash = m.audio_hash
        join training_items o on o.artist_id = m.other_artist_id and o.audio_hash = m.other_hash
        join artists a on a.id = m.other_artist_id
        where m.artist_id = %s and m.other_artist_id <> m.artist_id order by t.id, m.seconds desc, a.slug, o.id
        """,
        [artist_id],
    )
    found: dict[UUID, list[str]] = {}
    for row in rows:
        line = (
            f"{row['seconds']:.0f} s from {row['start_seconds']:.0f} s on are in {row['item']} of {row['slug']} "
            f"from {row['other_start_seconds']:.0f} s on"
        )
        found.setdefault(row["id"], []).append(line)
    return found
