"""The `generate` job: audio from a text, with a LoRA or with the base alone, into `outputs/<job_id>.wav`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from modal_app.adapters.publish import resolve_lora
from modal_app.backends.base import Conditioning, InferBackend, Signal
from modal_app.backends.registry import load_infer_backend
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import sweep
from modal_app.errors import InputError
from modal_app.protocol.base import Event
from modal_app.protocol.training import GenerateRequest, GenerateResult
from modal_app.training.caption_rule import RULE, conditioning_of_prompt, kinds_in_metadata, knows_sections

_PEAK = 10 ** (-1 / 20)


def generate(request: GenerateRequest, root: DataRoot, emit: Callable[[Event], None]) -> GenerateResult:
    """Render exactly as long as asked, with a peak of −1 dBFS, 16 bits. The same request gives the same bytes on a CPU.

    Raises:
        InputError: the prompt is empty or the `lora_id` malformed.
        MissingLoraError: there is no usable LoRA of this name.
        AdapterError: it does not fit the base.
        JobError: the model rendered no audio.
    """
    sweep(root.scratch())
    if not request.prompt.strip():
        raise InputError("the prompt is empty; say what the music should be like")
    lora = resolve_lora(root, request.lora_id, request.run_id) if request.lora_id else None
    for reason in lora.passed_over if lora else []:
        emit(Event(kind="log", level="warning", message=f"passed over: {reason}"))
    backend = load_infer_backend(request.backend, request.base)
    if backend.base.name == "tiny":
        emit(Event(kind="log", level="warning", message="the base `tiny` has random weights: this will be no music"))
    rule = lora.card.caption_rule if lora else RULE
    if request.facts.sections and not knows_sections(rule):
        warning = f"this LoRA was trained by {rule}, which tells of no sections: they are left out; train it again"
        emit(Event(kind="log", level="warning", message=warning))
    in_metadata = kinds_in_metadata(rule, backend.metadata)
    conditioning = conditioning_of_prompt(request.prompt, request.facts, in_metadata, rule)
    base_path = None
    if lora:
        if request.with_base:
            base_path, _ = _render(backend, request, conditioning, f"{request.job_id}-base.wav", root)
        backend.attach(lora.path, request.scale)
        emit(Event(kind="log", message=f"attached {lora.path} (run {lora.card.run_id})"))
    path, signal = _render(backend, request, conditioning, f"{request.job_id}.wav", root)
    peak = float(np.abs(signal).max(initial=0.0))
    return GenerateResult(
        path=path,
        sample_rate=backend.sample_rate,
        samples=signal.shape[1],
        peak_dbfs=20 * float(np.log10(peak)) if peak else None,
        lora=lora.path.relative_to(root.root).as_posix() if lora else None,
        run_id=lora.card.run_id if lora else None,
        passed_over=lora.passed_over if lora else [],
        base_path=base_path,
        lora_id=request.lora_id,
        backend=request.backend,
        base=request.base,
        prompt=request.prompt,
        seed=request.seed,
    )


def _render(
    backend: InferBackend, request: GenerateRequest, conditioning: Conditioning, name: str, root: DataRoot
) -> tuple[str, Signal]:
    """Render into `outputs/`; gives the path relative to the data root, and the samples."""
    signal = normalise(backend.generate(conditioning, request.duration_seconds, request.seed))
    target = root.outputs() / name
    write_wav(target, signal, backend.sample_rate, root)
    return target.relative_to(root.root).as_posix(), signal


def normalise(signal: Signal) -> Signal:
    """Bring the peak to −1 dBFS; digital silence stays what it is."""
    peak = float(np.abs(signal).max(initial=0.0))
    return (signal * (_PEAK / peak)).astype(np.float32) if peak else signal


def write_wav(target: Path, signal: Signal, sample_rate: int, root: DataRoot) -> None:
    """Write `[channels, samples]` as a 16-bit WAV, atomically."""
    import soundfile

    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_path(target, root.scratch()) as fresh:
        samples = np.round(signal.T * 32_767).astype(np.int16)
        soundfile.write(fresh, samples, sample_rate, subtype="PCM_16")
