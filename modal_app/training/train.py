"""The `train` job: one adapter from segments and captions, into `runs/<run_id>/`. The loop reads top to bottom."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from modal_app.audio.scratch import discard, scratch_folder, sweep
from modal_app.backends.base import TrainBackend
from modal_app.backends.registry import load_train_backend
from modal_app.config import DataRoot
from modal_app.errors import InputError, JobError
from modal_app.protocol import Event, TrainRequest, TrainResult
from modal_app.training.card import AdapterCard
from modal_app.training.curve import draw_losses
from modal_app.training.data import batches, load_examples, seconds_left

_RESULT = "result.json"
_WEIGHT_DECAY = 0.01
_LARGEST_GRADIENT = 1.0
_WARMUP_SHARE, _LONGEST_WARMUP = 0.05, 100


def train(request: TrainRequest, root: DataRoot, emit: Callable[[Event], None]) -> TrainResult:
    """Train one adapter. On a CPU the same request gives the same bytes; a run that is there whole is not repeated.

    Raises:
        InputError: nothing to train on.
        MissingBaseError: the base can't be loaded.
        JobError: a segment is missing, or the loss is no number any more.
    """
    import torch

    # 1. Perhaps there is nothing to do.
    sweep(root.scratch())
    done = _finished_run(request, root)
    if done:
        emit(Event(kind="log", message=f"run {request.run_id} is there already, nothing is trained again"))
        return done
    if not request.examples:
        raise InputError(f"{request.producer_id}: there are no segments to train on; upload music first")
    started = time.monotonic()

    # 2. The base model, and the examples as it sees them.
    emit(Event(kind="log", message=f"loading {request.backend} ({request.base})"))
    backend = load_train_backend(request.backend, request.base)
    if backend.base.name == "tiny":
        emit(Event(kind="log", level="warning", message="the base `tiny` has random weights: this LoRA makes no music"))
    examples = load_examples(request, backend, root, emit)

    # 3. A fresh adapter, its optimiser, and the learning rate over the steps.
    parameters = request.parameters
    weights = backend.inject(parameters)
    optimiser = torch.optim.AdamW(weights, lr=parameters.learning_rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, parameters.steps))
    generator = torch.Generator().manual_seed(parameters.seed)
    order = batches([backend.bucket_key(example) for example in examples], parameters.batch_size, parameters.seed)

    # 4. The steps.
    losses: list[float] = []
    first_step = time.monotonic()
    for step in range(1, parameters.steps + 1):
        batch = [examples[index] for index in next(order)]
        loss = backend.loss(batch, torch.randint(1 << 48, (len(batch),), generator=generator).tolist())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, _LARGEST_GRADIENT)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise JobError(f"step {step}: the loss is no number any more; lower the learning rate")
        left = seconds_left(time.monotonic() - first_step, step, parameters.steps)
        emit(_step_event(step, parameters.steps, losses[-1], schedule.get_last_lr()[0], left))
        schedule.step()

    # 5. What it leaves: adapter in both formats, card, losses and their picture, all at once.
    card = _card(request, backend, losses, sum(weight.numel() for weight in weights))
    with scratch_folder(root.scratch()) as folder:
        backend.export(folder, card)
        (folder / "card.json").write_text(card.model_dump_json(indent=2) + "\n")
        (folder / "losses.json").write_text(json.dumps(losses) + "\n")
        draw_losses(losses, f"{request.producer_id} · {request.model_name}", folder / "loss.png")
        run = root.run(request.run_id)
        result = TrainResult(
            files={
                f"{run.relative_to(root.root).as_posix()}/{name}": _sha256(folder / name) for name in _names(folder)
            },
            steps=parameters.steps,
            losses=losses,
            first_loss=card.first_loss,
            final_loss=card.final_loss,
            trainable_parameters=card.trainable_parameters,
            seconds=time.monotonic() - started,
        )
        (folder / _RESULT).write_text(result.model_dump_json())
        discard(run, root.scratch())
        run.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(run)
    return result


def learning_rate_factor(step: int, steps: int) -> float:
    """Warm-up, then half a cosine down to zero; 0 ≤ `step` < `steps`, the factor is in (0, 1]."""
    warmup = min(_LONGEST_WARMUP, max(1, round(_WARMUP_SHARE * steps)))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _finished_run(request: TrainRequest, root: DataRoot) -> TrainResult | None:
    try:
        result = TrainResult.model_validate_json((root.run(request.run_id) / _RESULT).read_bytes())
        whole = all(_sha256(root.root / path) == digest for path, digest in result.files.items())
    except (OSError, ValidationError):
        return None
    return result if whole else None


def _step_event(step: int, steps: int, loss: float, learning_rate: float, left: int) -> Event:
    return Event(
        kind="progress",
        message=f"step {step} of {steps}: loss {loss:.4f}, {left} s left",
        done=step,
        total=steps,
        figures={"step": step, "loss": loss, "learning_rate": learning_rate, "seconds_left": left},
    )


def _card(request: TrainRequest, backend: TrainBackend, losses: list[float], trainable: int) -> AdapterCard:
    tenth = max(1, len(losses) // 10)
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
        parameters=request.parameters,
        first_loss=sum(losses[:tenth]) / tenth,
        final_loss=sum(losses[-tenth:]) / tenth,
        trainable_parameters=trainable,
        versions=backend.versions(),
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
