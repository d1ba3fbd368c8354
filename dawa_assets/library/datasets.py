"""An artist's datasets as a list, and what the next export would hold."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.datasets import counts_by_status, current_dataset, wanted
from resources.database.base import Database

_MAX_COUNT = 200


@dataclass(frozen=True)
class ListedDataset:
    """A dataset; its files are there unless it is being built or was pruned."""

    id: UUID
    state: str
    is_current: bool
    item_count: int
    size_bytes: int | None
    created_at: datetime
    finished_at: datetime | None
    storage_path: str | None
    manifest_path: str | None


@dataclass(frozen=True)
class DatasetList:
    """The latest datasets first. `total` leaves excluded items out; `next_items` is what an export would hold.

    `left_out` has (item, by which one) of ready ones that another item of the same audio stands for.
    """

    datasets: list[ListedDataset]
    ready: int
    exported: int
    total: int
    next_items: int
    left_out: list[tuple[str, str]]


def list_datasets(database: Database, artist: Artist) -> DatasetList:
    """What was built and exported, and how many items are ready."""
    with database.transaction() as connection:
        current = current_dataset(connection, artist.id)
        with connection.cursor(row_factory=class_row(ListedDataset)) as cursor:
            found = cursor.execute(
                """
                select id, state, id is not distinct from %(current)s as is_current, item_count, size_bytes, created_at,
                  finished_at,
                  case when state <> 'building' and pruned_at is null then storage_path end as storage_path,
                  case when state <> 'building' and pruned_at is null then manifest_path end as manifest_path
                from datasets where artist_id = %(artist)s order by created_at desc, id limit %(most)s
                """,
                {"artist": artist.id, "current": None if current is None else current.id, "most": _MAX_COUNT},
            ).fetchall()
        counts = counts_by_status(connection, artist)
        following = wanted(connection, artist, new_items_only=True)
    total = sum(number for status, number in counts.items() if status != "excluded")
    return DatasetList(
        datasets=found,
        ready=counts.get("ready", 0),
        exported=counts.get("exported", 0),
        total=total,
        next_items=len(following.items),
        left_out=[(each.item, each.by) for each in following.superseded],
    )
