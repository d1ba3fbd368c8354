"""Taking in an adapter that another program trained: a run like those of trainings, which says that it is none.

It is never the candidate of automation, which is the current dataset's own training: it is judged when it is imported,
on the current dataset, and published by a person alone.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from dawa_assets.pipeline.job_progress import logged
from dawa_assets.pipeline.step import Step, artist_step
from dawa_assets.tables import lora_evaluations, training_runs
from dawa_assets.tables.artists import resolve_artist
from dawa_assets.tables.datasets import current_dataset
from dawa_assets.tables.lora_evaluations import Evaluation
from dawa_assets.tables.training_runs import Run
from dawa_assets.training.adapters import are_kept, main_adapter, names_in, persist_files, run_folder, temporary_folder
from dawa_assets.training.evaluation import is_rival, measure_run
from dawa_assets.training.gpu_usage import GpuMeter, cost_usd
from modal_app.adapters.foreign import ForeignAdapter, fingerprint_of, read_foreign
from modal_app.adapters.tensor_file import write_arrays
from modal_app.config import BackendKind
from modal_app.errors import DawaError, InputError, JobCancelledError
from modal_app.protocol.training import ImportLoraRequest, Origin
from modal_app.training.import_lora import IMPORTED
from resources.ports import Ports

_MAX_AUTHOR = 200
_DECISION = "not promoted: it was imported, so a person decides; `dawa lora promote` publishes it"


@dataclass(frozen=True)
class LoraImport:
    """What became of it. Without an evaluation, `not_judged` says why."""

    artist: str
    run: Run
    changed: bool
    """Whether it was not there before."""
    adapter: ForeignAdapter
    evaluation: Evaluation | None
    not_judged: str | None


def import_lora(ports: Ports, name: str, source: Path, *, author: str) -> LoraImport:
    """Take in a safetensors file or a PEFT folder as a run of an artist (slug, id or name), and judge it.

    The same files are taken in once; where they are there and were not judged, that is done now.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: the files are no adapter that can be taken in, or do not fit the base of the settings.
        BusyError: another process trains or evaluates for this artist and did not end in time.
        JobError: the worker could not do it.
    """
    settings = ports.settings
    if settings.backend != BackendKind.ACE_STEP:
        raise InputError(f"{settings.backend}: only adapters of ACE-Step can be imported; set DAWA_BACKEND=ace_step")
    if not author.strip() or len(author) > _MAX_AUTHOR or not author.isprintable():
        raise InputError(f"author: must be one line of at most {_MAX_AUTHOR} printable characters; give another")
    with ports.database.transaction() as connection:
        artist = resolve_artist(connection, name)
    adapter = read_foreign(source)
    origin = Origin(files=adapter.files, scale=adapter.scale, base=adapter.base, imported_by=author)
    with artist_step(ports, artist, "training") as step:
        run, changed = _run_of(step, adapter, origin)
    with artist_step(ports, artist, "evaluation") as step:
        evaluation, not_judged = _judged(step, run)
    return LoraImport(artist.slug, run, changed, adapter, evaluation, not_judged)


def _run_of(step: Step, adapter: ForeignAdapter, origin: Origin) -> tuple[Run, bool]:
    """Return the done run of these files, and whether it is new."""
    ports, settings, artist = step.ports, step.ports.settings, step.artist
    with ports.database.transaction() as connection:
        step.held.check(connection)
        run = training_runs.claim_run(
            connection,
            artist,
            None,
            _fingerprint(ports, adapter),
            backend=settings.backend,
            base=settings.base,
            model_name=settings.model_name,
            parameters={"rank": adapter.rank, "targets": adapter.targets, "imported": origin.model_dump(mode="json")},
        )
    if run.state == "done" and are_kept(ports, artist.slug, run):
        return run, False
    with ports.database.transaction() as connection:
        step.held.check(connection)
        training_runs.start_run(connection, run, None)
    try:
        return _take_in(step, run, adapter, origin), True
    except JobCancelledError:
        raise  # the row stays `running`; the same files take it over
    except DawaError as error:
        with ports.database.transaction() as connection:
            step.held.check(connection)
            if not training_runs.forget_run(connection, run):
                training_runs.fail_run(connection, run, str(error))
        raise


def _take_in(step: Step, run: Run, adapter: ForeignAdapter, origin: Origin) -> Run:
    ports, artist, meter = step.ports, step.artist, GpuMeter()
    with temporary_folder(ports) as folder:
        write_arrays(folder / IMPORTED, adapter.weights, {})
        with (folder / IMPORTED).open("rb") as stream:
            ports.compute.store(f"runs/{run.id}/{IMPORTED}", stream)
    request = ImportLoraRequest(
        run_id=str(run.id),
        producer_id=artist.slug,
        model_name=run.model_name,
        backend=BackendKind(run.backend),
        base=run.base,
        rank=adapter.rank,
        targets=adapter.targets,
        trigger_word=adapter.trigger_word,
        origin=origin,
        base_revision=None if adapter.card is None else adapter.card.base_revision,
    )
    result = ports.compute.run(request, logged("import"), meter)
    files = names_in(run, result.files)
    kept = persist_files(ports, artist.slug, run, files)
    metrics = {
        "files": files,
        "sizes": dict(zip(sorted(files), (file.size for file in kept), strict=True)),
        "imported": origin.model_dump(mode="json"),
        "trainable_parameters": result.trainable_parameters,
        "gpu_seconds": meter.gpu_seconds,
        "cost_usd": cost_usd(ports.settings, meter.gpu_seconds),
    }
    with ports.database.transaction() as connection:
        step.held.check(connection)
        training_runs.finish_run(connection, run, run_folder(artist.slug, run), files[main_adapter(files)], metrics)
        return training_runs.get_run(connection, run.id)


def _judged(step: Step, run: Run) -> tuple[Evaluation | None, str | None]:
    """Return what is found of a run on the current dataset, or why nothing is."""
    ports, artist = step.ports, step.artist
    with ports.database.transaction() as connection:
        known = lora_evaluations.find_evaluation(connection, run)
        dataset = current_dataset(connection, artist.id)
        promoted = training_runs.promoted_run(connection, artist, run.model_name)
    if known is not None:
        return known, None
    if dataset is None:
        return None, "there is no dataset to judge it by"
    rival = promoted if promoted is not None and is_rival(promoted, run) else None
    measure_run(ports, artist, step.held, run, rival, GpuMeter())
    with ports.database.transaction() as connection:
        step.held.check(connection)
        lora_evaluations.decide(connection, run, _DECISION)
        return lora_evaluations.find_evaluation(connection, run), None


def _fingerprint(ports: Ports, adapter: ForeignAdapter) -> str:
    """Return SHA-256 of what decides the run: the files, and what they are put on."""
    settings = ports.settings
    content = ["imported", fingerprint_of(adapter), settings.backend, settings.base, settings.model_name]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
