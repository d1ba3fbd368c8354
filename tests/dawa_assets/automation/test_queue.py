"""What the queue starts next: uploads before all, the background one by one, trainings for nobody's time but theirs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from dawa_assets.defs.code_location import build_defs
from dawa_assets.defs.policies.priorities import BACKFILL, NIGHTLY, TRAINING, UPLOAD
from resources.settings import Settings
from tests.dawa_assets.automation.daemon import ROOT
from tests.dawa_assets.automation.ticks import origin

BACKFILLS = 40
Queue = Callable[..., dg.DagsterRun]


@pytest.fixture(scope="module")
def jobs() -> dict[str, dg.JobDefinition]:
    """The jobs where both services are used."""
    defs = build_defs(Settings(prompt_writer="openai", tagger="gemini"))
    return {name: defs.resolve_job_def(name) for name in ("prompts_job", "dataset_job", "upload_job", "training_job")}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def queue(instance: dg.DagsterInstance, jobs: dict[str, dg.JobDefinition]) -> Queue:
    first: dict[str, dg.DagsterRun] = {}

    def leave(job: str, slug: str, tags: dict[str, str], *, started: bool = False) -> dg.DagsterRun:
        """The others as the first of its job: what is the same of all takes a while to be made."""
        if job not in first:
            first[job] = instance.create_run_for_job(job_def=jobs[job], remote_job_origin=origin(job))
        status = dg.DagsterRunStatus.STARTED if started else dg.DagsterRunStatus.QUEUED
        tags = {"dagster/partition": slug, **tags}
        return instance.add_run(first[job]._replace(run_id=make_new_run_id(), tags=tags, status=status))

    return leave


def chosen(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """What the queue would start now."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    return daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=None)


def start(instance: dg.DagsterInstance) -> list[str]:
    """Start what the queue would, and say for whom."""
    runs = chosen(instance)
    for run in runs:
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", run.job_name), run_id=run.run_id)
    return [run.tags["dagster/partition"] for run in runs]


def test_an_upload_waits_behind_no_backfill_night_or_training(instance: dg.DagsterInstance, queue: Queue) -> None:
    for number in range(BACKFILLS):
        queue("prompts_job", f"a{number}", {"dawa/backfill": "schema version 2.0", **BACKFILL})
        queue("dataset_job", f"a{number}", {"dawa/nightly": "2026-11-21", **NIGHTLY})
    queue("training_job", "nova", TRAINING, started=True)
    queue("training_job", "other", TRAINING)
    first = instance.get_run_by_id(chosen(instance)[0].run_id)
    assert first is not None
    assert start(instance) == ["a0"]  # one night's run; no other one in the background, and no second training
    queue("upload_job", "nova", UPLOAD)  # the artist whose training it is, too
    assert start(instance) == []  # both pools are needed, and one is taken by that one run
    instance.report_run_canceled(first)
    assert start(instance) == ["nova"]


def test_backfills_of_an_earlier_version_leave_a_place(instance: dg.DagsterInstance, queue: Queue) -> None:
    for number in range(BACKFILLS):
        queue("dataset_job", f"a{number}", {"dawa/backfill": "schema version 2.0"})
    assert len(start(instance)) == 1
    queue("upload_job", "nova", {})
    queue("prompts_job", "by-hand", {})
    assert start(instance) == ["by-hand"]


def test_by_hand_comes_before_the_night_and_after_uploads(instance: dg.DagsterInstance, queue: Queue) -> None:
    queue("training_job", "trains", TRAINING)
    queue("prompts_job", "rewritten", BACKFILL)
    queue("dataset_job", "nightly", NIGHTLY)
    queue("dataset_job", "by-hand", {})
    queue("upload_job", "uploaded", UPLOAD)
    order = []
    while runs := chosen(instance):
        order.append(runs[0].tags["dagster/partition"])
        instance.report_run_canceled(runs[0])
    assert order == ["uploaded", "by-hand", "nightly", "rewritten", "trains"]
