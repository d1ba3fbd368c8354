"""Which artists' datasets are to be trained on now, asked of all artists page by page."""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.tables.training_runs import UntrainedDataset, untrained_datasets
from resources.database.base import Connection

UPLOADED = "an upload changed the dataset"
APPROVED = "its training was approved"


@dataclass(frozen=True)
class TrainingRules:
    """What makes a dataset due: an upload into it (`follow_uploads`), or how much of it is new (None: nothing does)."""

    follow_uploads: bool
    share: float | None

    @property
    def is_on(self) -> bool:
        """Whether anything but a person's approval makes a dataset due."""
        return self.follow_uploads or self.share is not None

    def why_due(self, dataset: UntrainedDataset) -> str | None:
        """Return why a dataset is to be trained on, in words; None where it is not.

        Without an earlier training everything is new. Where that training heard what is excluded by now, that is
        enough of a change. What a person approved of is due whatever the rules.
        """
        if dataset.is_approved:
            return APPROVED
        if self.follow_uploads and dataset.follows_upload:
            return UPLOADED
        if self.share is None:
            return None
        if dataset.trained_on_excluded:
            return "the last training heard excluded items"
        return f"{dataset.share:.0%} of the dataset is new" if dataset.share >= self.share else None


@dataclass(frozen=True)
class DueTraining:
    """A dataset that is to be trained on, and why."""

    dataset: UntrainedDataset
    why: str


@dataclass(frozen=True)
class DuePage:
    """Those of one page of artists, by id, and how many datasets it had that were not trained on.

    `ends_with` is the page's last artist, None where no more come.
    """

    due: list[DueTraining]
    untrained: int
    ends_with: UUID | None


def due_trainings(
    connection: Connection, model_name: str, rules: TrainingRules, after: UUID | None, limit: int
) -> DuePage:
    """Return what is due of the first artists after this id whose current dataset was not trained on."""
    found = untrained_datasets(connection, model_name, after, limit)
    judged = [(dataset, rules.why_due(dataset)) for dataset in found]
    due = [DueTraining(dataset, why) for dataset, why in judged if why is not None]
    return DuePage(due, len(found), found[-1].artist_id if len(found) == limit else None)
