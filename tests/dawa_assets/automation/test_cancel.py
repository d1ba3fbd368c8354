"""A training that is cancelled in the UI stops its worker, frees its place, and goes on when it is asked for again."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import psutil
import pytest

from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.run import run_job
from dawa_assets.intake.inbox import upload
from resources.ports import Ports
from tests.campaigns.small_artist import NAME, SLUG, compose
from tests.dawa_assets.automation.daemon import ROOT, Daemon
from tests.waiting import until_gone

STEPS = {"train_steps": "400", "train_validate_every": "20", "preview_seconds": "1"}


def worker_of(daemon: Daemon) -> list[psutil.Process]:
    """The processes of worker jobs below the daemon."""
    found = []
    for process in daemon.processes():
        try:
            if not {"modal_app.worker.process", "modal_app.worker.forkserver"}.isdisjoint(process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def held_leases(ports: Ports) -> list[str]:
    with ports.database.transaction() as connection:
        return [row["step"] for row in connection.execute("select step from leases where expires_at > now()")]


def checkpoints(home: Path) -> list[Path]:
    return [path for path in (home / "data" / "runs").rglob("*") if "checkpoint" in path.name]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_cancelled_training_stops_and_goes_on_later(
    daemon: Daemon, home_ports: Ports, daemon_home: Path, tmp_path: Path
) -> None:
    pipeline = Pipeline(overrides={"home": str(daemon_home), **STEPS})
    upload(home_ports, NAME, compose(tmp_path / "files"))
    for job in ("ingest_job", "dataset_job"):
        assert run_job(daemon.instance, pipeline, job, SLUG).success
    daemon.environment |= {f"DAWA_{name.upper()}": value for name, value in STEPS.items()} | {"DAWA_RETRAIN": "true"}
    daemon.start()
    daemon.until(lambda: bool(checkpoints(daemon_home)))
    (run,) = daemon.instance.get_runs(dg.RunsFilter(job_name="training_job"))
    workers = worker_of(daemon)
    assert workers
    assert "training" in held_leases(home_ports)
    assert daemon.instance.run_coordinator.cancel_run(run.run_id)
    until_gone(workers)
    daemon.until(lambda: daemon.instance.get_run_by_id(run.run_id).is_finished)  # type: ignore[union-attr]
    assert daemon.instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED  # type: ignore[union-attr]
    assert held_leases(home_ports) == []
    assert checkpoints(daemon_home)
    launched = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "dagster",
                "job",
                "launch",
                "-m",
                "tests.dawa_assets.automation.quick_location",
                "-d",
                str(ROOT),
            ),
            *("-j", "training_job", "--tags", f'{{"dagster/partition": "{SLUG}"}}'),
        ],
        env=daemon.everything(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert launched.returncode == 0, launched.stderr
    daemon.until(lambda: all(each.is_finished for each in daemon.instance.get_runs()), seconds=400)
    again, first = daemon.instance.get_runs(dg.RunsFilter(job_name="training_job"))
    assert first.run_id == run.run_id
    assert again.status == dg.DagsterRunStatus.SUCCESS
    with home_ports.database.transaction() as connection:
        rows = connection.execute("select state, metrics from training_runs").fetchall()
    assert [row["state"] for row in rows] == ["done"]
    resumed = [entry for entry in daemon.instance.all_logs(again.run_id) if "going on after step" in entry.user_message]
    assert resumed, "the training began anew"
