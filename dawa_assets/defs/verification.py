"""`verify_job`: files held against rows, names and sizes each night and bytes each week, a bounded part of them.

What is wrong is kept in `verifications`, so that `needs_attention` and the assets' standing checks show it.
"""

import dagster as dg

from dawa_assets.defs.policies.priorities import NIGHTLY
from dawa_assets.defs.resources import Pipeline
from resources.settings import Settings

MAX_SECONDS = {False: 1_800.0, True: 7_200.0}
"""After which a pass begins no other artist, by whether bytes are read: it keeps a run of the chain waiting."""

_NIGHTLY, _WEEKLY = "30 4 * * *", "30 5 * * 0"


class VerifyConfig(dg.Config):
    """What one pass does."""

    deep: bool = False
    """Read every file and compare its hash, up to DAWA_VERIFY_WEEKLY_GB."""


@dg.op
def verify_files(context: dg.OpExecutionContext, config: VerifyConfig, pipeline: Pipeline) -> None:
    """Hold files against rows, for the artists who were looked at longest ago."""
    from dawa_assets.maintenance.verification import verify_longest_unseen

    ports = pipeline.ports()
    max_bytes = ports.settings.verify_weekly_gb * 1e9
    done = verify_longest_unseen(ports, deep=config.deep, max_seconds=MAX_SECONDS[config.deep], max_bytes=max_bytes)
    context.log.info(done.headline)
    if done.failed:
        raise dg.Failure(done.headline, allow_retries=False)


@dg.job(
    description="Holds files against rows; what is wrong is on needs_attention, and in each asset's standing check.",
    executor_def=dg.in_process_executor,
    tags={**NIGHTLY, "dagster/max_runtime": str(int(2 * MAX_SECONDS[True]))},
)
def verify_job() -> None:
    """One pass."""
    verify_files()


def verify_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Names and sizes each night; bytes each week, unless none are to be read."""
    nightly = dg.ScheduleDefinition(
        name="nightly_verify",
        job=verify_job,
        cron_schedule=_NIGHTLY,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Is every file that a row names there, whole? Who was looked at longest ago comes first.",
    )
    weekly = dg.ScheduleDefinition(
        name="weekly_verify",
        job=verify_job,
        cron_schedule=_WEEKLY,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        run_config=dg.RunConfig(ops={"verify_files": VerifyConfig(deep=True)}),
        description="Are the bytes of every file those on record? At most DAWA_VERIFY_WEEKLY_GB are read.",
    )
    return [nightly, weekly] if settings.verify_weekly_gb else [nightly]
