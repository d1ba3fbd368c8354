"""An artist's datasets as a list, and what the next export would hold."""

from dataclasses import dataclass

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.datasets import wanted
from dawa_assets.tables.library_datasets import ListedDataset, latest_datasets
from dawa_assets.tables.training_items import counts_by_status
from resources.database.base import Database

_MAX_COUNT = 200


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
    """Return what was built and exported, and how many items are ready."""
    with database.transaction() as connection:
        found = latest_datasets(connection, artist.id, _MAX_COUNT)
        counts = counts_by_status(connection, artist.id)
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
