"""What is tried again within a run, who takes a place in a pool, and how a run whose process died is seen."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus

from dawa_assets.defs.code_location import build_defs
from dawa_assets.defs.partitions import artists, ensure_partitions
from dawa_assets.defs.policies import retries
from dawa_assets.defs.policies.launcher import HOST, WatchedRunLauncher
from dawa_assets.defs.step import run_step
from dawa_assets.errors import BusyError, LostLeaseError
from dawa_assets.tables.artists import Artist
from modal_app.errors import InputError, JobError, ServiceError
from resources.errors import BucketError, DatabaseError
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.automation.daemon import ROOT

_BROKEN_OFF = DatabaseError("the connection broke off")
_BROKEN_OFF.__cause__ = psycopg.OperationalError("server closed the connection")


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (BusyError("x"), 3),
        (LostLeaseError("x"), 3),
        (_BROKEN_OFF, 3),
        (DatabaseError("wrong password"), 1),
        (BucketError("refused"), 1),
        (JobError("x"), 1),
        (ServiceError("x"), 1),
        (InputError("x"), 1),
        (ValueError("a mistake of ours"), 1),
    ],
)
def test_only_what_passes_by_waiting_is_tried_again(
    instance: dg.DagsterInstance,
    ports: Ports,
    artist: Artist,
    error: Exception,
    calls: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retries, "PAUSE_SECONDS", 0.01)
    made = []

    def work(_ports: Ports, slug: str) -> None:
        made.append(slug)
        raise error

    @dg.asset(partitions_def=artists)
    def thing(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        return run_step(context, ports, work)

    ensure_partitions(instance, [artist.slug])
    result = dg.materialize([thing], instance=instance, partition_key=artist.slug, raise_on_error=False)
    assert not result.success
    assert len(made) == calls


@pytest.mark.parametrize("hosted", [False, True])
def test_only_what_asks_a_service_or_uses_a_gpu_is_in_a_pool(settings: Settings, hosted: bool) -> None:
    chosen = {"prompt_writer": "openai", "tagger": "gemini"} if hosted else {}
    graph = build_defs(settings.model_copy(update=chosen)).resolve_asset_graph()
    used = {key.to_user_string(): graph.get(key).pools for key in graph.materializable_asset_keys}
    pools = {asset: names for asset, names in used.items() if names}
    gpu = {asset: {"gpu"} for asset in ("lora_weights", "lora_evaluation", "lora_preview")}
    assert pools == gpu | ({"prompts": {"openai"}, "segment_tags": {"gemini"}} if hosted else {})


def started(instance: dg.DagsterInstance, pid: int, tags: dict[str, str]) -> dg.DagsterRun:
    """The record of a run that said that it is executed by this process."""
    run = instance.create_run_for_job(
        job_def=dg.job(name="stand_in")(lambda: None), tags=tags, status=dg.DagsterRunStatus.STARTED
    )
    instance.report_engine_event("Started process for run.", run, EngineEventData.in_process(pid))
    return run


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[WatchedRunLauncher]:
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, WatchedRunLauncher)
        yield instance.run_launcher


HERE = {HOST: os.uname().nodename}


@pytest.mark.parametrize("tags", [HERE, {".dagster/grpc_info": "{}"}])
def test_a_run_whose_process_has_gone_is_seen(launcher: WatchedRunLauncher, tags: dict[str, str]) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = started(launcher._instance, child.pid, tags)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    child.kill()
    child.wait()
    assert launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND


def test_what_can_not_be_known_counts_as_running(launcher: WatchedRunLauncher) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for tags in ({}, {HOST: "another-machine"}):
        run = started(launcher._instance, gone.pid, tags)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
