"""A run's files between the worker and the bucket: kept with verified hashes, given back, and installed.

The bucket has the adapter; what lies under the data root is a copy that may be deleted.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dawa_assets.pipeline.job_progress import logged
from dawa_assets.tables.training_runs import Run
from modal_app.data_root.digests import sha256_file
from modal_app.errors import JobCancelledError, JobError, RefusedJobError
from modal_app.protocol.base import JobRequest, JobResult
from modal_app.protocol.training import InstallRequest, InstallResult
from modal_app.training.milestones import step_of
from resources.compute.base import CallRecord
from resources.ports import Ports

log = logging.getLogger(__name__)

_PEFT_WEIGHTS = "adapter_model.safetensors"
_R = TypeVar("_R", bound=JobResult)


@dataclass(frozen=True)
class RunFile:
    """One file of a run: its key in the bucket, its size in bytes and its SHA-256."""

    key: str
    size: int
    sha256: str


def run_folder(slug: str, run: Run) -> str:
    """Return the run's folder in the bucket."""
    return f"artists/{slug}/loras/{run.id}"


def persist_files(
    ports: Ports, slug: str, run: Run, files: dict[str, str], finish: Callable[[str, Path], Path] | None = None
) -> list[RunFile]:
    """Copy a run's files (name in its folder → SHA-256) from the worker into the bucket.

    `finish` is given each name and file, and gives the one that is kept in its place, in the same folder.

    Raises:
        JobError: a file is not there, or its bytes are not those that the worker reported.
    """
    kept = []
    for name, expected in sorted(files.items()):
        with temporary_folder(ports) as folder:
            local = folder / "file"
            ports.compute.fetch(f"{_place(run)}/{name}", local)
            if sha256_file(local) != expected:
                raise JobError(f"{_place(run)}/{name}: was changed after the training; run it again")
            if finish is not None:
                local = finish(name, local)
            key = f"{run_folder(slug, run)}/{name}"
            ports.bucket.put(key, local)
            kept.append(RunFile(key, local.stat().st_size, expected))
    return kept


def are_kept(ports: Ports, slug: str, run: Run) -> bool:
    """Return whether the bucket has every file of a done run, each with its recorded size."""
    files = run.metrics.get("files", {})
    return bool(files) and all(
        (stored := ports.bucket.stat(f"{run_folder(slug, run)}/{name}")) is not None
        and stored.size == run.metrics["sizes"][name]
        for name in files
    )


def install(ports: Ports, slug: str, run: Run) -> InstallResult:
    """Put a done run's adapter under the two paths of the specification; `promotion.py` says when.

    Where the worker can't (its data root was deleted), it is given the run's files from the bucket and asked again.

    Raises:
        JobError: it can't be installed.
    """
    request = InstallRequest(run_id=str(run.id), producer_id=slug, model_name=run.model_name)
    return ask_with_files(ports, slug, request, [run], "install")


def ask_with_files(
    ports: Ports,
    slug: str,
    request: JobRequest[_R],
    runs: Sequence[Run],
    purpose: str,
    record: CallRecord | None = None,
    *,
    with_milestones: bool = False,
    is_refusal_final: bool = False,
) -> _R:
    """Ask the worker; where it can't, give it these runs' files from the bucket and ask again.

    Args:
        ports: the worker and the bucket.
        slug: the artist's.
        request: what is asked.
        runs: whose files it needs; none: nothing could be given.
        purpose: what the log calls the job.
        record: keeps what the calls cost.
        with_milestones: whether it needs the first run's milestones too.
        is_refusal_final: whether what it says a person can fix is never for want of a file.

    Raises:
        JobCancelledError: it was told to stop.
        JobError: it can't do it with the files either.
    """
    try:
        return ports.compute.run(request, logged(purpose), record)
    except JobCancelledError:
        raise
    except JobError as error:
        if not runs or (is_refusal_final and isinstance(error, RefusedJobError)):
            raise
        names = ", ".join(str(run.id) for run in runs)
        log.info("%s: the worker can't with run %s (%s); files are restored from the bucket", purpose, names, error)
    for run in runs:
        _restore_files(ports, slug, run, with_milestones=with_milestones and run is runs[0])
    return ports.compute.run(request, logged(purpose), record)


def _restore_files(ports: Ports, slug: str, run: Run, *, with_milestones: bool) -> None:
    """Give the worker a done run's files from the bucket; the adapters of milestones only where they are needed."""
    for name in run.metrics["files"]:
        if step_of(name) is not None and not with_milestones:
            continue
        with ports.bucket.open(f"{run_folder(slug, run)}/{name}") as stream:
            ports.compute.store(f"{_place(run)}/{name}", stream)


def names_in(run: Run, files: dict[str, str]) -> dict[str, str]:
    """Return the worker's list of files (path under the data root → SHA-256) by their names in the run's folder."""
    return {path.removeprefix(f"{_place(run)}/"): sha256 for path, sha256 in files.items()}


def main_adapter(files: dict[str, str]) -> str:
    """Return the name of the adapter in the generator's own format.

    Raises:
        JobError: the training left none.
    """
    weights = sorted(name for name in files if name.endswith(".safetensors"))
    own = [name for name in weights if name.rpartition("/")[2] != _PEFT_WEIGHTS and step_of(name) is None]
    if not weights:
        raise JobError("the training left no adapter; look into the worker's log and run it again")
    return (own or weights)[0]


@contextmanager
def temporary_folder(ports: Ports) -> Iterator[Path]:
    """A folder on this machine for the length of the block, under the home: the system's may be small."""
    parent = ports.settings.home / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def _place(run: Run) -> str:
    """Return the run's folder under the data root."""
    return f"runs/{run.id}"
