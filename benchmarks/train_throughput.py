"""`python -m benchmarks.train_throughput`: how fast the training loop is with a base of the true size, on a GPU.

Weights are random, since nothing of the speed is in them; latents are made up, as if they came from the cache. The
training loop itself is run, with its data thread, clipping and optimiser, and its steps are timed from outside: each
ends with its loss on the CPU. Without a GPU, or with `--size tiny`, everything is done with the tiny bases.

What is written down: samples a second, the share of the device's own matrix peak that is achieved (floating point
operations counted by torch in one step; the peak measured by multiplying large matrices), and the peak memory.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modal_app.backends.base import BaseModel, Conditioning, TrainBackend, TrainExample
from modal_app.config import BackendKind
from modal_app.protocol.base import Event
from modal_app.protocol.training import TrainParameters
from modal_app.training.batch_schedule import seed_of
from modal_app.training.checkpoint import Checkpoints
from modal_app.training.loop import LoopState, run_loop
from modal_app.training.prefetcher import Batch, StepData
from modal_app.training.run_log import RunLog

RESULTS = Path(__file__).parent / "results"
SECONDS = 15.0
_FRAMES = {BackendKind.ACE_STEP: 375, BackendKind.MUSICGEN: 750}
_EXAMPLES = 64


@dataclass(frozen=True)
class Throughput:
    """One measurement; `matrix_peak_share` is of the peak that was measured on the same device."""

    backend: str
    size: str
    device: str
    batch: int
    rank: int
    timed_steps: int
    samples_per_second: float
    step_milliseconds: float
    teraflop_per_sample: float
    matrix_peak_teraflops: float
    matrix_peak_share: float
    peak_memory_gb: float | None
    steps_waited_for_data: int
    method: str
    measured_on: str


def main() -> int:
    """Measure one backend, print the figures, and with `--write` keep them in `benchmarks/results/`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_throughput", description=__doc__)
    parser.add_argument("--backend", choices=[kind.value for kind in BackendKind], default="ace_step")
    parser.add_argument("--size", choices=["real", "tiny"], default="real")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=10, help="steps before those that are timed")
    parser.add_argument("--steps", type=int, default=50, help="timed steps")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/train_throughput/<backend>.json")
    asked = parser.parse_args()
    found = measure(BackendKind(asked.backend), asked.size, asked.batch, asked.rank, asked.warm_up, asked.steps)
    print(json.dumps(asdict(found), indent=2))
    if asked.write:
        folder = RESULTS / "train_throughput"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{asked.backend}.json").write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    return 0


def measure(kind: BackendKind, size: str, batch: int, rank: int, warm_up: int, steps: int) -> Throughput:
    """Train `warm_up` and then `steps` steps of random weights and latents; time the latter."""
    import torch

    on_gpu = torch.cuda.is_available()
    size = size if on_gpu else "tiny"
    backend = _BACKENDS[kind, size]()
    examples = _examples(kind, backend)
    parameters = TrainParameters(
        steps=warm_up + steps,
        batch_size=batch,
        learning_rate=1e-4,
        rank=rank,
        alpha=2 * rank,
        seed=0,
        validate_every=warm_up + steps,
    )
    ends: list[float] = []

    def prepare(step: int) -> StepData:
        chosen = [examples[(step * batch + place) % len(examples)] for place in range(batch)]
        return [Batch(chosen, [seed_of("draw", 0, step, 0, place) for place in range(batch)])]

    def note(event: Event) -> None:
        if event.kind == "progress":
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scratch").mkdir()
        work = LoopState(
            backend=backend,
            parameters=parameters,
            prepare=prepare,
            held_out=[],
            started=time.monotonic(),
            checkpoints=Checkpoints(folder, folder / "scratch", {}),
            open_log=lambda length: RunLog(folder, length),
            emit=note,
        )
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        outcome = run_loop(work)
    memory = torch.cuda.max_memory_allocated() / 1e9 if on_gpu else None
    step_seconds = (ends[-1] - ends[warm_up - 1]) / steps
    operations = _teraflop(backend, prepare(1)[0]) / batch
    peak = _matrix_peak(backend.device)
    return Throughput(
        backend=kind.value,
        size=size,
        device=torch.cuda.get_device_name() if on_gpu else "CPU",
        batch=batch,
        rank=rank,
        timed_steps=steps,
        samples_per_second=round(batch / step_seconds, 2),
        step_milliseconds=round(1000 * step_seconds, 1),
        teraflop_per_sample=round(operations, 4),
        matrix_peak_teraflops=round(peak, 2),
        matrix_peak_share=round(operations * batch / step_seconds / peak, 3),
        peak_memory_gb=None if memory is None else round(memory, 2),
        steps_waited_for_data=outcome.progress.steps_waited,
        method=f"{warm_up} steps before, {steps} timed, {SECONDS:g} s a sample, random weights and latents; "
        + ("bf16 autocast" if on_gpu else "fp32"),
        measured_on=datetime.now(UTC).date().isoformat(),
    )


def _examples(kind: BackendKind, backend: TrainBackend) -> list[TrainExample]:
    """Segments of 15 s as the cache would give them, each with a caption of its own."""
    import torch

    generator = torch.Generator().manual_seed(0)
    seconds = _silence(backend)
    shape = {name: part.shape for name, part in backend.encode(seconds).items()}
    assert {part[0] for part in shape.values()} == {_FRAMES[kind]}, shape

    def encoded() -> dict[str, Any]:
        if kind is BackendKind.MUSICGEN:
            return {"codes": torch.randint(0, 256, shape["codes"], generator=generator, dtype=torch.int16)}
        return {name: torch.rand(shape[name], generator=generator) for name in shape}

    return [
        TrainExample(
            key=f"{number:064x}",
            encoded=encoded(),
            conditioning=Conditioning(
                f"Warm, nocturnal house with glassy plucks, take {number}.", 122.0, "A minor", "4/4"
            ),
            seconds=SECONDS,
        )
        for number in range(_EXAMPLES)
    ]


def _silence(backend: TrainBackend) -> Any:
    """15 s of nothing, `[channels, samples]`."""
    import numpy as np

    return np.zeros((backend.channels, round(SECONDS * backend.sample_rate)), np.float32)


def _teraflop(backend: TrainBackend, batch: Batch) -> float:
    """The floating point operations of one loss and its gradients, in units of 10^12."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        backend.loss(batch.examples, batch.seeds).backward()
    return float(counter.get_total_flops()) / 1e12


def _matrix_peak(device: Any) -> float:
    """TFLOP/s of a large matrix product, in the type that training uses; the median of ten."""
    import torch

    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(13):
        started = time.perf_counter()
        float((left @ right)[0, 0])  # waits for the device
        times.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(times[3:]) / 1e12


def _tiny_ace_step() -> TrainBackend:
    from modal_app.backends.ace_step.backend import AceStepBackend

    return AceStepBackend.load("tiny")


def _tiny_musicgen() -> TrainBackend:
    from modal_app.backends.musicgen.backend import MusicGenBackend

    return MusicGenBackend.load("tiny")


def _real_ace_step() -> TrainBackend:
    """ACE-Step 1.5 base: the transformer (1.575 B) and the condition encoder are of the true size.

    Texts are encoded once and kept, so the text encoder has one layer; the VAE makes no latents here, and is small.
    """
    import torch
    from diffusers import (
        AceStepPipeline,
        AceStepTransformer1DModel,
        AutoencoderOobleck,
        FlowMatchEulerDiscreteScheduler,
    )
    from diffusers.pipelines.ace_step import AceStepConditionEncoder
    from transformers import Qwen3Config, Qwen3Model

    from modal_app.backends.ace_step.backend import AceStepBackend
    from modal_app.backends.byte_tokenizer import byte_tokenizer

    vae = AutoencoderOobleck(
        encoder_hidden_size=128,
        downsampling_ratios=[10, 6, 4, 4, 2],
        channel_multiples=[1, 1, 1, 1, 1],
        decoder_channels=8,
        decoder_input_channels=64,
        audio_channels=2,
        sampling_rate=48_000,
    )
    with torch.device("cuda"):
        transformer, conditions = AceStepTransformer1DModel(), AceStepConditionEncoder()
        text = Qwen3Model(Qwen3Config(vocab_size=257, hidden_size=1024, intermediate_size=3072, num_hidden_layers=1))
    conditions.silence_latent = torch.zeros(1, 15_000, 64)
    pipeline = AceStepPipeline(
        vae=vae.eval(),
        text_encoder=text.eval(),
        tokenizer=byte_tokenizer("<|endoftext|>"),
        transformer=transformer.eval(),
        condition_encoder=conditions.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    ).to("cuda", torch.bfloat16)
    return AceStepBackend(pipeline, BaseModel("real-size", "random", "none: random weights"))


def _real_musicgen() -> TrainBackend:
    """musicgen-small: decoder and codec of the true size; the text encoder, whose texts are kept, has one layer."""
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )

    from modal_app.backends.byte_tokenizer import byte_tokenizer
    from modal_app.backends.musicgen.backend import MusicGenBackend

    tokenizer = byte_tokenizer("</s>")
    config = MusicgenConfig(
        text_encoder=T5Config(vocab_size=len(tokenizer), d_model=768, d_ff=3072, num_layers=1, num_heads=12),
        audio_encoder=EncodecConfig(
            sampling_rate=32_000,
            target_bandwidths=[2.2],
            num_filters=64,
            upsampling_ratios=[8, 5, 4, 4],
            codebook_size=2048,
            use_causal_conv=False,
        ),
        decoder=MusicgenDecoderConfig(dropout=0.0),
    )
    model = MusicgenForConditionalGeneration(config).eval().to("cuda")
    return MusicGenBackend(model, tokenizer, BaseModel("real-size", "random", "none: random weights"))


_BACKENDS: dict[tuple[BackendKind, str], Callable[[], TrainBackend]] = {
    (BackendKind.ACE_STEP, "tiny"): _tiny_ace_step,
    (BackendKind.ACE_STEP, "real"): _real_ace_step,
    (BackendKind.MUSICGEN, "tiny"): _tiny_musicgen,
    (BackendKind.MUSICGEN, "real"): _real_musicgen,
}


if __name__ == "__main__":
    sys.exit(main())
