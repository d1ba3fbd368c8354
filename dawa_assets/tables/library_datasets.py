"""SQL of datasets as they are listed: what was built and exported, and whether its files are there."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.datasets import current_dataset
from resources.database.base import Connection


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


def latest_datasets(connection: Connection, artist_id: UUID, limit: int) -> list[ListedDataset]:
    """Return the artist's datasets and exports, the latest first."""
    current = current_dataset(connection, artist_id)
    with connection.cursor(row_factory=class_row(ListedDataset)) as cursor:
        return cursor.execute(
            """
            select id, state, id is not distinct from %(current)s as is_current, item_count, size_bytes, created_at,
              finished_at,
              case when state <> 'building' and pruned_at is null then storage_path end as storage_path,
              case when state <> 'building' and pruned_at is null then manifest_path end as manifest_path
            from datasets where artist_id = %(artist)s order by created_at desc, id limit %(most)s
            """,
            {"artist": artist_id, "current": None if current is None else current.id, "most": limit},
        ).fetchall()
