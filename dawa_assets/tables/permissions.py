"""SQL of permissions: who permitted what of an artist's music, what was taken back, and what is permitted now.

A permission covers an item, the items of a song, or all that is the artist's. A song is named by an item's key, its
project or its Live Set. Whether a day has come is for the database's clock and the project's zone to say; whether one
was revoked is for no clock to say: it was as soon as that is on record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.item_exclusions import LAST_AUTHOR, PERMISSIONS, set_excluded
from dawa_assets.tables.names import item_name, track_name
from resources.database.base import Connection

Purpose = Literal["train", "publish", "generate"]
PURPOSES: tuple[Purpose, ...] = ("train", "publish", "generate")
State = Literal["permitted", "not yet", "ran out", "revoked"]


@dataclass(frozen=True)
class NewPermission:
    """A permission to be put on record. Days are in the project's zone, the last one included."""

    artist_id: UUID
    purposes: tuple[Purpose, ...]
    granted_by: str
    recorded_by: str
    valid_from: date
    valid_until: date | None = None
    training_item_id: UUID | None = None
    song: str | None = None
    evidence: str = ""
    territory: str = ""


@dataclass(frozen=True)
class Permission:
    """A permission as it is on record, and what became of it."""

    id: UUID
    artist: str
    item: str | None
    item_id: UUID | None
    song: str | None
    purposes: list[str]
    granted_by: str
    evidence: str
    evidence_key: str | None
    evidence_sha256: str | None
    valid_from: date
    valid_until: date | None
    territory: str
    recorded_by: str
    recorded_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    revocation: str | None
    state: State


@dataclass(frozen=True)
class Clock:
    """The zone in which days are meant, and the moment that is asked about; None: now, by the database's clock."""

    zone: str
    at: datetime | None = None

    def values(self) -> dict[str, Any]:
        """Return it as the queries' parameters."""
        return {"zone": self.zone, "at": self.at}


_TODAY = "(coalesce(%(at)s::timestamptz, now()) at time zone %(zone)s)::date"
_REVOKED = "exists (select from permission_revocations v where v.permission_id = p.id)"
_CURRENT = f"""(p.valid_from <= {_TODAY} and (p.valid_until is null or p.valid_until >= {_TODAY}) and not {_REVOKED})"""


def _covers(item_id: str, key: str, name: str) -> str:
    """Whether permission `p` covers an item of this id, key and name."""
    return f"""(p.training_item_id is null and p.song is null or p.training_item_id = {item_id}
      or lower(p.song) in (lower({key}), lower(split_part({key}, '/', 1)), lower(regexp_replace({key}, '^.*/', '')),
        lower({name}), lower(regexp_replace({name}, '\\.als$', '', 'i'))))"""


_COVERS_ITEM = _covers("t.id", "t.item_key", item_name("t"))
COVERS_TRACK = _covers("i.training_item_id", "i.item_key", track_name("i"))
"""Of `dataset_items i` and `permissions p`, whether the one is about the other."""

_STATE = f"""case when {_REVOKED} then 'revoked' when p.valid_until < {_TODAY} then 'ran out'
  when p.valid_from > {_TODAY} then 'not yet' else 'permitted' end"""

# Of item t, why it is not permitted: what the latest permission that covers it came to.
_WHY_NOT = f"""coalesce((
    select case {_STATE}
      when 'revoked' then 'its permission was revoked'
      when 'ran out' then 'its permission ran out on ' || p.valid_until
      else 'its permission begins on ' || p.valid_from end
    from permissions p where p.artist_id = t.artist_id and %(purpose)s = any (p.purposes) and {_COVERS_ITEM}
    order by p.recorded_at desc, p.id limit 1), 'nobody permitted it')"""
_PERMITTED = f"""exists (select from permissions p where p.artist_id = t.artist_id and %(purpose)s = any (p.purposes)
    and {_CURRENT} and {_COVERS_ITEM})"""


def record_one_at_a_time(connection: Connection) -> None:
    """Have nobody else put permissions on record until this transaction ends: two at once would both find none."""
    connection.execute("select pg_advisory_xact_lock(hashtextextended('permissions', 0))")


def record_permission(connection: Connection, new: NewPermission, evidence: tuple[str, str] | None = None) -> UUID:
    """Put a permission on record; `evidence` is the key and the SHA-256 of a file. Gives its id."""
    row = connection.execute(
        "insert into permissions (artist_id, training_item_id, song, purposes, granted_by, evidence, evidence_key, "
        "evidence_sha256, valid_from, valid_until, territory, recorded_by) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
        [
            *(new.artist_id, new.training_item_id, new.song, list(new.purposes), new.granted_by, new.evidence),
            *(evidence or (None, None)),
            *(new.valid_from, new.valid_until, new.territory, new.recorded_by),
        ],
    ).fetchone()
    assert row is not None  # noqa: S101 - just inserted
    permission_id: UUID = row["id"]
    return permission_id


def find_same(connection: Connection, new: NewPermission, evidence_sha256: str | None = None) -> UUID | None:
    """Return the permission on record that says exactly this, by this file if one is named, and was not revoked."""
    row = connection.execute(
        f"select id from permissions p where artist_id = %s and training_item_id is not distinct from %s "
        "and song is not distinct from %s and purposes @> %s and purposes <@ %s and granted_by = %s and evidence = %s "
        "and valid_from = %s and valid_until is not distinct from %s and territory = %s "
        f"and (%s::text is null or evidence_sha256 = %s) and not {_REVOKED} limit 1",
        [
            *(new.artist_id, new.training_item_id, new.song, list(new.purposes), list(new.purposes), new.granted_by),
            *(new.evidence, new.valid_from, new.valid_until, new.territory, evidence_sha256, evidence_sha256),
        ],
    ).fetchone()
    return None if row is None else row["id"]


def revoke_permission(connection: Connection, permission_id: UUID, *, reason: str, author: str) -> bool:
    """Put on record that a permission is taken back; false where it was already."""
    done = connection.execute(
        "insert into permission_revocations (permission_id, artist_id, reason, revoked_by) "
        "select id, artist_id, %s, %s from permissions where id = %s on conflict (permission_id) do nothing",
        [reason, author, permission_id],
    )
    return done.rowcount == 1


def list_permissions(
    connection: Connection, clock: Clock, artist_id: UUID | None = None, item_id: UUID | None = None
) -> list[Permission]:
    """Return every permission of an artist, or of all, the earliest first; with an item, those that cover it."""
    with connection.cursor(row_factory=class_row(Permission)) as cursor:
        return cursor.execute(
            f"""
            select p.id, a.slug as artist, coalesce({item_name("t")}, p.training_item_id::text) as item,
              p.training_item_id as item_id, p.song,
              p.purposes, p.granted_by, p.evidence, p.evidence_key, p.evidence_sha256, p.valid_from, p.valid_until,
              p.territory, p.recorded_by, p.recorded_at, r.revoked_at, r.revoked_by, r.reason as revocation,
              {_STATE} as state
            from permissions p join artists a on a.id = p.artist_id
            left join permission_revocations r on r.permission_id = p.id
            left join training_items t on t.id = p.training_item_id
            where (%(artist)s::uuid is null or p.artist_id = %(artist)s)
              and (%(item)s::uuid is null or exists (select from training_items c where c.id = %(item)s
                and c.artist_id = p.artist_id and {_covers("c.id", "c.item_key", item_name("c"))}))
            order by a.slug, p.recorded_at, p.id
            """,
            {"artist": artist_id, "item": item_id, **clock.values()},
        ).fetchall()


def permissions_by_id(connection: Connection, beginning: str) -> list[tuple[UUID, UUID]]:
    """Return id and artist of the permissions whose ids begin so, three at most."""
    rows = connection.execute(
        "select id, artist_id from permissions where starts_with(id::text, %s) order by id limit 3",
        [beginning.lower()],
    ).fetchall()
    return [(row["id"], row["artist_id"]) for row in rows]


def artists_without_permission(connection: Connection, clock: Clock) -> tuple[list[str], int]:
    """Return the slugs of the artists who have items and no permission to train now, and how many have items."""
    rows = connection.execute(
        f"""
        select a.slug, exists (select from permissions p where p.artist_id = a.id and 'train' = any (p.purposes)
          and {_CURRENT}) as has
        from artists a where exists (select from training_items t where t.artist_id = a.id) order by a.slug
        """,
        clock.values(),
    ).fetchall()
    return [row["slug"] for row in rows if not row["has"]], len(rows)


def not_permitted(
    connection: Connection, artist_id: UUID, purpose: Purpose, clock: Clock, item_id: UUID | None = None
) -> list[tuple[str, str]]:
    """Return name and reason of each of the artist's items, or of this one, that is not permitted for this now."""
    rows = connection.execute(
        f"select {item_name('t')} as item, {_WHY_NOT} as reason from training_items t "
        "where t.artist_id = %(artist)s and (%(item)s::uuid is null or t.id = %(item)s) "
        f"and not {_PERMITTED} order by 1",
        {"artist": artist_id, "purpose": purpose, "item": item_id, **clock.values()},
    )
    return [(row["item"], row["reason"]) for row in rows]


def not_permitted_in_run(connection: Connection, run_id: UUID, purpose: Purpose, clock: Clock) -> list[str]:
    """Return the songs of a run's dataset that are not permitted for this now.

    A run without a dataset (an imported one) needs a permission for all that is the artist's.
    """
    rows = connection.execute(
        f"""
        select {track_name("i")} as song from training_runs r join dataset_items i on i.dataset_id = r.dataset_id
        where r.id = %(run)s and not exists (
          select from permissions p where p.artist_id = r.artist_id and %(purpose)s = any (p.purposes)
            and {_CURRENT} and {COVERS_TRACK})
        union
        select 'whatever it was trained on' from training_runs r
        where r.id = %(run)s and not exists (select from dataset_items i where i.dataset_id = r.dataset_id)
          and not exists (select from permissions p where p.artist_id = r.artist_id and %(purpose)s = any (p.purposes)
            and {_CURRENT} and p.training_item_id is null and p.song is null)
        order by 1
        """,
        {"run": run_id, "purpose": purpose, **clock.values()},
    )
    return [row["song"] for row in rows]


def exclude_unpermitted(
    connection: Connection,
    clock: Clock,
    *,
    is_required: bool,
    artist_id: UUID | None,
    others: Mapping[UUID, str],
) -> tuple[int, int]:
    """Leave out the items that nobody permits to train on now, and take in those that this left out and are permitted.

    `others` are items that are to be out for another reason, which it gives; of none where nothing is required, since
    items only come in then, whatever is on record. What a person left out stays out. Gives how many items went out, and
    how many came in.
    """
    values = {"artist": artist_id, "purpose": "train", "author": PERMISSIONS, "others": list(others), **clock.values()}
    of_artist = "(%(artist)s::uuid is null or t.artist_id = %(artist)s)"
    by_reason: dict[str, list[UUID]] = {}
    if is_required:
        out = connection.execute(
            f"""
            select t.id, case when not {_PERMITTED} then {_WHY_NOT} end as reason from training_items t
            where {of_artist} and t.excluded_at is null and (not {_PERMITTED} or t.id = any (%(others)s))
            """,
            values,
        )
        for row in out:
            by_reason.setdefault(row["reason"] or others[row["id"]], []).append(row["id"])
    back = connection.execute(
        f"""
        select t.id from training_items t
        where {of_artist} and t.excluded_at is not null and t.id <> all (%(others)s)
          {f"and {_PERMITTED}" if is_required else ""}
          and %(author)s = ({LAST_AUTHOR})
        """,
        values,
    ).fetchall()
    went = sum(_set(connection, ids, excluded=True, reason=reason) for reason, ids in sorted(by_reason.items()))
    return went, _set(connection, [row["id"] for row in back], excluded=False, reason="")


def _set(connection: Connection, items: Sequence[UUID], *, excluded: bool, reason: str) -> int:
    if not items:
        return 0
    return len(set_excluded(connection, items, excluded=excluded, reason=reason, author=PERMISSIONS))


def today(connection: Connection, clock: Clock) -> date:
    """Return the day that it is in the project's zone."""
    row = connection.execute(f"select {_TODAY} as today", clock.values()).fetchone()
    assert row is not None  # noqa: S101 - one row always
    day: date = row["today"]
    return day


def is_permitted_as_a_whole(connection: Connection, artist_id: UUID, purpose: Purpose, clock: Clock) -> bool:
    """Return whether something is permitted now with all that is the artist's."""
    found = connection.execute(
        f"select from permissions p where p.artist_id = %(artist)s and %(purpose)s = any (p.purposes) and {_CURRENT} "
        "and p.training_item_id is null and p.song is null limit 1",
        {"artist": artist_id, "purpose": purpose, **clock.values()},
    )
    return found.rowcount == 1
