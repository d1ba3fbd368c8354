"""Rows of artists: found by slug, created by name. Slugs are made by the database (trigger on `artists`)."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.errors import LeavingArtistError, UnknownArtistError
from dawa_assets.leases import is_leaving
from resources.database import Connection


@dataclass(frozen=True)
class Artist:
    """One artist. The slug is partition key, storage folder and the worker's `producer_id`."""

    id: UUID
    slug: str
    name: str


def get_artist(connection: Connection, slug: str) -> Artist:
    """The artist of this slug.

    Raises:
        UnknownArtistError: there is none.
    """
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        artist = cursor.execute("select id, slug, name from artists where slug = %s", [slug]).fetchone()
    if artist is None:
        raise UnknownArtistError(
            f"artist {slug!r}: there is none of this slug; `dawa status` lists those there are, "
            "`dawa upload --artist NAME` makes a new one"
        )
    return artist


def find_artist(connection: Connection, name: str) -> Artist | None:
    """The artist of this name (exactly), else the one of this slug, else None."""
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        return cursor.execute(
            "select id, slug, name from artists where name = %(n)s or slug = %(n)s order by name = %(n)s desc limit 1",
            {"n": name},
        ).fetchone()


def artist_of(connection: Connection, artist_id: UUID, user_id: UUID | None) -> Artist | None:
    """The artist of this id, for a user (an id of Supabase's auth) only if he is linked to him."""
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        return cursor.execute(
            f"select id, slug, name from artists where id = %(artist)s and {_MAY_SEE}",
            {"artist": artist_id, "user": user_id},
        ).fetchone()


def artist_called(connection: Connection, slug: str, user_id: UUID | None) -> Artist | None:
    """The artist of this slug, for a user only if he is linked to him."""
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        return cursor.execute(
            f"select id, slug, name from artists where slug = %(slug)s and {_MAY_SEE}", {"slug": slug, "user": user_id}
        ).fetchone()


_MAY_SEE = """(%(user)s::uuid is null or exists (
  select from user_artists l where l.artist_id = artists.id and l.user_id = %(user)s))"""


def ensure_artist(connection: Connection, name: str) -> Artist:
    """The artist of this name or slug, made if there is none. Safe when several processes ask at once.

    Raises:
        LeavingArtistError: he is being deleted.
    """
    found = find_artist(connection, name)
    if found is None:
        connection.execute("insert into artists (name) values (%s) on conflict (name) do nothing", [name])
        found = find_artist(connection, name)
    assert found is not None  # noqa: S101 - it was there or has just been made, in this transaction
    require_staying(connection, found)
    return found


def require_staying(connection: Connection, artist: Artist) -> None:
    """Refuse what would come for an artist who leaves.

    Raises:
        LeavingArtistError: he was deleted since, or is being.
    """
    if is_leaving(connection, artist.id):
        raise LeavingArtistError(
            f"artist {artist.slug!r}: is being deleted; when that is done the name is free for a new one"
        )
    if connection.execute("select from artists where id = %s", [artist.id]).rowcount == 0:
        raise LeavingArtistError(f"artist {artist.slug!r}: was deleted meanwhile; nothing was kept")


def list_artists(connection: Connection) -> list[Artist]:
    """Every artist, by slug."""
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        return cursor.execute("select id, slug, name from artists order by slug").fetchall()


def slugs_among(connection: Connection, slugs: Collection[str]) -> set[str]:
    """Those of these slugs that are an artist's."""
    rows = connection.execute("select slug from artists where slug = any(%s)", [list(slugs)])
    return {row["slug"] for row in rows}


def numbered_after(connection: Connection, number: int, limit: int) -> list[tuple[str, int]]:
    """Slug and number of the first artists after this number. Numbers are in the order of commits."""
    rows = connection.execute(
        "select slug, number from artists where number > %s order by number limit %s", [number, limit]
    )
    return [(row["slug"], row["number"]) for row in rows]


def highest_number(connection: Connection) -> int:
    """The highest number that an artist has, or had before he was deleted; 0 where there never was one."""
    row = connection.execute(
        "select greatest((select max(number) from artists), case when is_called then last_value else 0 end) as number "
        "from dawa_artist_numbers"
    ).fetchone()
    return int(row["number"]) if row else 0


@dataclass(frozen=True)
class ArtistProfile:
    """An artist in a list: who, and whether there is a profile."""

    id: UUID
    slug: str
    name: str
    has_profile: bool
    schema_version: str | None


def list_profiles(connection: Connection) -> list[ArtistProfile]:
    """Every artist with the version of his profile, by slug."""
    with connection.cursor(row_factory=class_row(ArtistProfile)) as cursor:
        return cursor.execute(
            "select a.id, a.slug, a.name, p.artist_id is not null as has_profile, "
            "p.master_schema ->> 'schema_version' as schema_version "
            "from artists a left join artist_profiles p on p.artist_id = a.id order by a.slug"
        ).fetchall()
