"""Asking for runs: work in hand is left to its run; what failed is asked for again with growing pauses, then no more.

A piece of work has a name that stays the same while the same is to be done. Its runs carry the name as a tag, so how
often it was tried is read from the history of runs. A `run_key` never launches twice in Dagster: it ends in the number
of the attempt, so that two ticks that see the same ask for one run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import dagster as dg

from dawa_assets.defs.jobs import overlapping
from dawa_assets.defs.partitions import ensure_partitions

ATTEMPTS = 3
RUNS_PER_TICK = 50
LOOKED_AT_PER_TICK = 1_000

WORK = "dawa/work"
ATTEMPT = "dawa/attempt"
PARTITION = "dagster/partition"
WILL_RETRY = "dagster/will_retry"
RETRIED_BY = "dagster/auto_retry_run_id"

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

FIRST_PAUSE_SECONDS = 60.0
"""Between a first attempt that failed and the second; each further pause is five times as long."""

_RETRY_SECONDS = 600.0
_A_DAY = 86_400.0
_BATCH = 100  # pieces of work whose runs are read in one query


@dataclass(frozen=True)
class WorkItem:
    """A piece of work for one artist; `name` changes when anything that decides it does."""

    name: str
    slug: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class RunPlan:
    """What a tick asks for, the work it gave up (in words), and the last that it looked at; None where it saw all."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    standing: list[str] = field(default_factory=list)
    stopped_at: WorkItem | None = None


def ask(
    instance: dg.DagsterInstance, job_name: str, wanted: Iterable[WorkItem], now: float, attempts: int = ATTEMPTS
) -> RunPlan:
    """Requests for pieces of work, without those that a run has in hand, that must wait, or that are given up.

    Looks at a bounded number: those that are given up keep nobody from their turn, the next tick goes on behind them.
    Each artist that is asked for is made sure to be a partition.
    """
    asked, rest, looked_at = RunPlan(), iter(wanted), 0
    while batch := list(islice(rest, _BATCH)):
        runs = _runs_of(instance, [work.name for work in batch])
        busy = _busy(instance, job_name, [work.slug for work in batch])
        for work in batch:
            looked_at += 1
            tried = runs.get(work.name, [])
            if work.slug not in busy:
                _judge(asked, work, job_name, tried, now, attempts)
            if len(asked.requests) == RUNS_PER_TICK or looked_at == LOOKED_AT_PER_TICK:
                asked.stopped_at = work
                break
        if asked.stopped_at is not None:
            break
    ensure_partitions(instance, [request.partition_key or "" for request in asked.requests])
    return asked


def pause_after(attempt: int) -> float:
    """Seconds between the end of an attempt and the next one: one minute, then five, then twenty-five."""
    return float(FIRST_PAUSE_SECONDS * 5 ** (attempt - 1))


def is_retried(run: dg.DagsterRun, ended: float, now: float) -> bool:
    """Whether Dagster itself is about to try a failed run again, whose process died: it does so within minutes."""
    return run.tags.get(WILL_RETRY) == "true" and RETRIED_BY not in run.tags and now < ended + _RETRY_SECONDS


def result(asked: RunPlan, context: dg.SensorEvaluationContext, nothing: str, cursor: str | None) -> dg.SensorResult:
    """Return the tick's result: its requests, or why there are none.

    What stands failed is told in its log either way.
    """
    for line in asked.standing:
        context.log.warning(line)
    if asked.requests:
        return dg.SensorResult(run_requests=asked.requests, cursor=cursor)
    standing = f"; standing: {'; '.join(asked.standing[:5])}" if asked.standing else ""
    return dg.SensorResult(skip_reason=f"{nothing}{standing}", cursor=cursor)


def _judge(
    asked: RunPlan, work: WorkItem, job_name: str, tried: Sequence[dg.RunRecord], now: float, attempts: int
) -> None:
    """Ask for a piece of work, or leave it."""
    if tried:
        latest = max(tried, key=lambda record: record.storage_id)
        status, ended = latest.dagster_run.status, latest.end_time or latest.update_timestamp.timestamp()
        if status == dg.DagsterRunStatus.CANCELED:
            asked.standing.append(f"{work.slug}: cancelled by hand (run {latest.dagster_run.run_id}); start it by hand")
            return
        if is_retried(latest.dagster_run, ended, now):
            return
        # One that went well and left something for a passing reason, a budget for instance, is tried again every day.
        is_used_up = len(tried) >= attempts
        if is_used_up and status == dg.DagsterRunStatus.FAILURE:
            asked.standing.append(
                f"{work.slug}: failed {len(tried)} times, is not asked for again (run {latest.dagster_run.run_id})"
            )
            return
        if now < ended + (_A_DAY if is_used_up else pause_after(len(tried))):
            return
    attempt = len(tried) + 1
    asked.requests.append(
        dg.RunRequest(
            run_key=f"{work.name}/{attempt}",
            partition_key=work.slug,
            job_name=job_name,
            tags={WORK: work.name, ATTEMPT: f"{attempt} of {attempts}", **work.tags},
        )
    )


def _runs_of(instance: dg.DagsterInstance, names: list[str]) -> dict[str, list[dg.RunRecord]]:
    runs: dict[str, list[dg.RunRecord]] = {}
    for record in instance.get_run_records(dg.RunsFilter(tags={WORK: names})):
        runs.setdefault(record.dagster_run.tags[WORK], []).append(record)
    return runs


def _busy(instance: dg.DagsterInstance, job_name: str, slugs: list[str]) -> set[str]:
    """The artists for whom a run of the same assets is queued or under way: it will do, or it would be waited for."""
    unfinished = instance.get_runs(dg.RunsFilter(tags={PARTITION: slugs}, statuses=UNFINISHED))
    return {run.tags[PARTITION] for run in unfinished if overlapping(job_name, run.job_name)}
