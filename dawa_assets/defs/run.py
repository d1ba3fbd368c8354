"""Running the chain from outside the UI: the same jobs on the same instance, so that its history shows there."""

import fcntl
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.launcher import RunLauncher

from dawa_assets.defs.code_location import build_defs
from dawa_assets.defs.failed_runs import failed_steps
from dawa_assets.defs.inputs import report_inputs
from dawa_assets.defs.jobs import parts_of
from dawa_assets.defs.partitions import ensure_partitions
from dawa_assets.defs.policies.launcher import HOST, WatchedRunLauncher
from dawa_assets.defs.policies.places import begin_run
from dawa_assets.defs.resources import OpensPorts
from modal_app.data_root.atomic_writes import write_atomic
from modal_app.errors import DawaError
from resources.errors import SettingsError
from resources.settings import Settings

log = logging.getLogger(__name__)

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class BuildResult:
    """How a run of a job ended; `failures` are one line for each step that failed.

    A job that was run in parts has a run for each that began.
    """

    run_ids: list[str]
    success: bool
    materialised: list[str]
    failures: list[str]

    @property
    def run_id(self) -> str:
        """The run that ended last."""
        return self.run_ids[-1]


def keeps_history_here(settings: Settings) -> bool:
    """Return whether the Dagster instance is the project's own, under its home."""
    return settings.dagster_folder == (settings.home / "dagster").resolve()


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance that `make ui` opens too: that of DAGSTER_HOME, or else the one under the project's home.

    One that is under the home, or that is new, gets the project's dagster.yaml; what somebody else set up stays so.
    One process at a time: Dagster makes its SQLite tables without asking whether another is making them too.

    Raises:
        SettingsError: the instance can't be opened.
    """
    folder, config = settings.dagster_folder, _CHECKOUT / "dagster.yaml"
    target = folder / "dagster.yaml"
    is_ours = keeps_history_here(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if config.is_file() and (is_ours or not target.exists()):
                write_atomic(target, config.read_bytes())
            return dg.DagsterInstance.from_config(str(folder))
    except (OSError, dg.DagsterError) as error:
        raise SettingsError(
            f"DAGSTER_HOME: the instance in {folder} can't be opened ({type(error).__name__}); "
            "`dagster instance info` says why, another folder or none at all is taken as well"
        ) from error


def run_job(instance: dg.DagsterInstance, pipeline: OpensPorts, job_name: str, slug: str) -> BuildResult:
    """Run one job for one artist in this process; the whole chain in two parts, since only its end waits for a GPU.

    Where a pool has no place, the part that needs it is waited with, and for whom is logged.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        SettingsError: this instance's runs are containers, and it would take one that is none for dead.
    """
    if instance.run_monitoring_enabled and not _leaves_alone(instance.run_launcher):
        raise SettingsError(
            "DAGSTER_HOME: this instance starts its runs elsewhere, and would end one in this process; "
            "start it in the UI, or take DAGSTER_HOME away"
        )
    from dawa_assets.tables.artists import get_artist

    database = pipeline.ports().database
    with database.transaction() as connection:
        get_artist(connection, slug)
    ensure_partitions(instance, [slug])
    try:
        report_inputs(instance, pipeline.ports(), [slug])
    except DawaError as error:  # it is for the pages alone; a step that needs the same says it, and tries again
        log.warning("%s: what arrived is not on the pages: %s", slug, error)
    defs = build_defs(pipeline.ports().settings, {"pipeline": pipeline})
    run_ids: list[str] = []
    materialised: list[str] = []
    for part in parts_of(job_name):
        result = _run_part(instance, defs.resolve_job_def(part), slug)
        run_ids += result.run_ids
        materialised += result.materialised
        if not result.success:
            break
    return replace(result, run_ids=run_ids, materialised=materialised)


def _run_part(instance: dg.DagsterInstance, job: dg.JobDefinition, slug: str) -> BuildResult:
    tags = {**job.run_tags, **job.get_tags_for_partition_key(slug, None), HOST: os.uname().nodename}
    run = begin_run(instance, job, tags, {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}})
    result = execute_run(InMemoryJob(job), run, instance, raise_on_error=False)
    return BuildResult(
        run_ids=[result.run_id],
        success=result.success,
        materialised=[
            event.asset_key.to_user_string()
            for event in result.all_events
            if event.is_step_materialization and event.asset_key is not None
        ],
        failures=[f"{step}: {reason}" for step, reason in failed_steps(result.all_events)],
    )


def _leaves_alone(launcher: RunLauncher) -> bool:
    """Return whether a launcher knows of runs that it did not start itself, or looks after none."""
    return isinstance(launcher, WatchedRunLauncher) or not launcher.supports_check_run_worker_health
