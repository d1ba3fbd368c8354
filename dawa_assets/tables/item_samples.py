"""SQL of samples: what the Live Sets of an artist's items name, as their summaries have it."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from dawa_assets.tables.names import item_name
from resources.database.base import Connection

_PAGE = 100  # summaries of a set with thousands of samples have some megabytes


@dataclass(frozen=True)
class ItemSamples:
    """The `sample_index` of an item's Live Set; whatever another program wrote there."""

    item_id: UUID
    item: str
    excluded: bool
    sample_index: object


def item_samples(connection: Connection, artist_id: UUID) -> Iterator[ItemSamples]:
    """Yield the samples of each of an artist's items that has a Live Set, by the items' ids."""
    after = UUID(int=0)
    while True:
        rows = connection.execute(
            f"""
            select t.id, {item_name("t")} as item, t.excluded_at is not null as excluded,
              s.summary -> 'sample_index' as sample_index
            from training_items t join als_summaries s on s.id = t.als_summary_id
            where t.artist_id = %s and t.id > %s order by t.id limit %s
            """,
            [artist_id, after, _PAGE],
        ).fetchall()
        for row in rows:
            yield ItemSamples(row["id"], row["item"], row["excluded"], row["sample_index"])
        if len(rows) < _PAGE:
            return
        after = rows[-1]["id"]


def artist_ids(connection: Connection) -> list[UUID]:
    """Return the ids of all artists who have items with a Live Set."""
    rows = connection.execute(
        "select distinct artist_id from training_items where als_summary_id is not null order by 1"
    )
    return [row["artist_id"] for row in rows]
