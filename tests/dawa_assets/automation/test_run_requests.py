"""Work is asked for again with growing pauses: by its content so many times, through outages until they pass."""

import time
from collections.abc import Callable

import dagster as dg
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.defs.policies.outcomes import failure_kind, kind_of, left_open
from dawa_assets.defs.sensors import run_requests
from dawa_assets.defs.sensors.run_requests import (
    ATTEMPTS,
    LONGEST_PAUSE_SECONDS,
    PAUSES,
    WORK,
    AskingRules,
    RunPlan,
    WorkItem,
    ask,
    pause_after,
    result,
)
from dawa_assets.errors import BusyError
from dawa_assets.segments.tag import TagsReport
from modal_app.errors import InputError, InterruptedJobError, JobError, ServiceError
from resources.errors import BucketError, DatabaseError, NotNowError, ObjectNotFoundError, SettingsError
from tests.dawa_assets.automation.ticks import leave, leave_run

JOB = "prompts_job"
FAILED, SUCCEEDED, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED
LONG = 10.0**7


def asked(instance: dg.DagsterInstance, *work: WorkItem, now: float | None = None) -> list[str]:
    return [request.partition_key or "" for request in ask(instance, JOB, work, now or time.time()).requests]


def test_a_failed_one_waits_longer_each_time_and_then_stands(instance: dg.DagsterInstance) -> None:
    work, now, requests = WorkItem("nova:abc", "nova"), time.time(), []
    for attempt in range(1, ATTEMPTS + 1):
        (request,) = ask(instance, JOB, [work], now).requests
        requests.append(request)
        leave_run(instance, request)
        ended = time.time()
        if attempt < ATTEMPTS:
            assert asked(instance, work, now=ended + pause_after(attempt) - 5) == []
        now = ended + pause_after(attempt) + 5
    numbers = [f"{attempt} of {ATTEMPTS}" for attempt in range(1, ATTEMPTS + 1)]
    assert [request.tags["dawa/attempt"] for request in requests] == numbers
    assert len({request.run_key for request in requests}) == ATTEMPTS
    assert pause_after(1) < pause_after(2) < pause_after(3)
    last = ask(instance, JOB, [work], now + LONG)
    assert last.requests == []
    assert f"nova: failed {ATTEMPTS} times" in last.standing[0]
    assert asked(instance, WorkItem("nova:changed", "nova")) == ["nova"]


@pytest.mark.parametrize(("status", "noted"), [(FAILED, {"failure": "environment"}), (SUCCEEDED, {"left": "service"})])
def test_an_outage_uses_no_attempt_up_however_long(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, noted: dict[str, str]
) -> None:
    work, now, pauses = WorkItem("nova:abc", "nova"), time.time(), []
    for _ in range(2 * ATTEMPTS):
        (request,) = ask(instance, JOB, [work], now).requests
        assert request.tags["dawa/attempt"] == f"1 of {ATTEMPTS}"
        leave_run(instance, request, status, **noted)
        ended = time.time()
        pauses.append(next(s for s in (60, 300, 1500, 3600) if asked(instance, work, now=ended + s + 5)))
        now = ended + pauses[-1] + 5
    assert pauses == [60, 300, 1500, 3600, 3600, 3600]
    for _ in range(ATTEMPTS):
        (request,) = ask(instance, JOB, [work], time.time() + LONG).requests
        leave_run(instance, request)
    assert asked(instance, work, now=time.time() + LONG) == []


def test_a_state_that_comes_back_is_followed_each_time_at_once(instance: dg.DagsterInstance) -> None:
    keys = []
    for name in ("A", "B", "A", "B", "A"):
        (request,) = ask(instance, JOB, [WorkItem(f"nova:{name}", "nova")], time.time()).requests
        assert request.tags["dawa/attempt"] == f"1 of {ATTEMPTS}"
        keys.append(request.run_key)
        leave_run(instance, request, SUCCEEDED)
    assert len(set(keys)) == 5


def test_a_later_success_ends_what_stood_failed(instance: dg.DagsterInstance) -> None:
    work = WorkItem("nova:A", "nova")
    for _ in range(ATTEMPTS):
        leave_run(instance, ask(instance, JOB, [work], time.time() + LONG).requests[0])
    leave(instance, "dataset_job", {"dagster/partition": "nova"}, SUCCEEDED)
    leave(instance, "ingest_job", {"dagster/partition": "other"}, SUCCEEDED)
    assert asked(instance, work, now=time.time() + LONG) == []
    leave(instance, "ingest_job", {"dagster/partition": "nova"}, SUCCEEDED)
    assert asked(instance, work) == ["nova"]


def test_what_is_to_be_done_again_at_once_is_no_endless_loop(instance: dg.DagsterInstance) -> None:
    work = WorkItem("nova:A", "nova")
    for attempt in (1, 2, 3):
        (request,) = ask(instance, JOB, [work], time.time() + pause_after(attempt - 1) + 5).requests
        leave_run(instance, request, SUCCEEDED)
        assert asked(instance, work, now=time.time() + pause_after(attempt) - 5) == []
    later = ask(instance, JOB, [work], time.time() + LONGEST_PAUSE_SECONDS + 5).requests
    assert PAUSES not in later[0].tags


@pytest.mark.parametrize("left", ["budget", "failed"])
def test_a_success_that_leaves_work_is_retried_every_day(instance: dg.DagsterInstance, left: str) -> None:
    work, now = WorkItem("nova:budget", "nova"), time.time()
    for _ in range(ATTEMPTS):
        (request,) = ask(instance, JOB, [work], now).requests
        leave_run(instance, request, SUCCEEDED, left=left)
        now = time.time() + 10_000
    assert asked(instance, work, now=time.time() + 86_000) == []
    assert asked(instance, work, now=time.time() + 87_000) == ["nova"]


def test_what_was_cancelled_by_hand_is_not_started_again(instance: dg.DagsterInstance) -> None:
    work = WorkItem("nova:abc", "nova")
    leave_run(instance, ask(instance, JOB, [work], time.time()).requests[0], CANCELED)
    again = ask(instance, JOB, [work], time.time() + LONG)
    assert again.requests == []
    assert "cancelled by hand" in again.standing[0]


@pytest.mark.parametrize(
    ("job", "is_asked"),
    [("build_job", False), (JOB, False), ("ingest_job", False), ("dataset_job", True), ("x", False)],
)
def test_an_artist_is_left_to_a_run_that_makes_the_same(instance: dg.DagsterInstance, job: str, is_asked: bool) -> None:
    leave(instance, job, {"dagster/partition": "nova"}, dg.DagsterRunStatus.STARTED)
    assert bool(asked(instance, WorkItem("nova:abc", "nova"))) is is_asked
    assert asked(instance, WorkItem("other:abc", "other")) == ["other"]
    assert not ask(instance, JOB, [WorkItem("nova:abc", "nova")], time.time(), AskingRules(alone=True)).requests


def test_what_is_asked_for_once_is_not_repeated(instance: dg.DagsterInstance) -> None:
    once, work = AskingRules(attempts=1, once=True), WorkItem("nova:abc", "nova")
    tried = WorkItem("other:abc", "other", was_tried=True)
    (request,) = ask(instance, JOB, [work], time.time(), once).requests
    leave_run(instance, request, SUCCEEDED)
    again = ask(instance, JOB, [work, tried], time.time() + LONG, once)
    assert (again.requests, len(again.done), len(again.standing)) == ([], 1, 1)
    leave(instance, JOB, {WORK: tried.name, "dawa/failure": "environment"}, FAILED)
    assert [each.partition_key for each in ask(instance, JOB, [tried], time.time() + LONG, once).requests] == ["other"]


def test_the_line_of_a_tick_says_what_became_of_each(instance: dg.DagsterInstance) -> None:
    work = [WorkItem(f"{slug}:x", slug) for slug in ("busy", "waits", "stands", "out")]
    busy = leave(instance, JOB, {"dagster/partition": "busy"}, dg.DagsterRunStatus.STARTED)
    waits, stands, out = ask(instance, JOB, work[1:], time.time()).requests
    leave_run(instance, waits)
    leave_run(instance, stands, CANCELED)
    leave_run(instance, out, failure="environment")
    plan = ask(instance, JOB, work, time.time())
    with dg.build_sensor_context(instance=instance) as context:
        told = str(result(plan, context, "nothing", None).skip_reason)
        assert "nothing new" in str(result(RunPlan(), context, "nothing new", None).skip_reason)
    assert f"1 in hand (busy: run {busy.run_id[:8]} (prompts_job))" in told
    assert "2 waiting (waits: until 20" in told
    assert "(prompts_job) failed, out: until 20" in told
    assert "met an outage" in told
    assert "1 standing (stands: cancelled by hand" in told


def test_two_ticks_that_see_the_same_ask_for_one_run(instance: dg.DagsterInstance) -> None:
    work = WorkItem("nova:abc", "nova")
    keys = [ask(instance, JOB, [work], time.time()).requests[0].run_key for _ in range(2)]
    assert keys[0] == keys[1]
    leave_run(instance, ask(instance, JOB, [work], time.time()).requests[0])
    later = {ask(instance, JOB, [work], time.time() + LONG).requests[0].run_key for _ in range(2)}
    assert len(later) == 1
    assert later.isdisjoint(keys)


def test_a_tick_is_bounded_and_the_next_goes_on_where_it_stopped(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_requests, "LOOKED_AT_PER_TICK", 30)
    monkeypatch.setattr(run_requests, "RUNS_PER_TICK", 10)
    given_up = [WorkItem(f"a{number:03}:x", f"a{number:03}") for number in range(30)]
    for work in given_up:
        leave(instance, JOB, {WORK: work.name, "dawa/attempt": "1 of 1"}, CANCELED)
    fresh = [WorkItem(f"b{number:03}:x", f"b{number:03}") for number in range(12)]
    first = ask(instance, JOB, given_up + fresh, time.time())
    assert (first.requests, first.stopped_at) == ([], given_up[-1])
    second = ask(instance, JOB, fresh, time.time())
    assert [request.partition_key for request in second.requests] == [work.slug for work in fresh[:10]]
    assert second.stopped_at == fresh[9]
    assert "30 standing" in first.line
    assert "and 25 more" in first.line
    assert set(instance.get_dynamic_partitions("artist")) == {work.slug for work in fresh[:10]}


def broken_off() -> DatabaseError:
    error = DatabaseError("the connection broke off")
    error.__cause__ = psycopg.OperationalError("server closed the connection")
    return error


KINDS = [
    (broken_off, "environment"),
    (lambda: BucketError("no answer"), "environment"),
    (lambda: ObjectNotFoundError("gone"), "content"),
    (lambda: ServiceError("no credit"), "environment"),
    (lambda: NotNowError("the budget of $1.00 is used up"), "environment"),
    (lambda: SettingsError("DAWA_BASE: none of this name"), "environment"),
    (lambda: BusyError("somebody else"), "environment"),
    (lambda: InterruptedJobError("the worker was killed"), "environment"),
    (lambda: OSError(28, "no space left on device"), "environment"),
    (lambda: JobError("the loss is no number"), "content"),
    (lambda: InputError("no such file"), "content"),
    (lambda: ValueError("a mistake of ours"), "content"),
]


@pytest.mark.parametrize(("make", "kind"), KINDS)
def test_the_kind_of_a_failure_is_read_of_runs_without_a_note(
    instance: dg.DagsterInstance, make: Callable[[], Exception], kind: str
) -> None:
    assert kind_of(make()) == kind

    @dg.op
    def step() -> None:
        raise dg.Failure("told in one line") from make()

    @dg.job(name=JOB)
    def job() -> None:
        step()

    failed = job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={WORK: "nova:abc", "dawa/attempt": "3 of 3", "dagster/partition": "nova"},
    )
    run = instance.get_run_by_id(failed.run_id)
    assert run is not None
    assert failure_kind(instance, run) == kind
    assert bool(asked(instance, WorkItem("nova:abc", "nova"), now=time.time() + LONG)) is (kind == "environment")


def test_a_history_of_an_earlier_version_is_read_on(instance: dg.DagsterInstance) -> None:
    earlier = {"dagster/partition": "nova", "dawa/work": "nova:abc", "dawa/attempt": "1 of 3"}
    leave(instance, "build_job", earlier, CANCELED)
    work = WorkItem("nova:abc", "nova")
    assert "cancelled by hand" in ask(instance, "upload_job", [work], time.time() + LONG).standing[0]
    leave(instance, "build_job", {**earlier, "dawa/attempt": "of what"}, FAILED)
    (request,) = ask(instance, "upload_job", [work], time.time() + LONG).requests
    assert request.tags["dawa/attempt"] == f"1 of {ATTEMPTS}"


def test_a_run_that_was_killed_met_an_outage(instance: dg.DagsterInstance) -> None:
    killed = leave(instance, JOB, {WORK: "nova:abc", "dawa/attempt": "3 of 3"}, FAILED)
    assert failure_kind(instance, killed) == "environment"
    assert asked(instance, WorkItem("nova:abc", "nova"), now=time.time() + LONG) == ["nova"]


@pytest.mark.parametrize(
    ("deferred", "failed", "left"),
    [
        ([], [], None),
        ([("a", "the budget of $1.00 is used up"), ("b", "the limit of 5 calls is used up")], [], "budget"),
        ([("a", "the budget of $1.00 is used up"), ("b", "503; tried 5 times")], [("c", "no text")], "service"),
        ([], [("c", "no text")], "failed"),
    ],
)
def test_what_a_report_leaves_open_is_noted(
    deferred: list[tuple[str, str]], failed: list[tuple[str, str]], left: str | None
) -> None:
    report = object.__new__(TagsReport)
    object.__setattr__(report, "deferred", deferred)
    object.__setattr__(report, "failed", failed)
    assert left_open(report) == left


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([FAILED, SUCCEEDED, CANCELED]), st.floats(0, 10**6)), max_size=7))
def test_run_keys_are_never_reused_and_failures_are_bounded(
    history: list[tuple[dg.DagsterRunStatus, float]],
) -> None:
    work, keys, in_a_row = WorkItem("nova:abc", "nova"), [], 0
    with dg.DagsterInstance.ephemeral() as instance:
        for status, later in history:
            for request in ask(instance, JOB, [work], time.time() + later).requests:
                keys.append(request.run_key)
                in_a_row = in_a_row + 1 if status == FAILED else 0
                assert in_a_row <= ATTEMPTS
                leave_run(instance, request, status)
    assert len(set(keys)) == len(keys)
