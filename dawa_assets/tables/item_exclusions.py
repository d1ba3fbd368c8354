"""SQL of exclusions: items that are left out and why, tracks of a dataset that are out by now, runs that heard them.

Audio is out when an item that is excluded has it or had it, and no item that is in has it. So of two items with the
same audio, both must be excluded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.alignments import StoredAlignment
from dawa_assets.tables.best_saves import BestSave
from dawa_assets.tables.names import item_name
from resources.database.base import Connection


@dataclass(frozen=True)
class ListedItem:
    """A training item in a list. `reason` and `author` are empty where the dashboard excluded it."""

    id: UUID
    item: str
    parse_id: str
    """Of its Live Set; the dashboard's routes ask for it."""
    status: str
    seconds: float | None
    """Length of its audio; None where it has none."""
    excluded_at: datetime | None
    reason: str
    author: str
    findings: list[str] = field(default_factory=list)
    """What was found in its audio, one line each."""
    superseded_by: UUID | None = None
    """The item with the same audio whose text counts, where that is another one."""
    superseded: str = ""
    """The same in words."""
    alignment: StoredAlignment | None = None
    """Where its audio begins in its Live Set; None where they were not compared."""
    best_save: BestSave | None = None
    """The Live Set that its audio fits best; None where no others were compared, or none fits."""


PERMISSIONS = "permissions"
"""The author of exclusions for want of a permission; nobody else may have this name."""

LAST_AUTHOR = """select e.author from item_exclusions e
    where e.training_item_id = t.id and e.excluded and e.at >= t.excluded_at order by e.at desc, e.id limit 1"""
"""Of `training_items t`, who left it out last; nothing where the dashboard did."""

EXCLUDED_TRACK = """(
    exists (select from training_items t where t.artist_id = d.artist_id and t.excluded_at is not null
      and (t.id = i.training_item_id or t.audio_hash = i.audio_hash))
    and not exists (select from training_items t where t.artist_id = d.artist_id and t.excluded_at is null
      and t.audio_hash = i.audio_hash))"""
"""Of `dataset_items i join datasets d`: whether the track is out by now."""


def list_items(connection: Connection, artist_id: UUID) -> list[ListedItem]:
    """Return all items of an artist, oldest first."""
    with connection.cursor(row_factory=class_row(ListedItem)) as cursor:
        return cursor.execute(
            f"""
            select t.id, {item_name("t")} as item, t.parse_id, t.status,
              t.audio_duration_seconds as seconds, t.excluded_at, coalesce(e.reason, '') as reason,
              coalesce(e.author, '') as author, t.audio_findings as findings
            from training_items t left join lateral (
              select reason, author from item_exclusions e
              where e.training_item_id = t.id and e.excluded and e.at = t.excluded_at limit 1) e on true
            where t.artist_id = %s order by t.created_at, t.id
            """,
            [artist_id],
        ).fetchall()


def set_excluded(
    connection: Connection, items: Sequence[UUID], *, excluded: bool, reason: str, author: str
) -> set[UUID]:
    """Leave items out or take them in, with a row of the log each; which of them were not so already.

    What is left out for want of a permission can be left out by a person too, and stays out then.
    """
    connection.execute("select from training_items where id = any(%s) order by id for update", [list(items)])
    rows = connection.execute(
        f"""
        with changed as (
          update training_items t set excluded_at = case when %(excluded)s then now() end
          where id = any(%(items)s) and ((excluded_at is null) = %(excluded)s
            or %(excluded)s and %(author)s <> %(permissions)s and %(permissions)s = ({LAST_AUTHOR}))
          returning id, artist_id
        ), logged as (
          insert into item_exclusions (artist_id, training_item_id, excluded, reason, author)
          select artist_id, id, %(excluded)s, %(reason)s, %(author)s from changed
        )
        select id from changed
        """,
        {
            "items": list(items),
            "excluded": excluded,
            "reason": reason,
            "author": author,
            "permissions": PERMISSIONS,
        },
    )
    return {row["id"] for row in rows}


def excluded_positions(connection: Connection, dataset_id: UUID) -> set[int]:
    """Return the positions of a dataset's tracks that are out by now."""
    rows = connection.execute(
        "select i.position from dataset_items i join datasets d on d.id = i.dataset_id "
        f"where d.id = %s and {EXCLUDED_TRACK}",
        [dataset_id],
    )
    return {row["position"] for row in rows}


def excluded_but_trained_on(connection: Connection, artist_id: UUID) -> dict[UUID, list[str]]:
    """Return the artist's runs that were trained on items which are out by now, with the items' names.

    What was out before a run's row was made was left out of its training, whatever its dataset holds.
    """
    return excluded_by_artist(connection, artist_id).get(artist_id, {})


def excluded_by_artist(connection: Connection, artist_id: UUID | None = None) -> dict[UUID, dict[UUID, list[str]]]:
    """Return the same of every artist who has such runs, or of one."""
    rows = connection.execute(
        f"""
        select distinct r.artist_id, r.id, {item_name("x")} as item
        from training_runs r join datasets d on d.id = r.dataset_id join dataset_items i on i.dataset_id = d.id
        join training_items x on x.artist_id = r.artist_id and x.excluded_at > r.created_at
          and (x.id = i.training_item_id or x.audio_hash = i.audio_hash)
        where (%(artist)s::uuid is null or r.artist_id = %(artist)s) and r.state = 'done' and {EXCLUDED_TRACK}
        order by 1, 2, 3
        """,
        {"artist": artist_id},
    )
    heard: dict[UUID, dict[UUID, list[str]]] = {}
    for row in rows:
        heard.setdefault(row["artist_id"], {}).setdefault(row["id"], []).append(row["item"])
    return heard
