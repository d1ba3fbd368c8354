"""Rows of artists: found by slug, id or name, created by name. Slugs are made by the database (trigger)."""

import logging
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.errors import ArtistBeingDeletedError, UnknownArtistError
from dawa_assets.tables.leases import is_being_deleted
from resources.database.base import Connection

log = logging.getLogger(__name__)

Way = Literal["slug", "id", "name"]
"""By what an artist may be meant."""

_MAX_CANDIDATES = 6
_MAX_SHOWN = 80
_UUID_LETTERS = 36


@dataclass(frozen=True)
class Artist:
    """One artist. The slug is partition key, storage folder and the worker's `producer_id`."""

    id: UUID
    slug: str
    name: str


def get_artist(connection: Connection, slug: str) -> Artist:
    """Return the artist of this slug.

    Raises:
        UnknownArtistError: there is none.
    """
    artist = find_artist(connection, slug, by=("slug",))
    if artist is None:
        raise UnknownArtistError(
            f"artist {shown(slug)}: there is none of this slug; `dawa status` lists those there are, "
            "`dawa upload --artist NAME` makes a new one"
        )
    return artist


def find_artist(
    connection: Connection, reference: str, user_id: UUID | None = None, *, by: Sequence[Way] = ("slug", "id", "name")
) -> Artist | None:
    """Return the artist that somebody means, by the first of these ways that leads to one; None where none does.

    Slugs go first: they are unique, never change, and name folders and partitions. For a user (an id of Supabase's
    auth), only the artists that they are linked to are there.
    """
    if not _is_storable(reference):
        return None
    ways = " ".join(f"when {_WAYS[way]} then {rank}" for rank, way in enumerate(by))
    values = {"reference": reference, "id": _uuid(reference), "user": user_id}
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        return cursor.execute(
            f"select id, slug, name from artists where ({' or '.join(_WAYS[way] for way in by)}) and {_MAY_SEE} "
            f"order by case {ways} end limit 1",
            values,
        ).fetchone()


def resolve_artist(connection: Connection, reference: str) -> Artist:
    """The artist that a person means: by slug, else by id, else by name, in small letters too where one is called so.

    Where a slug is another artist's name, that is said, since the person may have meant the name.

    Raises:
        UnknownArtistError: there is none, or several are called so; one line with the candidates.
    """
    found = find_artist(connection, reference)
    if found is not None:
        _say_if_shadowed(connection, reference, found)
        return found
    alike: list[Artist] = []
    if _is_storable(reference):
        with connection.cursor(row_factory=class_row(Artist)) as cursor:
            alike = cursor.execute(
                "select id, slug, name from artists where lower(name) = lower(%s) order by slug limit %s",
                [unicodedata.normalize("NFC", reference.strip()), _MAX_CANDIDATES],
            ).fetchall()
    if len(alike) == 1:
        return alike[0]
    if alike:
        listed = ", ".join(f"{each.slug} ({each.name})" for each in alike)
        raise UnknownArtistError(f"artist {shown(reference)}: several are called so: {listed}; give the slug")
    raise UnknownArtistError(
        f"artist {shown(reference)}: there is none of this slug, id or name; `dawa status` lists those there are, "
        "`dawa upload --artist NAME` makes a new one"
    )


def _say_if_shadowed(connection: Connection, reference: str, found: Artist) -> None:
    """Say so where another artist has for a name what is this one's slug or id."""
    named = find_artist(connection, reference, by=("name",))
    if named is not None and named.id != found.id:
        log.warning(
            "%s is taken for the slug or id of %s (%s); the artist of this name has the slug %s",
            shown(reference),
            found.slug,
            found.name,
            named.slug,
        )


def shown(reference: str) -> str:
    """Return a reference for a message: short, on one line and printable, whatever was typed."""
    short = reference if len(reference) <= _MAX_SHOWN else f"{reference[:_MAX_SHOWN]}…"
    return repr("".join(letter if letter.isprintable() else "�" for letter in short))


_WAYS: dict[Way, str] = {"slug": "slug = %(reference)s", "id": "id = %(id)s::uuid", "name": "name = %(reference)s"}
_MAY_SEE = """(%(user)s::uuid is null or exists (
  select from user_artists l where l.artist_id = artists.id and l.user_id = %(user)s))"""


def _is_storable(reference: str) -> bool:
    return "\x00" not in reference and not any("\ud800" <= letter <= "\udfff" for letter in reference)


def _uuid(reference: str) -> UUID | None:
    try:
        return UUID(reference) if len(reference) == _UUID_LETTERS else None
    except ValueError:
        return None


def ensure_artist(connection: Connection, name: str) -> Artist:
    """Return the artist of this slug, id or name, made if there is none. Safe when several processes ask at once.

    Raises:
        ArtistBeingDeletedError: they are being deleted.
    """
    found = find_artist(connection, name)
    if found is None:
        connection.execute("insert into artists (name) values (%s) on conflict (name) do nothing", [name])
        found = find_artist(connection, name)
    assert found is not None  # noqa: S101 - it was there or has just been made, in this transaction
    _say_if_shadowed(connection, name, found)
    require_staying(connection, found)
    return found


def require_staying(connection: Connection, artist: Artist) -> None:
    """Refuse what would come for an artist who leaves.

    Raises:
        ArtistBeingDeletedError: they were deleted since, or are being.
    """
    if is_being_deleted(connection, artist.id):
        raise ArtistBeingDeletedError(
            f"artist {artist.slug!r}: is being deleted; when that is done the name is free for a new one"
        )
    if connection.execute("select from artists where id = %s", [artist.id]).rowcount == 0:
        raise ArtistBeingDeletedError(f"artist {artist.slug!r}: was deleted meanwhile; nothing was kept")


def list_artists(connection: Connection) -> list[Artist]:
    """Return every artist, by slug."""
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        return cursor.execute("select id, slug, name from artists order by slug").fetchall()


def artists_with_profiles(connection: Connection) -> list[Artist]:
    """Return every artist who has a profile and is not being deleted, by slug."""
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        return cursor.execute(
            "select id, slug, name from artists a "
            "where exists (select from artist_profiles p where p.artist_id = a.id) "
            "and not exists (select from artist_deletions d where d.artist_id = a.id and d.finished_at is null) "
            "order by slug"
        ).fetchall()


def hold_artist(connection: Connection, artist_id: UUID) -> None:
    """Let others who hold the artist's row wait until this transaction ends."""
    connection.execute("select from artists where id = %s for no key update", [artist_id])


def count_artists(connection: Connection) -> int:
    """Count the artists."""
    row = connection.execute("select count(*) as artists from artists").fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return int(row["artists"])


def slugs_among(connection: Connection, slugs: Collection[str]) -> set[str]:
    """Return those of these slugs that are an artist's."""
    rows = connection.execute("select slug from artists where slug = any(%s)", [list(slugs)])
    return {row["slug"] for row in rows}


def numbered_after(connection: Connection, number: int, limit: int) -> list[tuple[str, int]]:
    """Slug and number of the first artists after this number. Numbers are in the order of commits."""
    rows = connection.execute(
        "select slug, number from artists where number > %s order by number limit %s", [number, limit]
    )
    return [(row["slug"], row["number"]) for row in rows]


def highest_number(connection: Connection) -> int:
    """Return the highest number that an artist has, or had before they were deleted; 0 where there never was one."""
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
    """Return every artist with the version of their profile, by slug."""
    with connection.cursor(row_factory=class_row(ArtistProfile)) as cursor:
        return cursor.execute(
            "select a.id, a.slug, a.name, p.artist_id is not null as has_profile, "
            "p.master_schema ->> 'schema_version' as schema_version "
            "from artists a left join artist_profiles p on p.artist_id = a.id order by a.slug"
        ).fetchall()
