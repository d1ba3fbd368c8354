"""A mistake in the settings: one line in the UI and in `dawa doctor`; what is queued waits until it is mended."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.launcher import LaunchRunContext
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_shared.error import SerializableErrorInfo

from dawa_assets.defs.failed_runs import failed_runs
from dawa_assets.defs.jobs import build_job
from dawa_assets.defs.location_error import diagnose_location
from resources.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
CRON = "DAWA_NIGHTLY_CRON: is no cron expression of five fields, such as `0 3 * * *`; "
CRON += "mend it in the environment or in .env"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of one machine, as the project's file sets it up."""
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def queued(instance: dg.DagsterInstance, slug: str) -> dg.DagsterRun:
    """A run of `build_job` as a sensor's request leaves it."""
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("dawa_assets"), "__repository__"), build_job.name
    )
    run = instance.create_run_for_job(
        dg.job(name=build_job.name)(lambda: None), tags={"dagster/partition": slug}, remote_job_origin=origin
    )
    instance.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
    return run


@pytest.mark.filterwarnings("ignore:Error loading:UserWarning")
def test_queued_runs_wait_until_the_settings_are_fixed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launched: list[str] = []

    def launch(self: dg.DefaultRunLauncher, context: LaunchRunContext) -> None:
        assert self is instance.run_launcher
        assert context.workspace is not None
        context.workspace.get_code_location("dawa_assets")
        launched.append(context.dagster_run.run_id)

    def look(hours: int) -> dict[str, dg.DagsterRunStatus]:
        """Let the queue be looked at some times, in that hour; the runs that are still in it."""
        for minutes in range(0, 60, 20):
            list(daemon.run_iteration(context, fixed_iteration_time=now + 3_600 * hours + 60 * minutes))
        return {run.run_id: run.status for run in instance.get_runs() if run.run_id not in launched}

    monkeypatch.setattr(dg.DefaultRunLauncher, "launch_run", launch)
    monkeypatch.setenv("DAWA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAWA_NIGHTLY_CRON", "every night")
    runs = [queued(instance, slug) for slug in ("nova", "other")]
    waiting = {run.run_id: dg.DagsterRunStatus.QUEUED for run in runs}
    daemon, now = QueuedRunCoordinatorDaemon(interval_seconds=1), time.time()
    target = ModuleTarget("dawa_assets.definitions", None, str(ROOT), "dawa_assets")
    with WorkspaceProcessContext(instance, target) as context:
        error = context.create_request_context().get_code_location_entries()["dawa_assets"].load_error
        assert error is not None
        assert (error.message, error.stack, error.cause) == (f"{CRON}; then reload the location", [], None)
        assert look(0) == waiting

        monkeypatch.delenv("DAWA_NIGHTLY_CRON")  # mended, and not loaded again
        assert look(1) == waiting

        context.reload_code_location("dawa_assets")
        assert look(2) == {}
        assert sorted(launched) == sorted(waiting)

        monkeypatch.setenv("DAWA_TRAIN_STEPS", "many")  # wrong, and the code server has loaded before
        late = queued(instance, "nova")
        assert look(3) == {late.run_id: dg.DagsterRunStatus.QUEUED}


def test_the_doctor_says_it_before_anything_is_queued(tmp_path: Path) -> None:
    wrong = diagnose_location(Settings(home=tmp_path, nightly_cron="every night"))
    assert (wrong.part, wrong.state, wrong.detail) == ("code location", "error", CRON)
    right = diagnose_location(Settings(home=tmp_path))
    assert right.state == "ok"
    assert "assets, " in right.detail


def test_a_reason_is_read_from_the_engine_where_the_run_has_none(instance: dg.DagsterInstance) -> None:
    run = queued(instance, "nova")
    cause = SerializableErrorInfo(f"{CRON}\nand more", [], "SettingsError")
    error = SerializableErrorInfo("Failure loading dawa_assets\n", [], "DagsterCodeLocationLoadError", cause)
    instance.report_engine_event("Run dequeue failed", run, EngineEventData.engine_error(error))
    instance.report_run_failed(run)
    (failed,) = failed_runs(instance)
    assert (failed.slug, failed.asset, failed.reason) == ("nova", "als_summaries", CRON)
