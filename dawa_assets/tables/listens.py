"""SQL of listening: what people said of two renderings, once each, and what that comes to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.errors import UnknownItemError
from dawa_assets.tables.artists import Artist
from resources.database.base import Connection

Who = Literal["base", "published", "candidate"]


@dataclass(frozen=True)
class Listen:
    """One answer: which of two is closer to the artist (None: no difference), and how close, 1 to 5."""

    id: UUID
    run_id: UUID
    first: Who
    second: Who
    choice: Who | None
    score: int | None
    blind: bool
    who: str
    at: datetime
    prompt: str | None
    seed: int | None


@dataclass(frozen=True)
class Tally:
    """All answers on one pair of one run, blind or open; `choices` by what was chosen, and `none`."""

    run_id: UUID
    first: Who
    second: Who
    blind: bool
    choices: dict[str, int]
    mean_score: float | None
    count: int


def keep_listen(
    connection: Connection,
    artist: Artist,
    *,
    listen_id: UUID,
    run_id: UUID,
    pair: tuple[Who, Who],
    choice: Who | None,
    score: int | None,
    blind: bool,
    who: str,
    rendering_id: str | None,
) -> None:
    """Store an answer; the same id again changes nothing.

    Raises:
        UnknownItemError: the artist has no such run or rendering.
    """
    row = connection.execute(
        "select exists (select from training_runs where id = %(run)s and artist_id = %(artist)s) as run, "
        "%(rendering)s::text is null or exists (select from renderings where id = %(rendering)s "
        "and artist_id = %(artist)s) as rendering",
        {"run": run_id, "artist": artist.id, "rendering": rendering_id},
    ).fetchone()
    if row is None or not row["run"]:
        raise UnknownItemError(f"run {run_id}: {artist.slug} has none of this id; look the id up again")
    if not row["rendering"]:
        raise UnknownItemError(f"rendering {rendering_id}: {artist.slug} has none of this id; look the id up again")
    first, second = sorted(pair)
    connection.execute(
        "insert into listens (id, artist_id, run_id, who, first, second, choice, score, blind, rendering_id) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (id) do nothing",
        [listen_id, artist.id, run_id, who, first, second, choice, score, blind, rendering_id],
    )


def latest_listens(connection: Connection, artist_id: UUID, limit: int) -> list[Listen]:
    """Return the latest answers first."""
    with connection.cursor(row_factory=class_row(Listen)) as cursor:
        return cursor.execute(
            "select l.id, l.run_id, l.first, l.second, l.choice, l.score, l.blind, l.who, l.at, r.prompt, r.seed "
            "from listens l left join renderings r on r.id = l.rendering_id "
            "where l.artist_id = %s order by l.at desc, l.id limit %s",
            [artist_id, limit],
        ).fetchall()


def tally(connection: Connection, artist_id: UUID) -> list[Tally]:
    """Return every pair of every run, the latest run first."""
    with connection.cursor(row_factory=class_row(Tally)) as cursor:
        return cursor.execute(
            """
            select l.run_id, l.first, l.second, l.blind, count(*)::int as count,
              round(avg(l.score), 2)::float8 as mean_score,
              jsonb_build_object(l.first, count(*) filter (where l.choice = l.first),
                l.second, count(*) filter (where l.choice = l.second),
                'none', count(*) filter (where l.choice is null)) as choices
            from listens l join training_runs r on r.id = l.run_id
            where l.artist_id = %s group by l.run_id, r.created_at, l.first, l.second, l.blind
            order by r.created_at desc, l.run_id, l.first, l.second, l.blind
            """,
            [artist_id],
        ).fetchall()


@dataclass(frozen=True)
class Preference:
    """What people preferred blindly of a run as the candidate and of what was published, and when the last one did."""

    candidate: int = 0
    published: int = 0
    no_difference: int = 0
    latest: datetime | None = None


def preference(connection: Connection, run_id: UUID) -> Preference:
    """Return what was said blindly of a run beside the published one."""
    with connection.cursor(row_factory=class_row(Preference)) as cursor:
        found = cursor.execute(
            "select count(*) filter (where choice = 'candidate')::int as candidate, "
            "count(*) filter (where choice = 'published')::int as published, "
            "count(*) filter (where choice is null)::int as no_difference, max(at) as latest from listens "
            "where run_id = %s and blind and first = 'candidate' and second = 'published'",
            [run_id],
        ).fetchone()
    assert found is not None  # noqa: S101 - a sum over nothing is a row
    return found
