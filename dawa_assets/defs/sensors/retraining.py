"""`retrain_sensor`: a dataset that changed enough since the last training is trained on, where that is switched on."""

import time
from collections.abc import Iterator
from uuid import UUID

import dagster as dg

from dawa_assets.defs.jobs import training_job
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.sensors.run_requests import LOOKED_AT_PER_TICK, WorkItem, ask, result


@dg.sensor(
    job=training_job,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Trains on datasets that changed enough since their last training. Off unless DAWA_RETRAIN is set.",
)
def retrain_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """One training per artist and dataset; one that fails is not repeated, since it may cost what it cost before.

    The cursor is the artist that was looked at last, where there were too many for one tick.
    """
    from dawa_assets.tables.artist_deletions import slugs_being_deleted
    from dawa_assets.training.retraining import changed_datasets

    ports = pipeline.ports()
    settings = ports.settings
    if not settings.retrain:
        return dg.SkipReason("off: trainings are started by hand; DAWA_RETRAIN=true switches this on")
    with ports.database.transaction() as connection:
        leaving = slugs_being_deleted(connection)
        page = changed_datasets(
            connection, settings.model_name, settings.retrain_after_share, _id(context.cursor), LOOKED_AT_PER_TICK
        )
    seen = {dataset.slug: dataset for dataset in page.changed}

    def wanted() -> Iterator[WorkItem]:
        for dataset in page.changed:
            if dataset.slug in leaving:
                continue
            heard = "the last training heard excluded items"
            why = heard if dataset.trained_on_excluded else f"{dataset.share:.0%} of the dataset is new"
            tags = {"dawa/retrain": why}
            yield WorkItem(f"{dataset.slug}:training {dataset.fingerprint[:16]}", dataset.slug, tags)

    asked = ask(context.instance, training_job.name, wanted(), time.time(), attempts=1)
    looked_at = seen[asked.stopped_at.slug].artist_id if asked.stopped_at else page.looked_at
    return result(asked, context, "no dataset changed enough", str(looked_at or ""))


def _id(cursor: str | None) -> UUID | None:
    try:
        return UUID(cursor or "")
    except ValueError:
        return None
