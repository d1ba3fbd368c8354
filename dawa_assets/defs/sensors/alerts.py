"""`alert_on_failure`: failures that nobody will try again are told by a webhook, once each; so is their recovery.

An outage is tried until it passes: it is told once it lasted for some tries.

What was told is noted on the run itself, as a tag: a lost cursor, a second daemon or a new deployment tells nothing
again, and a message that could not be delivered is still to be told. The cursor only saves reading old runs.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote

import dagster as dg

from dawa_assets.defs.failed_runs import failed_steps, run_reason
from dawa_assets.defs.jobs import CHAIN
from dawa_assets.defs.policies.outcomes import failure_kind
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.sensors.run_requests import (
    ATTEMPT,
    PARTITION,
    RETRIED_BY,
    WORK,
    is_retried,
    pause_after,
    pauses_before,
)
from dawa_assets.observability.alerts import Line, Message, send
from modal_app.errors import DawaError

REPORTED = ".dagster/dawa_told"
"""On a failed run: `failed` once that was told, `recovered` once a later run that went well was told too, or went well
before there was anything to tell. Hidden in the UI, as all tags are that begin like this one."""

REPORTED_AFTER_FAILURES = 3
"""Of an outage: as many tries of the same that met it in a row."""

OPEN_PER_TICK = 50
"""Failed runs whose recovery one tick looks for; the next tick goes on behind them."""

_LOOKS_BACK_SECONDS = 86_400.0
_GRACE_SECONDS = 600.0  # beyond the pause, until an attempt that nobody made counts as one that nobody makes
_RUNS_PER_TICK = 200
_LATER_RUNS = 20  # of each, the latest
_MAX_PAUSE_SECONDS = 3_600.0


@dataclass(frozen=True)
class _Seen:
    """Since when there may be something to tell, and how deliveries went (all in seconds).

    `behind` is the run that was looked at last for its recovery, where there were too many for one tick.
    """

    since: float = 0.0
    undelivered: int = 0
    not_before: float = 0.0
    behind: str = ""

    @classmethod
    def read(cls, cursor: str | None, now: float) -> "_Seen":
        try:
            seen = cls(**json.loads(cursor or "{}"))
            since = min(max(float(seen.since), now - _LOOKS_BACK_SECONDS), now)
            not_before = min(float(seen.not_before), now + _MAX_PAUSE_SECONDS)
            return cls(since, int(seen.undelivered), not_before, str(seen.behind))
        except (ValueError, TypeError):
            return cls(since=now - _LOOKS_BACK_SECONDS)


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells failures that will not be tried again, and recoveries, by the webhook DAWA_ALERT_WEBHOOK_URL.",
)
def alert_on_failure(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """One message a tick, whatever there is to tell; where it can't be delivered, longer and longer pauses."""
    settings = pipeline.ports().settings
    address = settings.alert_webhook_url
    if address is None or not address.get_secret_value().strip():
        return dg.SkipReason("off: DAWA_ALERT_WEBHOOK_URL is not set")
    now = time.time()
    seen = _Seen.read(context.cursor, now)
    if now < seen.not_before:
        return dg.SkipReason(f"the webhook did not answer; asked again in {seen.not_before - now:.0f} s")
    untold, since = _untold(context.instance, seen.since, now)
    failed = []
    for record in untold:
        if _is_made_good(context.instance, record):  # nobody was told of it, so nobody has to be
            context.instance.add_run_tags(record.dagster_run.run_id, {REPORTED: "recovered"})
        else:
            failed.append(record.dagster_run)
    recovered, behind = _recovered(context.instance, seen.behind)
    if not failed and not recovered:
        return _result("nothing to tell", replace(seen, since=since, behind=behind))
    try:
        send(address, _message(context.instance, settings.ui_url, failed, recovered))
    except DawaError as error:
        pause = min(_MAX_PAUSE_SECONDS, 60.0 * 2**seen.undelivered)
        return _result(str(error), replace(seen, undelivered=seen.undelivered + 1, not_before=now + pause))
    for run in failed:
        context.instance.add_run_tags(run.run_id, {REPORTED: "failed"})
    for run in recovered:
        context.instance.add_run_tags(run.run_id, {REPORTED: "recovered"})
    return _result(f"told: {len(failed)} failed, {len(recovered)} recovered", _Seen(since, behind=behind))


def _untold(instance: dg.DagsterInstance, since: float, now: float) -> tuple[list[dg.RunRecord], float]:
    """Failed runs to tell of, oldest first, and since when the next tick has to look."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.fromtimestamp(since, UTC)),
        limit=_RUNS_PER_TICK,
        order_by="update_timestamp",
        ascending=True,
    )
    untold, waiting, reached = [], None, since
    for record in records:
        updated = record.update_timestamp.replace(tzinfo=UTC).timestamp()
        reached = updated
        judged = _is_final(instance, record, record.end_time or updated, now)
        if judged:
            untold.append(record)
        elif judged is None and waiting is None:
            waiting = updated
    # A hair before: the time of a run is compared by `>`, and two may have ended at once.
    return untold, (reached if waiting is None else waiting) - 0.001


def _is_final(instance: dg.DagsterInstance, record: dg.RunRecord, ended: float, now: float) -> bool | None:
    """Return whether it is to be told, mostly because nobody will try again; None while that can't be known yet."""
    tags = record.dagster_run.tags
    if REPORTED in tags or RETRIED_BY in tags:
        return False
    if is_retried(record.dagster_run, ended, now):
        return None
    if WORK not in tags:
        return True
    latest = instance.get_run_records(dg.RunsFilter(tags={WORK: tags[WORK]}), limit=1)[0]
    if latest.storage_id != record.storage_id:
        return False
    if failure_kind(instance, record.dagster_run) == "environment":
        return _is_lasting(instance, record.dagster_run, ended, now)
    attempt, _, attempts = tags.get(ATTEMPT, "").partition(" of ")
    if not attempt.isdigit() or not attempts.isdigit() or int(attempt) >= int(attempts):
        return True
    return now >= ended + pause_after(int(attempt)) + _GRACE_SECONDS or None


def _is_lasting(instance: dg.DagsterInstance, run: dg.DagsterRun, ended: float, now: float) -> bool | None:
    """Return whether an outage is to be told: it met so many tries, or nobody made the next one; once for each."""
    failures = pauses_before(run) + 1
    if failures < REPORTED_AFTER_FAILURES:
        return now >= ended + pause_after(failures) + _GRACE_SECONDS or None
    reported = dg.RunsFilter(tags={WORK: run.tags[WORK], REPORTED: "failed"})
    return not instance.get_runs(reported, limit=1)


def _recovered(instance: dg.DagsterInstance, behind: str) -> tuple[list[dg.DagsterRun], str]:
    """Failed runs that were told of, after which the same went well for the same artist; where the next tick goes on.

    Those that never recover keep no other one from being looked at.
    """
    reported = dg.RunsFilter(tags={REPORTED: "failed"}, statuses=[dg.DagsterRunStatus.FAILURE])
    records = instance.get_run_records(reported, limit=OPEN_PER_TICK, cursor=behind or None)
    recovered = [record.dagster_run for record in records if _is_made_good(instance, record)]
    return recovered, records[-1].dagster_run.run_id if len(records) == OPEN_PER_TICK else ""


def _is_made_good(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Return whether the same went well since for the same artist."""
    run = record.dagster_run
    better = dg.RunsFilter(
        job_name=run.job_name,
        tags={PARTITION: run.tags[PARTITION]} if PARTITION in run.tags else {},
        statuses=[dg.DagsterRunStatus.SUCCESS],
        created_after=record.create_timestamp,
    )
    return any(_makes_good(later, run) for later in instance.get_runs(better, limit=_LATER_RUNS))


def _makes_good(later: dg.DagsterRun, failed: dg.DagsterRun) -> bool:
    """Return whether a later run of the same job made what the failed one was to make: assets can be chosen by hand."""
    if later.asset_selection is None or failed.run_id in (later.parent_run_id, later.root_run_id):
        return True
    return failed.asset_selection is not None and failed.asset_selection <= later.asset_selection


def _message(
    instance: dg.DagsterInstance,
    ui_url: str | None,
    failed: Sequence[dg.DagsterRun],
    recovered: Sequence[dg.DagsterRun],
) -> Message:
    counts = {"failed": len(failed), "recovered": len(recovered)}
    title = "dawa: " + ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    lines = []
    for run in failed:
        why, steps = _why(instance, run)
        lines.append(Line(f"failed: {_name(run)}: {why}", _links(ui_url, run, steps)))
    lines += [Line(f"recovered: {_name(run)}", _links(ui_url, run, [])) for run in recovered]
    return Message(title, lines)


def _links(ui_url: str | None, run: dg.DagsterRun, steps: Sequence[str]) -> dict[str, str]:
    """Where the run is shown, and the first asset that it did not make; nothing where nobody knows the UI's address."""
    if ui_url is None:
        return {}
    base = ui_url.rstrip("/")
    links = {"its log": f"{base}/runs/{run.run_id}"}
    asset = next((step for step in steps if step in CHAIN), None)
    if asset is not None and PARTITION in run.tags:
        links[asset] = f"{base}/assets/{asset}?view=partitions&partition={quote(run.tags[PARTITION])}"
    return links


def _name(run: dg.DagsterRun) -> str:
    artist, attempt = run.tags.get(PARTITION), run.tags.get(ATTEMPT)
    of_artist = f" of {artist}" if artist else ""
    tried = f", attempt {attempt}" if attempt else ""
    return f"{run.job_name}{of_artist}{tried}, run {run.run_id}"


def _why(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, list[str]]:
    """Return why it failed, and the steps that did, by their assets' names."""
    kinds = {
        *(dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION),
        *(dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.RUN_FAILURE),
    }
    records = instance.get_records_for_run(run.run_id, of_type=kinds).records
    events = [event for record in records if (event := record.event_log_entry.dagster_event) is not None]
    steps = failed_steps(events)
    reason = "; ".join(f"{step}: {reason}" for step, reason in steps) or run_reason(events)
    return reason, [step for step, _ in steps]


def _result(reason: str, seen: _Seen) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=json.dumps(asdict(seen)))
