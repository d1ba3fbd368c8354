"""A run's milestones: the one that was chosen becomes its adapter, and those that nobody chooses among any more go.

What was chosen is on record with the evaluation before a file is touched, and the run's row follows last. Whoever is
killed in between leaves a run whose evaluation names another step than its row: the next one does the same again.
"""

import logging

from dawa_assets.tables import run_milestones, training_runs
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.training_runs import Run
from dawa_assets.training.adapters import ask_with_files, main_adapter, names_in, persist_files, run_folder
from dawa_assets.training.gpu_usage import GpuMeter
from modal_app.config import BackendKind
from modal_app.protocol.evaluation import EvaluateResult, KeepCheckpointRequest
from resources.ports import Ports

log = logging.getLogger(__name__)


def milestones_of(run: Run) -> list[int]:
    """Return the steps whose adapters are kept beside a run's; none of one from before there were any."""
    steps: list[int] = run.metrics.get("milestones", [])
    return steps


def keep_chosen(ports: Ports, artist: Artist, held: Lease, run: Run, found: EvaluateResult, meter: GpuMeter) -> Run:
    """Make the milestone that an evaluation chose the run's adapter, if it is not; gives the run as it is then.

    Raises:
        JobError: the milestone's file is neither with the worker nor in the bucket.
    """
    step, strength = found.chosen_step, found.chosen_strength
    is_kept = (step, strength) == (run.metrics.get("kept_step"), run.metrics.get("strength", 1.0))
    if step is None or is_kept or step not in milestones_of(run):
        return run
    request = KeepCheckpointRequest(
        run_id=str(run.id),
        producer_id=artist.slug,
        model_name=run.model_name,
        backend=BackendKind(run.backend),
        step=step,
        strength=strength,
    )
    result = ask_with_files(ports, artist.slug, request, [run], "evaluation", meter, with_milestones=True)
    files = names_in(run, result.files)
    kept = persist_files(ports, artist.slug, run, files)
    sizes = dict(zip(sorted(files), (file.size for file in kept), strict=True))
    with ports.database.transaction() as connection:
        held.check(connection)
        run_milestones.replace_adapter(
            connection, run, files[main_adapter(files)], files=files, sizes=sizes, step=step, strength=strength
        )
        log.info("run %s: its adapter is that of step %d now, at strength %g", run.id, step, strength)
        return training_runs.get_run(connection, run.id)


def drop_milestones(ports: Ports, artist: Artist, held: Lease, model_name: str) -> int:
    """Delete the milestones of runs that are neither the candidate nor published; returns of how many runs.

    A row has none of them before they are deleted, and what is to be deleted on record until it is.
    """
    with ports.database.transaction() as connection:
        held.check(connection)
        runs = run_milestones.begin_dropping(connection, artist, model_name)
    for run in runs:
        ports.bucket.delete([f"{run_folder(artist.slug, run)}/{name}" for name in run.metrics["dropping"]])
        with ports.database.transaction() as connection:
            held.check(connection)
            run_milestones.end_dropping(connection, run)
    return len(runs)
