"""Schedules: the nightly rebuild. One query finds the artists whose dataset would differ; only those get a run."""

import dagster as dg

from dawa_assets.defs.jobs import dataset_job
from dawa_assets.defs.partitions import add_missing_artists
from dawa_assets.defs.resources import Pipeline
from resources.settings import Settings


def nightly_dataset_rebuild(settings: Settings) -> dg.ScheduleDefinition:
    """Rebuild datasets, segments and tags at the set time, for exactly the artists that need it."""

    @dg.schedule(
        name="nightly_dataset_rebuild",
        job=dataset_job,
        cron_schedule=settings.nightly_cron,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Dataset, segments and tags of every artist whose dataset would differ from his last one.",
    )
    def tick(context: dg.ScheduleEvaluationContext, pipeline: Pipeline) -> list[dg.RunRequest] | dg.SkipReason:
        from dawa_assets.datasets.store import artists_whose_dataset_would_differ

        ports = pipeline.ports()
        add_missing_artists(context.instance, ports.database)
        with ports.database.transaction() as connection:
            slugs = artists_whose_dataset_would_differ(connection)
        if not slugs:
            return dg.SkipReason("every artist's dataset is up to date")
        night = context.scheduled_execution_time.date().isoformat()
        return [
            dg.RunRequest(run_key=f"{night}/{slug}", partition_key=slug, tags={"dawa/nightly": night}) for slug in slugs
        ]

    return tick
