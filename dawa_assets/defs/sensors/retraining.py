"""`retrain_sensor`: a dataset that an upload changed is trained on, or, where that is on, one that changed enough."""

import time
from collections.abc import Iterator
from uuid import UUID

import dagster as dg

from dawa_assets.defs.jobs import training_job
from dawa_assets.defs.policies.priorities import TRAINING
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.sensors.run_requests import (
    LOOKED_AT_PER_TICK,
    AskingRules,
    WorkItem,
    ask,
    left_unmade,
    named,
    result,
)

ONCE = AskingRules(attempts=1, once=True, alone=True)
"""A training that failed by its content may cost again what it cost; what is taken in meanwhile changes the dataset."""


_OFF = "off: trainings are started by hand; DAWA_RETRAIN=true or DAWA_FOLLOW_UPLOADS=lora switches this on"


@dg.sensor(
    job=training_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Trains on datasets that an upload changed (DAWA_FOLLOW_UPLOADS=lora), or, with DAWA_RETRAIN, on those "
    "that changed enough since their last training; and what was approved of in Train Mode.",
)
def retrain_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
    """One training per artist and dataset.

    The cursor is the artist that was looked at last, where there were too many for one tick.
    """
    from dawa_assets.tables.artist_deletions import slugs_being_deleted
    from dawa_assets.training.retraining import APPROVED, UPLOADED, TrainingRules, due_trainings

    settings = pipeline.ports().settings
    rules = TrainingRules(
        follow_uploads=settings.follow_uploads == "lora",
        share=settings.retrain_after_share if settings.retrain else None,
    )
    with pipeline.ports().database.transaction() as connection:
        leaving = slugs_being_deleted(connection)
        page = due_trainings(connection, settings.model_name, rules, _id(context.cursor), LOOKED_AT_PER_TICK)
    seen = {training.dataset.slug: training.dataset.artist_id for training in page.due}
    # An upload is trained on once it was taken in whole.
    uploaded = [training.dataset.slug for training in page.due if training.why == UPLOADED]
    unmade = left_unmade(context.instance, "segment_tags", uploaded)

    def wanted() -> Iterator[WorkItem]:
        for training in page.due:
            dataset = training.dataset
            if dataset.slug not in leaving and dataset.slug not in unmade:
                approved = " approved" if training.why == APPROVED else ""
                yield WorkItem(
                    f"{dataset.slug}:training {dataset.fingerprint[:16]}{approved}",
                    dataset.slug,
                    {"dawa/retrain": training.why, **TRAINING},
                    was_tried=dataset.has_failed,
                )

    plan = ask(context.instance, training_job.name, wanted(), time.time(), ONCE)
    plan.in_hand += [f"{slug}: trained on once {named(run)}, which failed, went well" for slug, run in unmade.items()]
    looked_at = seen[plan.stopped_at.slug] if plan.stopped_at else page.ends_with
    nothing = f"{page.untrained} datasets were not trained on; none is due" if rules.is_on else _OFF
    return result(plan, context, nothing, str(looked_at or ""))


def _id(cursor: str | None) -> UUID | None:
    try:
        return UUID(cursor or "")
    except ValueError:
        return None
