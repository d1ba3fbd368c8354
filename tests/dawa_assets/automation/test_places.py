"""Runs of the command line wait for their place in the pools, and the queue counts them."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from dawa_assets.defs.policies import places
from dawa_assets.defs.policies.launcher import HOST
from dawa_assets.defs.policies.places import begin_run
from dawa_assets.defs.run import run_job
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.automation.daemon import ROOT
from tests.dawa_assets.automation.ticks import origin
from tests.given_pipeline import GivenPipeline
from tests.waiting import until

TAGS = {"dagster/partition": "nova", HOST: os.uname().nodename}


@dg.op(pool="gpu")
def train() -> None:
    pass


@dg.job
def training() -> None:
    train()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setattr(places, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(places, "SETTLE_SECONDS", 0.2)
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def begin(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return begin_run(instance, training, TAGS, {})


def queued(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.create_run_for_job(
        job_def=training, remote_job_origin=origin("training"), status=dg.DagsterRunStatus.QUEUED
    )


def holding(instance: dg.DagsterInstance) -> int:
    return instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]))


def test_two_at_once_never_take_the_same_place(instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture) -> None:
    first, most = begin(instance), []

    def one_after_the_other() -> None:
        run = begin(instance)
        most.append(holding(instance))
        instance.report_run_canceled(run)

    others = [threading.Thread(target=one_after_the_other) for _ in range(3)]
    for other in others:
        other.start()
    line = f"nova: training waits for a place in `gpu`: run {first.run_id} (training of nova) has it"
    until(lambda: sum(line in record.getMessage() for record in caplog.records) == len(others))
    assert holding(instance) == 1
    instance.report_run_canceled(first)
    for other in others:
        other.join(120)
    assert most == [1, 1, 1]


def test_the_queue_counts_what_the_command_line_holds(instance: dg.DagsterInstance) -> None:
    run, waiting = begin(instance), queued(instance)
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    config = instance.get_concurrency_config()
    assert daemon._get_runs_to_dequeue(instance, config, fixed_iteration_time=None) == []
    instance.report_run_canceled(run)
    chosen = daemon._get_runs_to_dequeue(instance, config, fixed_iteration_time=None)
    assert [each.run_id for each in chosen] == [waiting.run_id]


def test_what_the_queue_had_chosen_before_goes_first(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(places, "SETTLE_SECONDS", 600.0)
    chosen = queued(instance)
    begun: list[dg.DagsterRun] = []
    thread = threading.Thread(target=lambda: begun.append(begin(instance)))
    thread.start()
    until(lambda: holding(instance) == 1)  # its own record
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", "training"), run_id=chosen.run_id)
    until(lambda: f"run {chosen.run_id}" in caplog.text)
    assert holding(instance) == 1
    instance.report_run_canceled(chosen)
    thread.join(120)
    assert holding(instance) == 1
    assert len(begun) == 1


def test_a_place_whose_process_is_gone_is_free(instance: dg.DagsterInstance) -> None:
    code = (
        "import os, signal, sys, dagster as dg\n"
        "from tests.dawa_assets.automation.test_places import begin\n"
        "begin(dg.DagsterInstance.from_config(sys.argv[1]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, instance.root_directory], cwd=ROOT, check=False, timeout=240)
    assert holding(instance) == 1
    begin(instance)
    assert holding(instance) == 2


def test_a_build_does_its_other_steps_and_then_waits_to_train(
    instance: dg.DagsterInstance, ports: Ports, artist: Artist, caplog: pytest.LogCaptureFixture
) -> None:
    somebody = begin(instance)
    results = []
    build = threading.Thread(
        target=lambda: results.append(run_job(instance, GivenPipeline(ports), "build_job", artist.slug))
    )
    with caplog.at_level(logging.WARNING):
        build.start()
        until(lambda: f"{artist.slug}: training_job waits for a place in `gpu`: run {somebody.run_id}" in caplog.text)
    done = instance.get_runs(dg.RunsFilter(job_name="upload_job", statuses=[dg.DagsterRunStatus.SUCCESS]))
    assert len(done) == 1
    assert instance.get_runs_count(dg.RunsFilter(job_name="training_job")) == 0  # nothing that a kill would leave
    instance.report_run_canceled(somebody)
    build.join(240)
    (result,) = results
    assert (result.success, result.failures) == (True, [])
    assert result.materialised[0] == "als_summaries"
    assert result.materialised[-1] == "lora_preview"
