"""Schedules: the nightly rebuild. One query finds the artists whose dataset would differ; only those get a run."""

import random
from zoneinfo import ZoneInfo

import dagster as dg

from dawa_assets.defs.jobs import dataset_job
from dawa_assets.defs.partitions import ensure_partitions
from dawa_assets.defs.policies.priorities import NIGHTLY
from dawa_assets.defs.policies.settings_check import check_schedule
from dawa_assets.defs.resources import Pipeline
from resources.settings import Settings

MAX_PER_NIGHT = 2_000
"""Runs that one night asks for; more could not be done until the next, and one tick must stay bounded."""


def nightly_dataset_rebuild(settings: Settings) -> dg.ScheduleDefinition:
    """Rebuild datasets, segments and tags at the set time, for exactly the artists that need it, once a night.

    Raises:
        SettingsError: the time is none.
    """
    zone = ZoneInfo(settings.timezone)
    check_schedule(settings)

    @dg.schedule(
        name="nightly_dataset_rebuild",
        job=dataset_job,
        cron_schedule=settings.nightly_cron,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Dataset, segments and tags of every artist whose dataset would differ from their last one.",
    )
    def tick(context: dg.ScheduleEvaluationContext, pipeline: Pipeline) -> list[dg.RunRequest] | dg.SkipReason:
        from dawa_assets.rights.enforce import leave_out_unpermitted
        from dawa_assets.tables.datasets import artists_whose_dataset_would_differ

        ports = pipeline.ports()
        leave_out_unpermitted(ports.database, ports.settings)
        with ports.database.transaction() as connection:
            slugs = artists_whose_dataset_would_differ(connection)
        if not slugs:
            return dg.SkipReason("every artist's dataset is up to date")
        # The date where it is night: an hour that the clocks skip or pass twice makes no second night of it.
        night = context.scheduled_execution_time.astimezone(zone).date().isoformat()
        if len(slugs) > MAX_PER_NIGHT:
            context.log.warning(
                f"{len(slugs)} artists need it: {MAX_PER_NIGHT} are asked for, the others in later nights"
            )
            # Others each night, so that those whose rebuild fails keep nobody from their turn.
            slugs = sorted(random.Random(night).sample(slugs, MAX_PER_NIGHT))  # noqa: S311 - no secret
        ensure_partitions(context.instance, slugs)
        return [
            dg.RunRequest(run_key=f"{night}/{slug}", partition_key=slug, tags={"dawa/nightly": night, **NIGHTLY})
            for slug in slugs
        ]

    return tick
