"""Work is asked for again with growing pauses, so many times, and nobody starves behind what is given up."""

import time
from collections.abc import Iterator

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.defs.sensors import run_requests
from dawa_assets.defs.sensors.run_requests import ATTEMPTS, WorkItem, ask, pause_after
from tests.dawa_assets.automation.ticks import leave, leave_run

JOB = "prompts_job"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def asked(instance: dg.DagsterInstance, *work: WorkItem, now: float | None = None) -> list[str]:
    return [request.run_key or "" for request in ask(instance, JOB, work, now or time.time()).requests]


def test_a_failed_one_waits_longer_each_time_and_then_stands(instance: dg.DagsterInstance) -> None:
    work, now, keys = WorkItem("nova:abc", "nova"), time.time(), []
    for attempt in range(1, ATTEMPTS + 1):
        (request,) = ask(instance, JOB, [work], now).requests
        keys.append(request.run_key)
        leave_run(instance, request)
        ended = time.time()
        if attempt < ATTEMPTS:
            assert asked(instance, work, now=ended + pause_after(attempt) - 5) == []
        now = ended + pause_after(attempt) + 5
    assert keys == [f"nova:abc/{attempt}" for attempt in range(1, ATTEMPTS + 1)]
    assert pause_after(1) < pause_after(2) < pause_after(3)
    last = ask(instance, JOB, [work], now + 10**7)
    assert last.requests == []
    assert f"nova: failed {ATTEMPTS} times" in last.standing[0]
    assert asked(instance, WorkItem("nova:changed", "nova")) == ["nova:changed/1"]


def test_a_success_that_leaves_work_is_retried_every_day(instance: dg.DagsterInstance) -> None:
    work, now = WorkItem("nova:budget", "nova"), time.time()
    for _ in range(ATTEMPTS):
        (request,) = ask(instance, JOB, [work], now).requests
        leave_run(instance, request, dg.DagsterRunStatus.SUCCESS)
        now = time.time() + 10_000
    assert asked(instance, work, now=time.time() + 86_000) == []
    assert asked(instance, work, now=time.time() + 87_000) == [f"nova:budget/{ATTEMPTS + 1}"]


def test_what_was_cancelled_by_hand_is_not_started_again(instance: dg.DagsterInstance) -> None:
    work = WorkItem("nova:abc", "nova")
    leave_run(instance, ask(instance, JOB, [work], time.time()).requests[0], dg.DagsterRunStatus.CANCELED)
    again = ask(instance, JOB, [work], time.time() + 10**7)
    assert again.requests == []
    assert "cancelled by hand" in again.standing[0]


@pytest.mark.parametrize(
    ("job", "is_asked"),
    [("build_job", False), (JOB, False), ("ingest_job", False), ("dataset_job", True), ("x", False)],
)
def test_an_artist_is_left_to_a_run_that_makes_the_same(instance: dg.DagsterInstance, job: str, is_asked: bool) -> None:
    leave(instance, job, {"dagster/partition": "nova"}, dg.DagsterRunStatus.STARTED)
    assert bool(asked(instance, WorkItem("nova:abc", "nova"))) is is_asked
    assert asked(instance, WorkItem("other:abc", "other")) == ["other:abc/1"]


def test_two_ticks_that_see_the_same_ask_for_one_run(instance: dg.DagsterInstance) -> None:
    work = WorkItem("nova:abc", "nova")
    assert asked(instance, work) == asked(instance, work) == ["nova:abc/1"]


def test_a_tick_is_bounded_and_the_next_goes_on_where_it_stopped(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_requests, "LOOKED_AT_PER_TICK", 30)
    monkeypatch.setattr(run_requests, "RUNS_PER_TICK", 10)
    given_up = [WorkItem(f"a{number:03}:x", f"a{number:03}") for number in range(30)]
    for work in given_up:
        leave(instance, JOB, {"dawa/work": work.name, "dawa/attempt": "1 of 1"}, dg.DagsterRunStatus.CANCELED)
    fresh = [WorkItem(f"b{number:03}:x", f"b{number:03}") for number in range(12)]
    first = ask(instance, JOB, given_up + fresh, time.time())
    assert (first.requests, first.stopped_at) == ([], given_up[-1])
    second = ask(instance, JOB, fresh, time.time())
    assert [request.partition_key for request in second.requests] == [work.slug for work in fresh[:10]]
    assert second.stopped_at == fresh[9]
    assert set(instance.get_dynamic_partitions("artist")) == {work.slug for work in fresh[:10]}


STATUSES = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STATUSES), st.floats(0, 10**6)), max_size=7))
def test_run_keys_are_never_reused_and_failures_are_bounded(
    history: list[tuple[dg.DagsterRunStatus, float]],
) -> None:
    work, keys, failures = WorkItem("nova:abc", "nova"), [], 0
    with dg.DagsterInstance.ephemeral() as instance:
        for status, later in history:
            for request in ask(instance, JOB, [work], time.time() + later).requests:
                keys.append(request.run_key)
                failures += status == dg.DagsterRunStatus.FAILURE
                leave_run(instance, request, status)
    assert len(set(keys)) == len(keys)
    assert failures <= ATTEMPTS + sum(status == dg.DagsterRunStatus.SUCCESS for status, _ in history)
