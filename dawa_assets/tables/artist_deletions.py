"""SQL of deletions: who is being deleted, what is theirs alone, and the transaction in which all their rows go."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from resources.database.base import Connection


@dataclass(frozen=True)
class Deletion:
    """A row of `artist_deletions`: under way until `finished_at`."""

    id: UUID
    artist_id: UUID
    slug: str
    asked_by: str
    asked_at: datetime
    links: int
    found: dict[str, Any] | None
    rows: dict[str, int] | None
    rows_gone_at: datetime | None
    late: dict[str, Any] | None
    finished_at: datetime | None


@dataclass(frozen=True)
class Belongings:
    """What names an artist's data elsewhere. Audio and segments are those that no other artist has."""

    audio_hashes: list[str]
    shared_audio: int
    segment_hashes: list[str]
    run_ids: list[str]
    model_names: list[str]
    outputs: list[str]
    """Beginnings of the names of audio that the worker rendered to be heard side by side."""
    calls: list[str]
    """Calls of trainings on another machine that may be under way."""
    file_hashes: list[str]
    """SHA-256 of what rows know of their files: audio, uploads, zips, adapters."""


_DELETION = "id, artist_id, slug, asked_by, asked_at, links, found, rows, rows_gone_at, late, finished_at"

# What makes a row the artist's.
_TABLES: dict[str, str] = {
    "dataset_items": "dataset_id in (select id from datasets where artist_id = %(artist)s)",
    **dict.fromkeys(
        (
            *("audio_matches", "audio_measurements", "item_acceptances", "item_findings"),
            *("artist_profiles", "artist_prompt_state", "datasets", "item_exclusions", "leases", "lora_evaluations"),
            *("alignments", "listens", "lora_promotions", "permissions", "prompts", "rendered_audio"),
            *("renderings", "segment_facts", "song_timelines", "training_items", "training_runs"),
            *("permission_revocations", "training_approvals", "uploads", "user_artists", "verifications"),
        ),
        "artist_id = %(artist)s",
    ),
    # those of an earlier artist of this slug lost their artist when that one was deleted by hand
    "als_summaries": "artist_id = %(artist)s or artist_id is null and starts_with(export_path, %(folder)s)",
    "artists": "id = %(artist)s",
}

_AUDIO = """
  select audio_hash from training_items where artist_id = %(artist)s
  union select i.audio_hash from dataset_items i join datasets d on d.id = i.dataset_id where d.artist_id = %(artist)s
  union select sha256 from uploads where artist_id = %(artist)s and kind = 'audio'
"""
_OWN_AUDIO = f"""
  select audio_hash from ({_AUDIO}) a where audio_hash ~ '^[0-9a-f]{{64}}$'
    and not exists (select from training_items o where o.audio_hash = a.audio_hash and o.artist_id <> %(artist)s)
    and not exists (select from dataset_items i join datasets d on d.id = i.dataset_id
      where i.audio_hash = a.audio_hash and d.artist_id <> %(artist)s)
    and not exists (
      select from uploads o where o.sha256 = a.audio_hash and o.kind = 'audio' and o.artist_id <> %(artist)s)
"""
_OWN_SEGMENTS = f"""
  select segment_hash from audio_segments
  where segment_hash in (select segment_hash from audio_segments where audio_hash in ({_OWN_AUDIO}))
  group by segment_hash having bool_and(audio_hash in ({_OWN_AUDIO}))
"""


_OUTPUT = "'rendering-' || regexp_replace(id, '^r-', '') || '-'"


def find_deletion(connection: Connection, slug: str) -> Deletion | None:
    """Return the deletion under this slug that is under way, else the latest one."""
    with connection.cursor(row_factory=class_row(Deletion)) as cursor:
        return cursor.execute(
            f"select {_DELETION} from artist_deletions where slug = %s "
            "order by finished_at is null desc, asked_at desc limit 1",
            [slug],
        ).fetchone()


def get_deletion(connection: Connection, deletion: Deletion) -> Deletion:
    """Return a deletion as it is now."""
    with connection.cursor(row_factory=class_row(Deletion)) as cursor:
        found = cursor.execute(f"select {_DELETION} from artist_deletions where id = %s", [deletion.id]).fetchone()
    assert found is not None  # noqa: S101 - these rows are never removed
    return found


def begin(connection: Connection, artist: Artist, author: str) -> Deletion | None:
    """Mark an artist as being deleted, and take them from their users' sight; None where they are gone by now."""
    there = connection.execute("select from artists where id = %s for update", [artist.id])
    if there.rowcount == 0:
        return None
    connection.execute(
        "insert into artist_deletions (artist_id, slug, asked_by) values (%s, %s, %s) "
        "on conflict (artist_id) do nothing",
        [artist.id, artist.slug, author],
    )
    links = connection.execute("delete from user_artists where artist_id = %s", [artist.id]).rowcount
    connection.execute("update artist_deletions set links = links + %s where artist_id = %s", [links, artist.id])
    return find_deletion(connection, artist.slug)


def keep_found(connection: Connection, deletion: Deletion, found: dict[str, Any]) -> None:
    """Keep what was counted before the first file went."""
    connection.execute(
        "update artist_deletions set found = %s where id = %s and found is null", [Jsonb(found), deletion.id]
    )


def belongings(connection: Connection, artist_id: UUID) -> Belongings:
    """Return what names the artist's data in the worker's cache and in files."""
    values = {"artist": artist_id}

    def column(query: str) -> list[str]:
        return [str(row["it"]) for row in connection.execute(query, values)]

    [all_audio] = column(f"select count(*) as it from ({_AUDIO}) a where audio_hash <> ''")
    own = column(f"select audio_hash as it from ({_OWN_AUDIO}) o order by 1")
    return Belongings(
        audio_hashes=own,
        shared_audio=int(all_audio) - len(own),
        segment_hashes=column(
            f"select segment_hash as it from ({_OWN_SEGMENTS}) s where segment_hash ~ '^[0-9a-f]{{64}}$' order by 1"
        ),
        run_ids=column("select id as it from training_runs where artist_id = %(artist)s order by 1"),
        model_names=column(
            "select distinct model_name as it from training_runs where artist_id = %(artist)s order by 1"
        ),
        outputs=column(f"select {_OUTPUT} as it from renderings where artist_id = %(artist)s order by 1"),
        calls=column(
            "select call_id as it from training_runs where artist_id = %(artist)s and state = 'running' "
            "and call_id is not null order by 1"
        ),
        file_hashes=column(
            "select audio_hash as it from training_items where artist_id = %(artist)s and audio_hash is not null "
            "union select sha256 from uploads where artist_id = %(artist)s "
            "union select sha256 from datasets where artist_id = %(artist)s and sha256 is not null "
            "union select adapter_sha256 from training_runs where artist_id = %(artist)s "
            "and adapter_sha256 is not null order by 1"
        ),
    )


def count_rows(connection: Connection, artist: Artist) -> dict[str, int]:
    """Return how many rows would go, by table; tables of which none would are not named."""
    counts = {name: _count(connection, artist, name, where) for name, where in _TABLES.items()}
    values = {"artist": artist.id}
    for name, column, own in (
        ("audio_segments", "audio_hash", _OWN_AUDIO),
        ("segment_tags", "segment_hash", _OWN_SEGMENTS),
    ):
        row = connection.execute(f"select count(*) as n from {name} where {column} in ({own})", values).fetchone()
        counts[name] = int(row["n"]) if row else 0
    return {name: count for name, count in sorted(counts.items()) if count}


def remove_rows(connection: Connection, artist: Artist, deletion: Deletion) -> bool:
    """Remove every row of the artist's, and note that; false where somebody else has done it.

    What was spent stays spent, for the month's budget, and is nobody's from now on.
    """
    if connection.execute("select from artists where id = %s for update", [artist.id]).rowcount == 0:
        return False
    counts = count_rows(connection, artist)
    values = {"artist": artist.id, "folder": f"artists/{artist.slug}/"}
    # tags by segments, segments by audio, audio by items: the order matters
    connection.execute(f"delete from segment_tags where segment_hash in ({_OWN_SEGMENTS})", values)
    connection.execute(f"delete from audio_segments where audio_hash in ({_OWN_AUDIO})", values)
    connection.execute(
        """
        with theirs as (delete from spending where artist_id = %(artist)s returning *)
        insert into spending as known (day, service, model, artist_id, calls, input_tokens, output_tokens, cost_usd)
        select day, service, model, '00000000-0000-0000-0000-000000000000', calls, input_tokens, output_tokens, cost_usd
        from theirs
        on conflict (day, service, model, artist_id) do update set calls = known.calls + excluded.calls,
          input_tokens = known.input_tokens + excluded.input_tokens,
          output_tokens = known.output_tokens + excluded.output_tokens, cost_usd = known.cost_usd + excluded.cost_usd
        """,
        values,
    )
    connection.execute(f"delete from als_summaries where {_TABLES['als_summaries']}", values)
    connection.execute("delete from artists where id = %(artist)s", values)
    connection.execute(
        "update artist_deletions set rows = %s, rows_gone_at = now() where id = %s", [Jsonb(counts), deletion.id]
    )
    return True


def lock_unfinished(connection: Connection, deletion: Deletion) -> Deletion | None:
    """Return the deletion, locked until the commit, if its rows are gone and its end is not yet on record."""
    with connection.cursor(row_factory=class_row(Deletion)) as cursor:
        return cursor.execute(
            f"select {_DELETION} from artist_deletions where id = %s and rows_gone_at is not null "
            "and finished_at is null for update",
            [deletion.id],
        ).fetchone()


def finish(connection: Connection, deletion: Deletion, late: dict[str, Any]) -> None:
    """Record that nothing is left to do; the slug is free again."""
    connection.execute(
        "update artist_deletions set late = %s, finished_at = now() where id = %s", [Jsonb(late), deletion.id]
    )


def slugs_taken(connection: Connection, slugs: Collection[str]) -> set[str]:
    """Return those of these slugs that an artist has, or that are not free yet."""
    rows = connection.execute(
        "select slug from artists where slug = any(%(slugs)s) union "
        "select slug from artist_deletions where slug = any(%(slugs)s) and finished_at is null",
        {"slugs": list(slugs)},
    )
    return {row["slug"] for row in rows}


def slugs_of_the_deleted(connection: Connection) -> set[str]:
    """Slugs whose artist was deleted, and that nobody has now."""
    rows = connection.execute(
        "select slug from artist_deletions d where finished_at is not null "
        "and not exists (select from artists a where a.slug = d.slug) "
        "and not exists (select from artist_deletions u where u.slug = d.slug and u.finished_at is null)"
    )
    return {row["slug"] for row in rows}


def slugs_being_deleted(connection: Connection) -> set[str]:
    """Slugs of those who are being deleted: nothing begins for them any more, so there is nothing to ask for."""
    return {row["slug"] for row in connection.execute("select slug from artist_deletions where finished_at is null")}


def deleted_after(connection: Connection, moment: datetime | None, limit: int) -> list[tuple[str, datetime]]:
    """Slug and end of the first deletions that ended after this moment, without slugs that somebody has again."""
    rows = connection.execute(
        "select slug, finished_at from artist_deletions d "
        "where finished_at > coalesce(%s, '-infinity'::timestamptz) "
        "and not exists (select from artists a where a.slug = d.slug) order by finished_at limit %s",
        [moment, limit],
    )
    return [(row["slug"], row["finished_at"]) for row in rows]


@dataclass(frozen=True)
class ErasedArtist:
    """A deletion that is done, with what names the artist's data: audio that nobody has by now, and rendered audio."""

    id: UUID
    artist_id: UUID
    slug: str
    finished_at: datetime
    is_reused: bool
    audio_hashes: list[str]
    outputs: list[str]

    @property
    def slug_of_nobody(self) -> str:
        """The slug, or, where another artist has it now, one that nobody has."""
        return f"deleted-{self.id}" if self.is_reused else self.slug


def erased_artists(connection: Connection) -> list[ErasedArtist]:
    """Return the deletions that are done, each slug's last one, by slug."""
    with connection.cursor(row_factory=class_row(ErasedArtist)) as cursor:
        return cursor.execute(
            """
            select distinct on (d.slug) d.id, d.artist_id, d.slug, d.finished_at,
              exists (select from artists a where a.slug = d.slug) as is_reused,
              array(select h from jsonb_array_elements_text(coalesce(d.found -> 'sha256', '[]')) h
                where h ~ '^[0-9a-f]{64}$' and not exists (select from training_items t where t.audio_hash = h)
                  and not exists (select from dataset_items i where i.audio_hash = h)
                  and not exists (select from uploads u where u.sha256 = h)
                order by 1) as audio_hashes,
              array(select jsonb_array_elements_text(coalesce(d.found -> 'outputs', '[]'))) as outputs
            from artist_deletions d where d.finished_at is not null order by d.slug, d.finished_at desc
            """
        ).fetchall()


@dataclass(frozen=True)
class EndedDeletion:
    """A deletion that is done; `is_reused` where another artist has the slug now."""

    id: UUID
    slug: str
    finished_at: datetime
    is_reused: bool


def ended_deletions(connection: Connection, after: datetime | None, limit: int) -> list[EndedDeletion]:
    """Return the first deletions that ended after this moment, in the order of their ends."""
    with connection.cursor(row_factory=class_row(EndedDeletion)) as cursor:
        return cursor.execute(
            "select id, slug, finished_at, exists (select from artists a where a.slug = d.slug) as is_reused "
            "from artist_deletions d where finished_at > coalesce(%s, '-infinity'::timestamptz) "
            "order by finished_at, id limit %s",
            [after, limit],
        ).fetchall()


def _count(connection: Connection, artist: Artist, table: str, where: str) -> int:
    values = {"artist": artist.id, "folder": f"artists/{artist.slug}/"}
    row = connection.execute(f"select count(*) as n from {table} where {where}", values).fetchone()
    return int(row["n"]) if row else 0
