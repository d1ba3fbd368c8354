"""Taking a deleted artist out of Dagster: their partition, their runs, and every event and tick that tells of them.

Every step finds its work by a query, so that whoever is killed anywhere goes on when they begin anew.
"""

import json
import time
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
import sqlalchemy as sa
from dagster._core.scheduler.instigation import TickStatus

from dawa_assets.defs.history import (
    CHECKS,
    EVENTS,
    FINISHED,
    RUNS_AT_ONCE,
    TICKS,
    batches,
    correct_assets,
    count_events,
    event_rows,
    has_value,
    naive_utc,
    names,
    of_checks,
    of_partition,
    remove_checks,
    remove_events,
    remove_runs,
    remove_ticks,
    tick_rows,
)
from dawa_assets.defs.partitions import forget_partition

_PARTITION = "dagster/partition"


@dataclass(frozen=True)
class Forgotten:
    """What was taken out, or would be; `is_all` is false while a run of the artist's is queued or under way."""

    runs: int
    events: int
    ticks: int
    is_all: bool

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name, without those that are 0."""
        counts = {"runs": self.runs, "events": self.events, "ticks": self.ticks}
        return {name: count for name, count in counts.items() if count}


class RunHistory:
    """An artist's history in one Dagster instance, for who deletes the artist."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def count(self, slug: str) -> dict[str, int]:
        """Count what tells of an artist."""
        return count_history(self._instance, slug).counts

    def forget(self, slug: str, before: datetime | None) -> None:
        """Take out what tells of an artist; see `forget_artist`. Without `before` they are no partition any more."""
        forget_artist(self._instance, slug, before)
        if before is None:
            forget_partition(self._instance, slug)


def count_history(instance: dg.DagsterInstance, slug: str) -> Forgotten:
    """Count the runs, events and ticks that tell of an artist; changes nothing."""
    runs = instance.get_runs(dg.RunsFilter(tags={_PARTITION: slug}))
    events = sum(count_events(instance, run.run_id) for run in runs)
    own = {run.run_id for run in runs}
    others = event_rows(instance, sa.select(EVENTS.c.run_id).where(of_partition(instance, slug)))
    events += sum(row.run_id not in own for row in others)
    is_named = has_value(slug)
    naming = event_rows(instance, sa.select(EVENTS.c.run_id, EVENTS.c.event).where(*_for_everybody(instance, slug)))
    events += sum(row.run_id not in own and is_named(row.event) for row in naming)
    is_all = all(run.status in FINISHED for run in runs)
    return Forgotten(len(runs), events, len(_ticks(instance, slug, None)), is_all)


def forget_artist(
    instance: dg.DagsterInstance, slug: str, before: datetime | None = None, until: float | None = None
) -> Forgotten:
    """Remove the runs of an artist with all that belongs to them, and other events, checks and ticks that name them.

    Args:
        instance: where.
        slug: whose.
        before: only what is older: somebody else may have the slug since. None: all.
        until: when to stop and leave the rest to another call (seconds of `time.monotonic`).

    A run that is queued or under way is left: it ends by itself, since nothing is committed for a deleted artist.
    """
    runs = instance.get_runs(dg.RunsFilter(tags={_PARTITION: slug}, created_before=before))
    finished = [run.run_id for run in runs if run.status in FINISHED]
    events = removed = 0
    for batch in batches(finished, RUNS_AT_ONCE):
        if until is not None and time.monotonic() >= until:
            break
        events += sum(count_events(instance, run_id) for run_id in batch)
        remove_runs(instance, batch)
        removed += len(batch)
    is_all = removed == len(runs)
    left = [run.run_id for run in runs if run.status not in FINISHED]
    older = [EVENTS.c.timestamp < naive_utc(before)] if before is not None else []
    older.append(EVENTS.c.run_id.not_in(left))
    events += remove_events(instance, [of_partition(instance, slug), *older])
    events += remove_events(instance, [*_for_everybody(instance, slug), *older], has_value(slug))
    remove_checks(instance, _checks(instance, slug, before, left))
    ticks = _ticks(instance, slug, before)
    remove_ticks(instance, ticks)
    correct_assets(instance)
    return Forgotten(removed, events, len(ticks), is_all)


def _for_everybody(instance: dg.DagsterInstance, slug: str) -> list[sa.ColumnElement[bool]]:
    """Events that may name this artist in their texts: checks, and the page of what needs attention.

    A sensor reports them, or somebody's run has them, another artist's even.
    """
    either = sa.or_(of_partition(instance, None), of_checks())
    return [either, EVENTS.c.event.contains(slug, autoescape=True)]


def _checks(instance: dg.DagsterInstance, slug: str, before: datetime | None, left: list[str]) -> list[int]:
    """Evaluations of the artist's, and those for all artists that name them."""
    text = CHECKS.c.evaluation_event
    query = sa.select(CHECKS.c.id, CHECKS.c.partition, text).where(
        sa.or_(CHECKS.c.partition == slug, CHECKS.c.partition.is_(None) & text.contains(slug, autoescape=True)),
        sa.or_(CHECKS.c.run_id.is_(None), CHECKS.c.run_id.not_in(left)),
    )
    if before is not None:
        query = query.where(CHECKS.c.evaluation_event_timestamp < naive_utc(before))
    is_named = has_value(slug)
    return [row.id for row in event_rows(instance, query) if row.partition == slug or is_named(row.evaluation_event)]


def _ticks(instance: dg.DagsterInstance, slug: str, before: datetime | None) -> list[tuple[int, list[str] | None]]:
    """Finished ticks of sensors and schedules that name the artist, in what they asked for, said or logged."""
    query = sa.select(TICKS.c.id, TICKS.c.tick_body).where(
        sa.or_(TICKS.c.tick_body.contains(slug, autoescape=True), TICKS.c.tick_body.contains('"log_key": [')),
        TICKS.c.status != TickStatus.STARTED.value,
    )
    if before is not None:
        query = query.where(TICKS.c.timestamp < naive_utc(before))
    is_named, found = names(slug), []
    for row in tick_rows(instance, query):
        log_key = json.loads(row.tick_body).get("log_key")
        if is_named(row.tick_body) or (log_key and is_named(_logged(instance, log_key))):
            found.append((row.id, log_key))
    return found


def _logged(instance: dg.DagsterInstance, log_key: list[str]) -> str:
    """Return what a tick logged; empty where that is kept elsewhere."""
    logged = instance.compute_log_manager.get_log_data(log_key)
    return b"".join(part or b"" for part in (logged.stdout, logged.stderr)).decode(errors="replace")
