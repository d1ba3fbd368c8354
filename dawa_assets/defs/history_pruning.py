"""`prune_history_job`: the end of history. What Dagster has on record of old runs goes, but for what pages still show.

The latest materialisation, observation and evaluation of every asset, check and artist stay, with their whole runs.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from dawa_assets.defs.history import (
    CHECKS,
    EVENTS,
    FINISHED,
    RUNLESS,
    RUNS_AT_ONCE,
    batches,
    correct_assets,
    event_rows,
    events_of,
    give_back_space,
    naive_utc,
    remove_checks,
    remove_events,
    remove_runs,
    remove_shard,
    shard_sizes,
)
from dawa_assets.defs.policies.priorities import NIGHTLY
from dawa_assets.defs.resources import Pipeline
from resources.settings import Settings

MAX_SECONDS = 900.0
"""After which a pass of the job leaves the rest to the next day's."""

_PAGE = 500
_CRON = "45 4 * * *"
_EACH = EVENTS.alias()
_SHOWN = [dg.DagsterEventType.ASSET_MATERIALIZATION.value, dg.DagsterEventType.ASSET_OBSERVATION.value]


@dataclass(frozen=True)
class HistoryReport:
    """What was removed, or would be: runs, and events that sensors reported; `kept` runs are old and still shown."""

    runs: int
    events: int
    kept: int
    freed_bytes: int
    is_all: bool

    @property
    def headline(self) -> str:
        """What went on one line."""
        freed = f" ({self.freed_bytes / 1e6:,.1f} MB of files)" if self.freed_bytes else ""
        rest = "" if self.is_all else "; there is more: run it again"
        return f"{self.runs:,} runs{freed} and {self.events:,} reports of sensors; {self.kept:,} still shown{rest}"


def prune_history(
    instance: dg.DagsterInstance,
    days: int,
    *,
    max_runs: int | None = None,
    max_seconds: float = MAX_SECONDS,
    dry_run: bool = False,
) -> HistoryReport:
    """Remove finished runs that are older than so many days, the oldest first, and what sensors reported before that.

    A pass ends early at so many runs or seconds; it can be killed anywhere, and the next one goes on.
    """
    before, until = datetime.now(UTC) - timedelta(days=days), time.monotonic() + max_seconds
    shown = _shown_runs(instance)
    removed: list[str] = []
    kept, cursor, is_all = 0, None, False
    old = dg.RunsFilter(statuses=FINISHED, created_before=before, updated_before=before)
    while not is_all and (max_runs is None or len(removed) < max_runs):
        page = instance.get_runs(old, cursor=cursor, limit=_PAGE, ascending=True)
        fresh = [run.run_id for run in page if run.run_id not in shown]
        removed += fresh
        kept += len(page) - len(fresh)
        is_all = len(page) < _PAGE
        cursor = page[-1].run_id if page else None
    freed, done = 0, 0
    for batch in batches(removed[:max_runs], RUNS_AT_ONCE):
        if time.monotonic() >= until:
            break
        freed += sum(size for run_id in batch for size in shard_sizes(instance, run_id))
        done += len(batch)
        if not dry_run:
            remove_runs(instance, batch)
    is_all &= done == len(removed)
    events = _prune_reports(instance, before, dry_run=dry_run)
    if not dry_run:
        _remove_orphans(instance, before)
        correct_assets(instance)
        give_back_space(instance)
    return HistoryReport(done, events, kept, freed, is_all)


def _shown_runs(instance: dg.DagsterInstance) -> set[str]:
    """Runs with an event that a page shows as the latest of an asset or check, for an artist or for all."""
    latest = _latest(_EACH.c.dagster_event_type.in_(_SHOWN), _EACH.c.asset_key.is_not(None))
    of_assets = event_rows(instance, sa.select(EVENTS.c.run_id).where(EVENTS.c.id.in_(latest)).distinct())
    of_checks = event_rows(instance, sa.select(CHECKS.c.run_id).where(CHECKS.c.id.in_(_latest_checks())).distinct())
    return {row.run_id for row in (*of_assets, *of_checks) if row.run_id}


def _latest(*which: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
    """The latest event of each kind for each asset and artist."""
    columns = (_EACH.c.asset_key, _EACH.c.dagster_event_type, _EACH.c.partition)
    return sa.select(sa.func.max(_EACH.c.id)).where(*which).group_by(*columns)


def _latest_checks() -> sa.Select[tuple[int]]:
    each = CHECKS.alias()
    return sa.select(sa.func.max(each.c.id)).group_by(each.c.asset_key, each.c.check_name, each.c.partition)


def _prune_reports(instance: dg.DagsterInstance, before: datetime, *, dry_run: bool) -> int:
    """Remove old events and evaluations of no run, but the latest of each; returns how many events there were."""
    latest = _latest(_EACH.c.run_id == RUNLESS)
    old = [EVENTS.c.run_id == RUNLESS, EVENTS.c.timestamp < naive_utc(before), EVENTS.c.id.not_in(latest)]
    checks = sa.select(CHECKS.c.id).where(
        CHECKS.c.run_id == RUNLESS,
        CHECKS.c.evaluation_event_timestamp < naive_utc(before),
        CHECKS.c.id.not_in(_latest_checks()),
    )
    if dry_run:
        return len(event_rows(instance, sa.select(EVENTS.c.id).where(*old)))
    remove_checks(instance, [row.id for row in event_rows(instance, checks)])
    return remove_events(instance, old)


def _remove_orphans(instance: dg.DagsterInstance, before: datetime) -> None:
    """Remove databases of runs that are on record no more: somebody deleted the run, or was killed at it."""
    storage = events_of(instance)
    if not isinstance(storage, SqliteEventLogStorage):
        return
    for run_id in storage.get_all_run_ids():
        path = Path(storage.path_for_shard(run_id))
        if run_id and path.stat().st_mtime < before.timestamp() and not instance.has_run(run_id):
            remove_shard(instance, run_id)


@dg.op
def prune_old_history(context: dg.OpExecutionContext, pipeline: Pipeline) -> None:
    """Remove what is older than DAWA_HISTORY_DAYS."""
    report = prune_history(context.instance, pipeline.ports().settings.history_days)
    context.log.info(f"removed {report.headline}")


@dg.job(
    description="Removes records of runs that are older than DAWA_HISTORY_DAYS and that no page shows any more.",
    executor_def=dg.in_process_executor,
    tags=NIGHTLY,
)
def prune_history_job() -> None:
    """One pass."""
    prune_old_history()


def history_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Let history end, once a day."""

    @dg.schedule(
        name="daily_history_prune",
        job=prune_history_job,
        cron_schedule=_CRON,
        execution_timezone=settings.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes records of old runs from Dagster, but for what the pages of assets still show.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        report = prune_history(context.instance, settings.history_days, max_runs=1, dry_run=True)
        if not report.runs and not report.events:
            return dg.SkipReason(f"nothing is older than {settings.history_days} days, but for what is shown")
        return dg.RunRequest()

    return tick
