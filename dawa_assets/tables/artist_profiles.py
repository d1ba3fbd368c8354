"""SQL of artists' profiles: stored, and observed with the values by which a change is noticed."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from resources.database.base import Connection


@dataclass(frozen=True)
class ObservedProfile:
    """A profile as it is stored, and the two values by which a change is noticed. All empty where there is none."""

    master_schema: Any
    content_hash: str
    schema_version: str
    updated_at: datetime | None = field(default=None, compare=False)


def observed_profile(connection: Connection, artist_id: UUID) -> ObservedProfile:
    """Return the artist's profile as it is stored, whoever stored it and whatever it holds."""
    row = connection.execute(
        "select master_schema::text as text, content_hash, updated_at, "
        "coalesce(master_schema ->> 'schema_version', '') as version from artist_profiles where artist_id = %s",
        [artist_id],
    ).fetchone()
    if row is None:
        return ObservedProfile({}, "", "")
    try:
        profile = json.loads(row["text"])
    except (ValueError, RecursionError):  # nested or numbered beyond what Python reads
        profile = None
    return ObservedProfile(profile, row["content_hash"] or "", row["version"], row["updated_at"])


def held_profile(connection: Connection, artist_id: UUID) -> ObservedProfile:
    """Return the artist's profile, and let others who would change it wait until this transaction ends."""
    connection.execute("select from artist_profiles where artist_id = %s for update", [artist_id])
    return observed_profile(connection, artist_id)


def replace_profile(
    connection: Connection, artist: Artist, profile: dict[str, Any], *, is_new: bool
) -> ObservedProfile | None:
    """Store a valid profile in the place of the one that is held, or where there was none; None where one is by now."""
    if is_new:
        stored = connection.execute(
            "insert into artist_profiles (artist_id, name, master_schema) values (%s, %s, %s) "
            "on conflict (artist_id) do nothing",
            [artist.id, artist.name, Jsonb(profile)],
        )
    else:
        stored = connection.execute(
            "update artist_profiles set master_schema = %s, updated_at = now() where artist_id = %s",
            [Jsonb(profile), artist.id],
        )
    return observed_profile(connection, artist.id) if stored.rowcount == 1 else None


def profile_as_stored(connection: Connection, data: dict[str, Any]) -> ObservedProfile:
    """Return a valid profile as it would be observed if it were stored; nothing is stored."""
    row = connection.execute(
        "select md5((%(p)s::jsonb - 'provenance' - 'schema_version' - 'uuids')::text) as hash, "
        "coalesce(%(p)s::jsonb ->> 'schema_version', '') as version, %(p)s::jsonb::text as text",
        {"p": Jsonb(data)},
    ).fetchone()
    assert row is not None  # noqa: S101 - a select without a table has a row
    return ObservedProfile(json.loads(row["text"]), row["hash"], row["version"])


def save_profile(connection: Connection, artist: Artist, profile: dict[str, Any]) -> bool:
    """Store a valid profile; return whether it differs from what was stored (if not, nothing is written)."""
    return (
        connection.execute(
            "insert into artist_profiles (artist_id, name, master_schema) values (%s, %s, %s) "
            "on conflict (artist_id) do update set master_schema = excluded.master_schema, updated_at = now() "
            "where artist_profiles.master_schema is distinct from excluded.master_schema",
            [artist.id, artist.name, Jsonb(profile)],
        ).rowcount
        == 1
    )
