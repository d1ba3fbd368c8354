"""Which artists' datasets changed enough since their last training, asked of all artists page by page."""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.tables.training_runs import UntrainedDataset, untrained_datasets
from resources.database.base import Connection


@dataclass(frozen=True)
class ChangedPage:
    """Those of one page of artists, by id; `looked_at` is the page's last artist, None where no more come."""

    changed: list[UntrainedDataset]
    looked_at: UUID | None


def changed_datasets(
    connection: Connection, model_name: str, share: float, after: UUID | None, limit: int
) -> ChangedPage:
    """Return those with enough change of the first artists after this id whose current dataset was never trained on.

    `share` is how much of a dataset must be new; without an earlier training everything is. Where that training heard
    what is excluded by now, that is enough.
    """
    found = untrained_datasets(connection, model_name, after, limit)
    changed = [each for each in found if each.share >= share or each.trained_on_excluded]
    return ChangedPage(changed, found[-1].artist_id if len(found) == limit else None)
