"""Failed runs: what Dagster's history says is failed *now*: no later run has made the asset for that artist.

Read from the instance's records, newest first and a bounded number of them; nothing is kept here between two calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.events import EngineEventData, JobFailureData
from dagster_shared.error import SerializableErrorInfo

from dawa_assets.defs.jobs import CHAIN, made_by

MAX_RUNS = 500
_FROM_OUTSIDE = "marked as failed from outside"
_DAYS = 14  # what failed for longer than that without another attempt is nobody's work any more


@dataclass(frozen=True)
class FailedRun:
    """An asset that could not be made for an artist: the last attempt's reason and run, and since when (UTC)."""

    asset: str
    slug: str
    reason: str
    since: datetime
    attempts: int
    run_id: str
    job_name: str


def failed_runs(instance: dg.DagsterInstance, now: datetime | None = None) -> list[FailedRun]:
    """Return what failed within two weeks and was not made since, the newest failure first."""
    records = instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE], updated_after=(now or datetime.now(UTC)) - timedelta(days=_DAYS)
        ),
        limit=MAX_RUNS,
    )
    by_work: dict[tuple[str, str], list[dg.RunRecord]] = {}
    for record in records:
        slug = record.dagster_run.tags.get("dagster/partition")
        if slug is not None:
            by_work.setdefault((slug, record.dagster_run.job_name), []).append(record)
    found: dict[tuple[str, str], FailedRun] = {}
    for (slug, job_name), attempts in by_work.items():
        for asset, reason in _reasons(instance, attempts[0].dagster_run.run_id, job_name):
            made = _last_made(instance, asset, slug)
            series = [_ended(attempt) for attempt in attempts if _ended(attempt) > made]
            if series and (asset, slug) not in found:
                found[asset, slug] = FailedRun(
                    asset,
                    slug,
                    reason,
                    datetime.fromtimestamp(min(series), UTC),
                    len(series),
                    attempts[0].dagster_run.run_id,
                    job_name,
                )
    return list(found.values())


def failed_steps(events: Sequence[dg.DagsterEvent]) -> list[tuple[str, str]]:
    """Return every step that failed in a run, by the asset's name, with one line that says why."""
    found = []
    stopped_by: dict[str | None, tuple[str, str]] = {}
    for event in events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.blocking and check.severity == dg.AssetCheckSeverity.ERROR:
                stopped_by[event.step_key] = (check.asset_key.to_user_string(), check.description or "its check failed")
        elif event.is_step_failure and event.step_key in stopped_by:
            found.append(stopped_by[event.step_key])
        elif event.is_step_failure:
            error = event.step_failure_data.error
            failure = event.step_failure_data.user_failure_data
            described = failure.description if failure is not None else None
            message = described or ("failed" if error is None else _line_of(error))
            found.append((event.step_key or "run", message))
    return found


def run_reason(events: Sequence[dg.DagsterEvent]) -> str:
    """Return one line that says why a run failed in which no step did.

    Where its own failure says no more than that somebody marked it, whoever did so has left an event of the engine
    before: that its code could not be loaded, for instance.
    """
    engine = own = None
    for event in events:
        data = event.event_specific_data
        if event.event_type == dg.DagsterEventType.ENGINE_EVENT and isinstance(data, EngineEventData) and data.error:
            engine = _line_of(data.error)
        elif event.event_type == dg.DagsterEventType.RUN_FAILURE:
            if isinstance(data, JobFailureData) and data.error is not None:
                own = _line_of(data.error)
            elif event.message and _FROM_OUTSIDE not in event.message:
                own = event.message.strip().splitlines()[0]
    return own or engine or "the run ended without saying why"


def _line_of(error: SerializableErrorInfo) -> str:
    """Return the first line of what an error comes from."""
    while error.cause is not None:
        error = error.cause
    return (error.message.strip() or "failed").splitlines()[0]


def _reasons(instance: dg.DagsterInstance, run_id: str, job_name: str) -> list[tuple[str, str]]:
    """Return what failed in a run, by asset; of a run whose process died, the asset that it was at."""
    kinds = {
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.STEP_START,
        dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterEventType.ENGINE_EVENT,
    }
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kinds) if entry.dagster_event]
    if steps := [(step, reason) for step, reason in failed_steps(events) if step in CHAIN]:
        return steps
    at = (made_by(job_name) or CHAIN)[0]
    for event in events:
        if event.event_type == dg.DagsterEventType.STEP_START and event.step_key in CHAIN:
            at = str(event.step_key)
    return [(at, run_reason(events))]


def _last_made(instance: dg.DagsterInstance, asset: str, slug: str) -> float:
    """Return when the asset was last made for this artist (seconds since 1970); 0 for never."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[slug]), limit=1
    ).records
    return records[0].timestamp if records else 0.0


def _ended(record: dg.RunRecord) -> float:
    return record.end_time or record.update_timestamp.timestamp()
