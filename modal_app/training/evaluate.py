"""The `evaluate` job: figures of an adapter beside its base and a rival. What they mean is decided elsewhere.

The held-out songs, the grid of noise and times, and the way a loss is taken are those of the training.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from modal_app.adapters.file_format import read_card
from modal_app.backends.base import InferBackend, Signal, TrainBackend, TrainExample, ValidationGrid
from modal_app.backends.registry import load_infer_backend
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import sweep
from modal_app.errors import AdapterError, JobError
from modal_app.protocol.base import Event
from modal_app.protocol.training import CopyFindings, EvaluateRequest, EvaluateResult, Example, Rival, TrainRequest
from modal_app.training.audio_metrics import draw_spectrograms, look_at, spectrum_change_db, waveform_change
from modal_app.training.caption_rule import conditioning_of_parts, conditioning_of_prompt, kinds_in_metadata
from modal_app.training.copies import WINDOW_SECONDS, Material, find_copies
from modal_app.training.data import load_examples
from modal_app.training.generate import normalise, write_wav
from modal_app.training.song_titles import song_keys
from modal_app.training.split import Split, split_by_song
from modal_app.training.train import MAX_VALIDATED, evenly


@dataclass(frozen=True)
class _Judged:
    """What the losses are taken on: the held-out segments, or, where nothing is held out, trained ones."""

    examples: list[Example]
    held_out: list[str]
    line: str


def evaluate(request: EvaluateRequest, root: DataRoot, emit: Callable[[Event], None]) -> EvaluateResult:
    """Compare the losses on the held-out songs and what is rendered with one seed. The same request, the same figures.

    Raises:
        AdapterError: a file of the run or of the rival is missing or damaged: put it there again.
        MissingBaseError: the base can't be loaded.
        JobError: the base alone renders no audio, or a segment is missing.
    """
    sweep(root.scratch())
    training = request.training
    adapter = _adapter_of(training, training.run_id, root)
    rival = None if request.rival is None else _adapter_of(training, request.rival.run_id, root)
    split = split_by_song(training.examples, training.parameters.validation_share, training.parameters.seed)
    judged = _judged(training, split)
    emit(Event(kind="log", message=f"loading {training.backend} ({training.base})"))
    backend = load_infer_backend(training.backend, training.base)
    examples = load_examples(
        training.model_copy(update={"examples": judged.examples}), cast("TrainBackend", backend), root, emit
    )

    emit(Event(kind="log", message=f"the base alone: {len(examples)} segments and {request.duration_seconds:g} s"))
    base_losses = _losses(backend, examples)
    base_signal = _render(backend, request)
    emit(Event(kind="log", message=f"with the adapter of {training.run_id}"))
    lora_losses: list[float] = []
    lora_signal, trouble, copies, copied = None, None, None, None
    try:
        backend.attach(adapter, 1.0)
        lora_losses = _losses(backend, examples)
        lora_signal = _render(backend, request)
        if request.copy_renderings is not None:
            copies, copied = _copies(backend, request, split, lora_signal, root, emit)
    except (AdapterError, JobError) as error:  # says nothing against this job: it is what was to be found out
        trouble = str(error)
    shared = _unheard(judged, request.rival)
    rival_losses = _rival_losses(backend, rival, [examples[index] for index in shared], emit)
    songs = sorted({judged.examples[index].song for index in shared})
    expected = round(request.duration_seconds * backend.sample_rate)
    return EvaluateResult(
        files=_leave(request, root, backend.sample_rate, base_signal, lora_signal, copied),
        split=judged.line,
        held_out=judged.held_out,
        segments=len(examples),
        base_loss=_mean(base_losses),
        lora_loss=_mean(lora_losses),
        shared=songs if rival_losses else [],
        shared_lora_loss=_mean([lora_losses[index] for index in shared]) if rival_losses and lora_losses else None,
        shared_rival_loss=_mean(rival_losses),
        base=look_at(base_signal, backend.sample_rate, expected),
        lora=None if lora_signal is None else look_at(lora_signal, backend.sample_rate, expected),
        waveform_change=None if lora_signal is None else waveform_change(base_signal, lora_signal),
        spectrum_change_db=None if lora_signal is None else spectrum_change_db(base_signal, lora_signal),
        copies=copies,
        trouble=trouble,
    )


def _copies(
    backend: InferBackend,
    request: EvaluateRequest,
    split: Split,
    asked: Signal,
    root: DataRoot,
    emit: Callable[[Event], None],
) -> tuple[CopyFindings, Signal | None]:
    """Hold what the adapter renders against its songs: what was asked for, and captions that it was trained with.

    With what was found comes the rendering to hear it in: the one with the longest passage.
    """
    training = request.training
    in_metadata = kinds_in_metadata(training.caption_rule, backend.metadata)
    heard, held_out = ([training.examples[index] for index in side] for side in (split.training, split.held_out))
    rendered = [asked]
    for number, index in enumerate(evenly(range(len(heard)), request.copy_renderings or 0), 1):
        emit(Event(kind="log", message=f"renders a caption that it was trained with, {number}"))
        example = heard[index]
        conditioning = conditioning_of_parts(example.parts, example, in_metadata)
        rendered.append(backend.generate(conditioning, WINDOW_SECONDS, request.seed + number))
    found = find_copies(rendered, backend.sample_rate, Material(heard, held_out, training.recipe), root, emit)
    longest = max(found.passages, key=lambda passage: passage.end_seconds - passage.start_seconds, default=None)
    return found, None if longest is None else rendered[longest.rendering]


def _adapter_of(training: TrainRequest, run_id: str, root: DataRoot) -> Path:
    """Return a run's own adapter file, which must be there whole."""
    path = root.run(run_id) / root.lora(training.producer_id, training.model_name).name
    if read_card(path).run_id != run_id:
        raise AdapterError(f"{path}: belongs to another run; train it again")
    return path


def _judged(training: TrainRequest, split: Split) -> _Judged:
    indices = evenly(split.held_out or split.training, MAX_VALIDATED)
    return _Judged([training.examples[index] for index in indices], split.songs, split.line)


def _unheard(judged: _Judged, rival: Rival | None) -> list[int]:
    """Return the places of held-out examples that the rival's training has not heard in any version either."""
    if rival is None or not judged.held_out:
        return []
    keys = song_keys([*(example.song for example in judged.examples), *rival.songs])
    heard, audio = {keys[song] for song in rival.songs}, set(rival.audio)
    return [
        place
        for place, example in enumerate(judged.examples)
        if keys[example.song] not in heard and example.audio_hash not in audio
    ]


def _losses(backend: InferBackend, examples: Sequence[TrainExample]) -> list[float]:
    """Return the validation loss of each example, as the training's loop takes it."""
    import torch

    model = cast("TrainBackend", backend)
    device = model.device.type
    bf16 = device == "cuda" and torch.cuda.is_bf16_supported()
    with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
        return [model.val_loss([example], ValidationGrid()) for example in examples]


def _rival_losses(
    backend: InferBackend, path: Path | None, examples: Sequence[TrainExample], emit: Callable[[Event], None]
) -> list[float]:
    if path is None or not examples:
        return []
    try:
        card = backend.attach(path, 1.0)
    except AdapterError as error:
        emit(Event(kind="log", level="warning", message=f"no comparison: {error}"))
        return []
    emit(Event(kind="log", message=f"with the adapter of {card.run_id}, on {len(examples)} segments"))
    return _losses(backend, examples)


def _render(backend: InferBackend, request: EvaluateRequest) -> Signal:
    in_metadata = kinds_in_metadata(request.training.caption_rule, backend.metadata)
    conditioning = conditioning_of_prompt(request.prompt, request.facts, in_metadata, request.training.caption_rule)
    return backend.generate(conditioning, request.duration_seconds, request.seed)


def _mean(losses: Sequence[float]) -> float | None:
    """Return None where there is nothing, or where it is no number."""
    mean = math.fsum(losses) / len(losses) if losses else math.nan
    return mean if math.isfinite(mean) else None


def _leave(
    request: EvaluateRequest,
    root: DataRoot,
    sample_rate: int,
    base: Signal,
    lora: Signal | None,
    copied: Signal | None,
) -> dict[str, str]:
    """Leave both renderings and their picture in the run's folder, and one that copies; each with a peak of −1 dBFS."""
    run = root.run(request.training.run_id)
    signals: dict[str, Any] = {"base": normalise(base)}
    if lora is not None:
        signals["lora"] = normalise(lora)
    for name, signal in signals.items():
        write_wav(run / f"evaluation-{name}.wav", signal, sample_rate, root)
    with scratch_path(run / "evaluation.png", root.scratch()) as fresh:
        draw_spectrograms(signals, sample_rate, request.prompt, fresh)
    if copied is not None:
        signals["copy"] = normalise(copied)
        write_wav(run / "evaluation-copy.wav", signals["copy"], sample_rate, root)
    paths = [*(run / f"evaluation-{name}.wav" for name in signals), run / "evaluation.png"]
    return {path.relative_to(root.root).as_posix(): sha256_file(path) for path in paths}
