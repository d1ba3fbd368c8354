"""Running the chain from outside the UI: the same jobs on the same instance, so that its history shows there."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from dawa_assets.definitions import build_defs
from dawa_assets.defs.failed_runs import failed_steps
from dawa_assets.defs.launcher import HOST
from dawa_assets.defs.partitions import ensure_partitions
from dawa_assets.defs.resources import Pipeline

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class BuildResult:
    """How a run of a job ended; `failures` are one line for each step that failed."""

    run_id: str
    success: bool
    materialised: list[str]
    failures: list[str]


def open_instance(home: Path) -> dg.DagsterInstance:
    """The Dagster instance of this home (`make ui` opens the same), made with the project's dagster.yaml.

    One process at a time: Dagster makes its SQLite tables without asking whether another is making them too.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    config = _CHECKOUT / "dagster.yaml"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if config.is_file():
            shutil.copyfile(config, folder / "dagster.yaml.part")
            (folder / "dagster.yaml.part").replace(folder / "dagster.yaml")
        return dg.DagsterInstance.from_config(str(folder))


def run_job(instance: dg.DagsterInstance, pipeline: Pipeline, job_name: str, slug: str) -> BuildResult:
    """Run one job for one artist in this process.

    Raises:
        UnknownArtistError: there is no artist of this slug.
    """
    from dawa_assets.artists.store import get_artist

    database = pipeline.ports().database
    with database.transaction() as connection:
        get_artist(connection, slug)
    ensure_partitions(instance, [slug])
    job = build_defs({"pipeline": pipeline}).resolve_job_def(job_name)
    result = job.execute_in_process(
        instance=instance,
        partition_key=slug,
        raise_on_error=False,
        tags={HOST: os.uname().nodename},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return BuildResult(
        run_id=result.run_id,
        success=result.success,
        materialised=[
            event.asset_key.to_user_string()
            for event in result.all_events
            if event.is_step_materialization and event.asset_key is not None
        ],
        failures=[f"{step}: {reason}" for step, reason in failed_steps(result.all_events)],
    )
