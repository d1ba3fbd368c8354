"""How a run ended, as far as it decides whether and when the same is asked for again.

What failed by its environment (a disk, a network, a database, a service, a process that was killed) says nothing
against what was to be done, and passes. What failed by its content fails again. Which it was is noted on the run where
the step fails; for runs that nothing was noted of, of an earlier version for instance, it is read from their events.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import dagster as dg
import psycopg
from dagster_shared.error import SerializableErrorInfo

from dawa_assets.errors import BusyError, LostLeaseError
from modal_app.errors import (
    InterruptedJobError,
    LicenceError,
    MissingBaseError,
    QueueFullError,
    ServiceError,
    TryLaterError,
    UnreachableError,
)
from resources.errors import (
    BucketError,
    DatabaseError,
    InvalidKeyError,
    NotNowError,
    ObjectNotFoundError,
    PromptWriterError,
    SettingsError,
)

FAILURE = "dawa/failure"
"""On a failed run: `environment` or `content`."""
LEFT = "dawa/left"
"""On a run that left something open: `service` did not answer, a `budget` was used up, or something `failed` alone."""

PUT_OFF = "dawa/put-off/"
"""Before an asset's name, on a run that put off a part of it: how much, and why."""

_NOTED_BY = ".dagster/dawa_noted"
"""Which run noted these. A run that repeats another one begins with that one's tags, which say nothing about it."""

FailureKind = Literal["environment", "content"]
Left = Literal["service", "budget", "failed"]

_ENVIRONMENT: tuple[type[BaseException], ...] = (
    DatabaseError,
    BucketError,
    PromptWriterError,
    ServiceError,
    NotNowError,
    TryLaterError,
    QueueFullError,
    UnreachableError,
    InterruptedJobError,
    BusyError,
    LostLeaseError,
    # What is set or installed is the same for every artist, and is put right in one place.
    SettingsError,
    MissingBaseError,
    LicenceError,
    OSError,
    MemoryError,
    psycopg.OperationalError,
    dg.DagsterExecutionInterruptedError,
)
_MAX_TAG = 240
_CONTENT = (InvalidKeyError, ObjectNotFoundError, FileNotFoundError)


def kind_of(error: BaseException) -> FailureKind:
    """Return what an error, or what caused it, says about the next try."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _ENVIRONMENT) and not isinstance(cause, _CONTENT):
            return "environment"
        cause = cause.__cause__
    return "content"


def failure_kind(instance: dg.DagsterInstance, run: dg.DagsterRun) -> FailureKind:
    """Return by what a failed run failed."""
    match noted(run, FAILURE):
        case "environment":
            return "environment"
        case "content":
            return "content"
    if noted(run, LEFT) in ("service", "budget"):  # a check found the lack of what was put off
        return "environment"
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    events = [record.event_log_entry.dagster_event for record in records]
    errors = [event.step_failure_data.error for event in events if event is not None]
    names = _environment_names()
    # No step failed: the process was killed, or never started.
    return "environment" if all(names & set(_names(error)) for error in errors) else "content"


def note_failure(instance: dg.DagsterInstance, run_id: str, error: BaseException) -> None:
    """Note on a run that is about to fail by what it does."""
    if (run := instance.get_run_by_id(run_id)) is not None:
        _note(instance, run, {FAILURE: kind_of(error)})


def left_open(report: object) -> Left | None:
    """Return what a report says that it left open, by the first reason that passes by waiting; None for nothing."""
    if deferred := _deferred(report):
        return "budget" if all(reason.endswith("used up") for _, reason in deferred) else "service"
    return "failed" if getattr(report, "failed", ()) else None


def note_left(instance: dg.DagsterInstance, run_id: str, asset: str, report: object) -> None:
    """Note on a run that a step of it left something open; a reason that passes stays, whatever a later step left."""
    left = left_open(report)
    run = instance.get_run_by_id(run_id) if left is not None else None
    if left is None or run is None:
        return
    tags: dict[str, str] = {LEFT: left} if noted(run, LEFT) in ("", "failed") else {}
    if deferred := _deferred(report):
        tags[f"{PUT_OFF}{asset}"] = f"{len(deferred)} put off: {deferred[0][1]}"[:_MAX_TAG]
    if tags:
        _note(instance, run, tags)


def put_off(instance: dg.DagsterInstance, run_id: str, asset: str) -> str | None:
    """Return how much of an asset a run put off, and why; None for nothing."""
    run = instance.get_run_by_id(run_id)
    return None if run is None else noted(run, f"{PUT_OFF}{asset}") or None


def noted(run: dg.DagsterRun, tag: str) -> str:
    """Return what a run noted of itself; empty for nothing."""
    return run.tags.get(tag, "") if run.tags.get(_NOTED_BY, run.run_id) == run.run_id else ""


def _note(instance: dg.DagsterInstance, run: dg.DagsterRun, tags: dict[str, str]) -> None:
    """Note something on a run, in the place of what the run noted that it repeats."""
    notes = [tag for tag in run.tags if tag in (FAILURE, LEFT) or tag.startswith(PUT_OFF)]
    inherited = {tag: "" for tag in notes if not noted(run, tag)}
    instance.add_run_tags(run.run_id, {**inherited, **tags, _NOTED_BY: run.run_id})


def _deferred(report: object) -> Sequence[tuple[str, str]]:
    deferred: Sequence[tuple[str, str]] = getattr(report, "deferred", ())
    return deferred


def _names(error: SerializableErrorInfo | None) -> Iterator[str]:
    while error is not None:
        if error.cls_name is not None:
            yield error.cls_name
        error = error.cause


def _environment_names() -> set[str]:
    """Return the names of the environment's errors, with all that are below them."""
    found: set[type[BaseException]] = set()
    open_classes = list(_ENVIRONMENT)
    while open_classes:
        each = open_classes.pop()
        if each not in found and not issubclass(each, _CONTENT):
            found.add(each)
            open_classes += each.__subclasses__()
    return {each.__name__ for each in found}
