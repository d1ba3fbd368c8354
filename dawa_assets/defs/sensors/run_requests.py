"""Asking for runs: work in hand is left to its run; what failed is asked for again with growing pauses.

A piece of work has a name that stays the same while the same is to be done. Its runs carry the name as a tag, so how
often it was tried is read from the history of runs: since it was settled last, that is since a run made everything of
it. What fails by its content is tried a few times and stands then, until something about it changes; what fails by its
environment is tried until it passes.

A `run_key` never launches twice in Dagster: it names the run that came before, so that two ticks that see the same ask
for one run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

import dagster as dg

from dawa_assets.defs.jobs import made_by, overlapping
from dawa_assets.defs.partitions import ensure_partitions
from dawa_assets.defs.policies.outcomes import LEFT, failure_kind, noted
from dawa_assets.pipeline.wording import first_of

ATTEMPTS = 3
RUNS_PER_TICK = 50
LOOKED_AT_PER_TICK = 1_000

WORK = ".dagster/dawa_work"
"""Hidden in the UI, as all tags are that begin so: it tells people nothing."""
_EARLIER_WORK = "dawa/work"  # its name in histories of earlier versions
ATTEMPT = "dawa/attempt"
PAUSES = ".dagster/dawa_pauses"
"""How many pauses there were before this run, since the work was settled last."""
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
LONGEST_PAUSE_SECONDS = 3_600.0

_RETRY_SECONDS = 600.0
_A_DAY = 86_400.0
_LOOKS_BACK_SECONDS = 14 * _A_DAY
_BATCH = 100  # pieces of work whose runs are read in one query
_SETTLING_RUNS = 2_000  # of one batch, the latest; what is beyond counts as one that settled nothing
_MAX_NAMED = 5  # of each kind, in the line of a tick


@dataclass(frozen=True)
class WorkItem:
    """A piece of work for one artist; `name` changes when anything that decides it does.

    With `was_tried`, the rows say that it failed before: it is left alone where no run is known that failed by its
    environment. With `is_rest`, it is to be done only as long as its latest run failed: nothing else says so.
    """

    name: str
    slug: str
    tags: dict[str, str] = field(default_factory=dict)
    was_tried: bool = False
    is_rest: bool = False


@dataclass(frozen=True)
class AskingRules:
    """How often what fails by its content is tried; `once`: what went well is not asked for again, whatever is left.

    `alone`: an artist for whom any run is unfinished is left for later; else those whose run makes the same.
    """

    attempts: int = ATTEMPTS
    once: bool = False
    alone: bool = False


@dataclass
class RunPlan:
    """What a tick asks for, and what became of everything else that it looked at, in words.

    `stopped_at` is the last that it looked at; None where it saw all.
    """

    requests: list[dg.RunRequest] = field(default_factory=list)
    in_hand: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    standing: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    stopped_at: WorkItem | None = None

    @property
    def line(self) -> str:
        """What was looked at, on one line; empty for nothing."""
        groups = {
            "asked for": [request.partition_key or "" for request in self.requests],
            "in hand": self.in_hand,
            "waiting": self.waiting,
            "standing": self.standing,
            "done": self.done,
        }
        parts = [f"{len(lines)} {name} ({first_of(lines, _MAX_NAMED)})" for name, lines in groups.items() if lines]
        if self.stopped_at is not None:
            parts.append(f"the next tick goes on after {self.stopped_at.slug}")
        return "; ".join(parts)


@dataclass(frozen=True)
class _Past:
    """The latest run of a piece of work, and whether a later one made all of it."""

    latest: dg.RunRecord | None = None
    is_settled: bool = False


def ask(
    instance: dg.DagsterInstance,
    job_name: str,
    wanted: Iterable[WorkItem],
    now: float,
    rules: AskingRules = AskingRules(),
) -> RunPlan:
    """Requests for pieces of work, without those that a run has in hand, that must wait, or that are given up.

    Looks at a bounded number: those that are given up keep nobody from their turn, the next tick goes on behind them.
    Each artist that is asked for is made sure to be a partition.
    """
    plan, rest, looked_at = RunPlan(), iter(wanted), 0
    while plan.stopped_at is None and (batch := list(islice(rest, _BATCH))):
        past = _past(instance, job_name, batch)
        busy = _busy(instance, None if rules.alone else job_name, [work.slug for work in batch])
        for work in batch:
            looked_at += 1
            if work.slug in busy:
                plan.in_hand.append(f"{work.slug}: {named(busy[work.slug])}")
            else:
                _judge(instance, plan, work, job_name, past.get(work.name, _Past()), now, rules)
            if len(plan.requests) == RUNS_PER_TICK or looked_at == LOOKED_AT_PER_TICK:
                plan.stopped_at = work
                break
    ensure_partitions(instance, [request.partition_key or "" for request in plan.requests])
    return plan


def failed_before(instance: dg.DagsterInstance, job_name: str, tags: dict[str, str], now: float) -> list[WorkItem]:
    """Return what the latest failed run of each artist was asked for: its rest, where nothing else tells of it."""
    failed = dg.RunsFilter(
        job_name=job_name,
        statuses=[dg.DagsterRunStatus.FAILURE],
        updated_after=datetime.fromtimestamp(now - _LOOKS_BACK_SECONDS, UTC),
    )
    rest: dict[str, WorkItem] = {}
    for run in instance.get_runs(failed, limit=LOOKED_AT_PER_TICK):
        if WORK in run.tags and PARTITION in run.tags:
            rest.setdefault(run.tags[PARTITION], WorkItem(run.tags[WORK], run.tags[PARTITION], tags, is_rest=True))
    return list(rest.values())


def left_unmade(instance: dg.DagsterInstance, asset: str, slugs: Sequence[str]) -> dict[str, dg.DagsterRun]:
    """Return, by artist, the latest run that was to make an asset, where it failed."""
    ended = dg.RunsFilter(
        tags={PARTITION: list(slugs)}, statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    )
    latest: dict[str, dg.DagsterRun] = {}
    for run in instance.get_runs(ended, limit=_SETTLING_RUNS) if slugs else ():
        if asset in made_by(run.job_name):
            latest.setdefault(run.tags[PARTITION], run)
    return {slug: run for slug, run in latest.items() if run.status == dg.DagsterRunStatus.FAILURE}


def named(run: dg.DagsterRun) -> str:
    """Return a run as lines name it."""
    return f"run {run.run_id[:8]} ({run.job_name})"


def pause_after(attempt: int) -> float:
    """Seconds between the end of an attempt and the next one: one minute, five, twenty-five, then an hour."""
    return float(min(FIRST_PAUSE_SECONDS * 5 ** (min(attempt, 10) - 1), LONGEST_PAUSE_SECONDS))


def pauses_before(run: dg.DagsterRun) -> int:
    """Return how many pauses there were before a run, since its work was settled last."""
    value = run.tags.get(PAUSES, "")
    return int(value) if value.isdigit() else attempt_of(run) - 1


def attempt_of(run: dg.DagsterRun) -> int:
    """Return which attempt at its work a run is."""
    value = run.tags.get(ATTEMPT, "").partition(" of ")[0]
    return max(int(value), 1) if value.isdigit() else 1


def is_retried(run: dg.DagsterRun, ended: float, now: float) -> bool:
    """Whether Dagster itself is about to try a failed run again, whose process died: it does so within minutes."""
    return run.tags.get(WILL_RETRY) == "true" and RETRIED_BY not in run.tags and now < ended + _RETRY_SECONDS


def result(plan: RunPlan, context: dg.SensorEvaluationContext, nothing: str, cursor: str | None) -> dg.SensorResult:
    """Return the tick's result: its requests, or why there are none.

    What stands failed is told in its log either way.
    """
    for line in plan.standing:
        context.log.warning(line)
    if plan.requests:
        context.log.info(plan.line)
        return dg.SensorResult(run_requests=plan.requests, cursor=cursor)
    return dg.SensorResult(skip_reason=plan.line or nothing, cursor=cursor)


def _judge(
    instance: dg.DagsterInstance,
    plan: RunPlan,
    work: WorkItem,
    job_name: str,
    past: _Past,
    now: float,
    rules: AskingRules,
) -> None:
    """Ask for a piece of work, or say why not."""
    latest, attempt, pauses = past.latest, 1, 0
    if work.is_rest and (past.is_settled or latest is None or latest.dagster_run.is_success):
        return
    if latest is None and work.was_tried:
        plan.standing.append(f"{work.slug}: failed before, and no run is known that says why; start it by hand")
        return
    if latest is not None and not past.is_settled:
        run, status = latest.dagster_run, latest.dagster_run.status
        ended, this = latest.end_time or latest.update_timestamp.timestamp(), attempt_of(run)
        pauses = pauses_before(run) + 1
        if status == dg.DagsterRunStatus.CANCELED:
            plan.standing.append(f"{work.slug}: cancelled by hand (run {run.run_id}); start it by hand")
            return
        if is_retried(run, ended, now):
            plan.waiting.append(f"{work.slug}: Dagster tries {named(run)} again")
            return
        if status == dg.DagsterRunStatus.SUCCESS and rules.once:
            plan.done.append(f"{work.slug}: {named(run)} went well")
            return
        if status == dg.DagsterRunStatus.SUCCESS and not noted(run, LEFT):
            # Nothing was left, and the same is to be done again: at once, but for a loop that nobody foresaw.
            pause, why = pause_after(pauses), "did the same"
            pauses = 0 if now > ended + LONGEST_PAUSE_SECONDS else pauses
        elif status == dg.DagsterRunStatus.SUCCESS and noted(run, LEFT) != "service":
            # A budget, or a text that broke a rule: each try is paid for.
            pause, why = (
                (_A_DAY if this >= rules.attempts else pause_after(this)),
                f"left something: {noted(run, LEFT)}",
            )
            attempt = min(this + 1, rules.attempts)
        elif status == dg.DagsterRunStatus.SUCCESS or failure_kind(instance, run) == "environment":
            pause, why, attempt = pause_after(pauses), "met an outage", this
        elif this >= rules.attempts:
            times = "once" if this == 1 else f"{this} times"
            plan.standing.append(f"{work.slug}: failed {times}, is not asked for again (run {run.run_id})")
            return
        else:
            pause, why, attempt = pause_after(this), "failed", this + 1
        if now < ended + pause:
            until = datetime.fromtimestamp(ended + pause, UTC)
            plan.waiting.append(f"{work.slug}: until {until:%Y-%m-%d %H:%M:%S} UTC, {named(run)} {why}")
            return
    tags = {WORK: work.name, ATTEMPT: f"{attempt} of {rules.attempts}", **work.tags}
    plan.requests.append(
        dg.RunRequest(
            run_key=f"{work.name}/{'1' if latest is None else f'after {latest.dagster_run.run_id}'}",
            partition_key=work.slug,
            job_name=job_name,
            tags=tags | ({PAUSES: str(pauses)} if pauses else {}),
        )
    )


def _past(instance: dg.DagsterInstance, job_name: str, batch: Sequence[WorkItem]) -> dict[str, _Past]:
    """Return, by name, the latest runs of what was tried before."""
    latest: dict[str, dg.RunRecord] = {}
    for tag in (WORK, _EARLIER_WORK):
        for record in instance.get_run_records(dg.RunsFilter(tags={tag: [work.name for work in batch]})):
            name = record.dagster_run.tags[tag]
            if name not in latest or latest[name].storage_id < record.storage_id:
                latest[name] = record
    tried = [work for work in batch if work.name in latest]
    if not tried:
        return {}
    settled: dict[str, int] = {}
    well = dg.RunsFilter(
        tags={PARTITION: [work.slug for work in tried]},
        statuses=[dg.DagsterRunStatus.SUCCESS],
        created_after=min(record.create_timestamp for record in latest.values()),
    )
    for record in instance.get_run_records(well, limit=_SETTLING_RUNS):
        run = record.dagster_run
        if not noted(run, LEFT) and _makes_all(run, job_name):
            settled[run.tags[PARTITION]] = max(settled.get(run.tags[PARTITION], 0), record.storage_id)
    return {
        work.name: _Past(latest[work.name], settled.get(work.slug, 0) > latest[work.name].storage_id) for work in tried
    }


def _makes_all(run: dg.DagsterRun, job_name: str) -> bool:
    """Return whether a run began where a job does, so that it found the same to do."""
    wanted = made_by(job_name)
    return run.asset_selection is None and bool(wanted) and wanted[0] in made_by(run.job_name)


def _busy(instance: dg.DagsterInstance, job_name: str | None, slugs: list[str]) -> dict[str, dg.DagsterRun]:
    """The artists for whom a run of the same assets is unfinished: it will do, or it would be waited for.

    Without a job, those for whom any run is.
    """
    unfinished = instance.get_runs(dg.RunsFilter(tags={PARTITION: slugs}, statuses=UNFINISHED))
    return {run.tags[PARTITION]: run for run in unfinished if job_name is None or overlapping(job_name, run.job_name)}
