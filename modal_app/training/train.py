"""The `train` job: one adapter from segments and captions, into `runs/<run_id>/`. The steps themselves are `loop.py`'s.

While it trains, the run's folder holds its checkpoint and its log; a job that was stopped, in whatever way, goes on
from there when it is asked for again. When it is done the checkpoint is gone and `result.json` says what is there.
"""

import hashlib
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from modal_app.adapters.card import AdapterCard
from modal_app.backends.base import TrainBackend
from modal_app.backends.licence import require_licence
from modal_app.backends.shared_base import LentBase, lent_base
from modal_app.data_root.atomic_writes import write_atomic
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import locked, scratch_folder, sweep
from modal_app.errors import InputError, JobError
from modal_app.protocol.base import Event
from modal_app.protocol.training import TrainRequest, TrainResult
from modal_app.training.caption_rule import trigger_word_in
from modal_app.training.checkpoint import Checkpoints
from modal_app.training.data import load_examples, step_data
from modal_app.training.devices import device_name, peak_bytes, watch_peak
from modal_app.training.latent_cache import prune
from modal_app.training.loop import LoopResult, LoopState, run_loop
from modal_app.training.loss_plot import draw_losses
from modal_app.training.milestones import FOLDER, milestone_name
from modal_app.training.run_log import EVENTS, RunLog
from modal_app.training.split import Split, split_by_song
from modal_app.training.tracks import crop_data, load_tracks, segments_of

_RESULT = "result.json"
MAX_VALIDATED = 64  # segments: a validation is not to cost more than the steps between two of them
_OCCASION: dict[str, bool | set[str]] = {
    "dataset_fingerprint": True,  # another dataset with the same examples is the same training
    "parameters": {"licence_accepted"},  # decides whether, not what
}


def train(request: TrainRequest, root: DataRoot, emit: Callable[[Event], None]) -> TrainResult:
    """Train one adapter. On a CPU the same request gives the same bytes, however often it is stopped and goes on.

    A run that is there whole is not repeated.

    Raises:
        InputError: nothing to train on.
        MissingBaseError: the base can't be loaded.
        LicenceError: the base forbids commercial use, and nobody agreed to that.
        JobError: a segment is missing, the loss was no number before any adapter was good, memory does not suffice, or
            the run or its checkpoint is another training's.
    """
    import torch

    sweep(root.scratch())
    done = _finished_run(request, root, emit)
    if done:
        return done
    if not request.examples:
        raise InputError(f"{request.producer_id}: there are no segments to train on; upload music first")
    try:
        return _train(request, root, emit)
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise JobError(f"{request.base}: out of GPU memory ({reason}); use a smaller base, or a larger GPU") from None


def _train(request: TrainRequest, root: DataRoot, emit: Callable[[Event], None]) -> TrainResult:
    started = time.monotonic()

    emit(Event(kind="log", message=f"loading {request.backend} ({request.base})"))
    with lent_base(request.backend, request.base) as lent:
        if lent.saved_seconds is not None:
            message = f"the base is there from the training before, which took {lent.saved_seconds:.1f} s to load it"
            emit(Event(kind="log", message=message))
        return _train_on(lent, request, root, emit, started)


def _train_on(
    lent: LentBase, request: TrainRequest, root: DataRoot, emit: Callable[[Event], None], started: float
) -> TrainResult:
    # 1. The base model, and the examples as it sees them.
    backend = lent.backend
    watch_peak(backend.device)
    require_licence(backend.base, request.parameters.licence_accepted)
    if backend.base.name == "tiny":
        emit(Event(kind="log", level="warning", message="the base `tiny` has random weights: this LoRA makes no music"))
    tracks = load_tracks(request, backend, root, emit) if request.parameters.clip_seconds else None
    examples = load_examples(request, backend, root, emit) if tracks is None else segments_of(tracks, backend)
    prune(root, () if tracks is None else tracks.files.values())

    # 2. What is held out, to judge the adapter by.
    split = split_by_song(request.examples, request.parameters.validation_share, request.parameters.seed)
    emit(Event(kind="log", level="info" if split.held_out else "warning", message=split.line))
    held_out = [examples[index] for index in evenly(split.held_out, MAX_VALIDATED)]
    if tracks is None:
        prepare = step_data(request, examples, split.training, backend)
    else:
        prepare = crop_data(tracks, split.training, backend)

    # 3. The steps; nobody else works on this run meanwhile.
    run = root.run(request.run_id)
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        done = _finished_run(request, root, emit)  # by somebody else, meanwhile
        if done:
            return done
        checkpoints = Checkpoints(run, root.scratch(), _belongs_to(request, backend))
        outcome = run_loop(
            LoopState(
                backend=backend,
                parameters=request.parameters,
                prepare=prepare,
                held_out=held_out,
                started=started,
                checkpoints=checkpoints,
                open_log=lambda length: RunLog(run, length),
                emit=emit,
            )
        )

        # 4. What it leaves: the result comes last but for the checkpoint's end, so a run is done or it goes on.
        result = _leave(request, root, lent, outcome, split, checkpoints)
        checkpoints.clear()
    return result


def evenly(indices: Sequence[int], most: int) -> list[int]:
    """At most so many of the indices, from everywhere among them."""
    count = min(len(indices), most)
    return [indices[place * len(indices) // count] for place in range(count)]


def _finished_run(request: TrainRequest, root: DataRoot, emit: Callable[[Event], None]) -> TrainResult | None:
    """Return the result of this run if it is there whole.

    Raises:
        JobError: it is another training's.
    """
    run = root.run(request.run_id)
    try:
        result = TrainResult.model_validate_json((run / _RESULT).read_bytes())
        whole = all(sha256_file(root.root / path) == digest for path, digest in result.files.items())
    except (OSError, ValidationError):
        return None
    if not whole:
        return None
    if result.request != _asked(request):
        raise JobError(f"run {request.run_id} is there already and was asked for with another request; rename one")
    emit(Event(kind="log", message=f"run {request.run_id} is there already, nothing is trained again"))
    Checkpoints(run, root.scratch(), {}).clear()  # of a call that was killed at its very end
    return result


def _asked(request: TrainRequest) -> str:
    return hashlib.sha256(request.model_dump_json(exclude=_OCCASION).encode()).hexdigest()


def _belongs_to(request: TrainRequest, backend: TrainBackend) -> dict[str, str]:
    """Return what must be the same for a training to go on exactly."""
    versions = backend.versions() | {"python": platform.python_version()}
    return {
        "request": _asked(request)[:16],
        "base": f"{request.backend}/{backend.base.name} {backend.base.revision}",
        "device": backend.device.type,
        "set of versions": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    }


def _leave(
    request: TrainRequest,
    root: DataRoot,
    lent: LentBase,
    outcome: LoopResult,
    split: Split,
    checkpoints: Checkpoints,
) -> TrainResult:
    """Adapter in both formats, milestones, card, log and picture, in the run's folder."""
    run, backend = root.run(request.run_id), lent.backend
    card = _card(request, backend, outcome, split)
    first_loss, final_loss = _first_and_last(outcome.log.losses)
    validations = outcome.log.validations
    with scratch_folder(root.scratch()) as folder:
        backend.export(folder, card)
        (folder / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
        title = f"{request.producer_id} · {request.model_name}"
        draw_losses(outcome.log.losses, validations, outcome.kept_step, title, folder / "loss.png")
        milestones = _export_milestones(folder, backend, outcome, card, checkpoints)
        (run / FOLDER).mkdir(exist_ok=True)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        for name in names:
            (folder / name).replace(run / name)
        place = run.relative_to(root.root).as_posix()
        progress = outcome.progress
        result = TrainResult(
            request=_asked(request),
            files={f"{place}/{name}": sha256_file(run / name) for name in sorted([*names, EVENTS])},
            steps=progress.step,
            losses=outcome.log.losses,
            first_loss=first_loss,
            final_loss=final_loss,
            trainable_parameters=card.trainable_parameters,
            seconds=progress.seconds,
            stopped_because=outcome.stopped_because,
            split=split.line,
            held_out=split.songs,
            validations=validations,
            base_validation_loss=card.base_validation_loss,
            best_validation_loss=card.best_validation_loss,
            kept_step=outcome.kept_step,
            milestones=milestones,
            samples_per_second=progress.samples / progress.step_seconds,
            steps_waited=progress.steps_waited,
            device=device_name(backend.device),
            peak_bytes=peak_bytes(backend.device),
            base_seconds=round(lent.seconds, 3),
            base_seconds_saved=None if lent.saved_seconds is None else round(lent.saved_seconds, 3),
        )
        write_atomic(run / _RESULT, result.model_dump_json(), folder)
    return result


def _export_milestones(
    folder: Path, backend: TrainBackend, outcome: LoopResult, card: AdapterCard, checkpoints: Checkpoints
) -> list[int]:
    """Write an adapter for each milestone, and for the step that is kept, below `folder`; returns their steps.

    Each is the file that the generator loads. The backend holds another adapter afterwards than before.
    """
    (folder / FOLDER).mkdir()
    if not outcome.milestones:
        return []
    steps = sorted({*outcome.milestones, outcome.kept_step})
    validated = {validation.step: validation.loss for validation in outcome.log.validations}
    for step in steps:
        if step != outcome.kept_step:
            backend.load_adapter_state(checkpoints.load_milestone(step))
            of_step = card.model_copy(update={"kept_step": step, "best_validation_loss": validated.get(step)})
            with scratch_folder(folder) as exported:
                backend.export(exported, of_step)[0].replace(folder / milestone_name(step))
        else:
            shutil.copyfile(folder / f"{card.producer_id}_{card.model_name}.safetensors", folder / milestone_name(step))
    return steps


def _card(request: TrainRequest, backend: TrainBackend, outcome: LoopResult, split: Split) -> AdapterCard:
    losses = outcome.log.losses
    first_loss, final_loss = _first_and_last(losses)
    validated = {validation.step: validation.loss for validation in outcome.log.validations}
    return AdapterCard(
        run_id=request.run_id,
        producer_id=request.producer_id,
        model_name=request.model_name,
        backend=request.backend,
        base=backend.base.name,
        base_revision=backend.base.revision,
        base_licence=backend.base.licence,
        dataset_fingerprint=request.dataset_fingerprint,
        recipe=request.recipe,
        examples=len(request.examples),
        songs=len({example.song for example in request.examples}),
        caption_rule=request.caption_rule,
        trigger_word=trigger_word_in(request.examples),
        parameters=request.parameters,
        steps=len(losses),
        kept_step=outcome.kept_step,
        stopped_because=outcome.stopped_because,
        first_loss=first_loss,
        final_loss=final_loss,
        held_out=split.songs,
        base_validation_loss=validated.get(0),
        best_validation_loss=validated.get(outcome.kept_step),
        trainable_parameters=outcome.trainable_parameters,
        versions=backend.versions(),
    )


def _first_and_last(losses: Sequence[float]) -> tuple[float, float]:
    """Return the means of the first and of the last tenth."""
    tenth = max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
