"""`reap_trainings`: calls on another machine that nobody waits for any more are cancelled: they cost money."""

import dagster as dg

from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.sensors.run_requests import PARTITION, UNFINISHED

GRACE_SECONDS = 600.0
"""How long a training is left for somebody to take up again."""

PAGE = 500
"""Runs that are read from the history at once."""


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Cancels trainings on another machine whose run died and that no queued or running one will take up.",
)
def reap_trainings(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SkipReason:
    """Any unfinished run of an artist owns their training: better one call too long than one that was needed."""
    from dawa_assets.training.orphan_cleanup import reap_trainings as reap

    reaped = reap(pipeline.ports(), _owned(context.instance), GRACE_SECONDS)
    calls = "; ".join(f"{training.slug}: call {training.call_id}" for training in reaped)
    return dg.SkipReason(f"cancelled {calls}" if reaped else "no training was left behind")


def _owned(instance: dg.DagsterInstance) -> set[str]:
    """Return the artists for whom a run is queued or under way."""
    owned: set[str] = set()
    cursor = None
    while page := instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), cursor=cursor, limit=PAGE):
        owned |= {run.tags[PARTITION] for run in page if PARTITION in run.tags}
        cursor = page[-1].run_id
    return owned
