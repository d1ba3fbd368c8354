"""ACE-Step 1.5 through diffusers and peft: how this model is loaded, conditioned, trained, adapted and sampled.

The conditioning is the pipeline's own, piece by piece; what differs from it is said where it differs. Formulas:
diffusers' `pipelines/ace_step` and ACE-Step's trainer (flow matching, `xt = t·noise + (1 − t)·x0`).
"""

import importlib.metadata
import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from modal_app.backends import ace_step_lora as lora
from modal_app.backends.ace_step_base import load_pipeline
from modal_app.backends.base import BaseModel, Signal, Tensor, TrainExample
from modal_app.errors import JobError
from modal_app.protocol import TrainParameters
from modal_app.training.adapter_file import read_adapter, write_adapter
from modal_app.training.card import AdapterCard

_INSTRUMENTAL = "[Instrumental]"
_NULL_CONDITION_SHARE = 0.15  # of the official trainer, so that guidance keeps working
_TIMBRE_SECONDS = 30
_SHORTEST_FRAMES = 2  # the transformer takes frames in pairs
_VALIDATION_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class _Sampling:
    """How audio is sampled: turbo models have guidance distilled in, base models need it and more steps."""

    steps: int
    shift: float
    guidance: float


class AceStepBackend:
    """Both faces of ACE-Step: training and rendering."""

    channels = 2

    def __init__(self, pipeline: Any, base: BaseModel) -> None:
        self.base = base
        self.sample_rate: int = pipeline.sample_rate
        self._pipeline = pipeline
        self._device = pipeline.device
        self._transformer = pipeline.transformer
        self._transformer.requires_grad_(False)
        self._tiny = base.name == "tiny"
        self._max_text = 1024 if self._tiny else 256  # the tiny tokenizer makes a token of each byte
        self._conditions: dict[tuple[str, float | None, float], Tensor] = {}
        self._cross_mask: Tensor | None = None
        for block in self._transformer.layers:
            block.cross_attn.register_forward_pre_hook(self._mask_padding, with_kwargs=True)

    @classmethod
    def load(cls, base: str) -> Self:
        """Load a base: `tiny`, a model id, or a local path.

        Raises:
            MissingBaseError: it is not on this machine and can't be had.
        """
        return cls(*load_pipeline(base))

    def versions(self) -> dict[str, str]:
        """What this backend stands on."""
        return {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers", "peft")}

    # --- training ---

    def encode(self, audio: Signal) -> dict[str, Tensor]:
        """The posterior of the latents: `mean` and `std`, each `[frames, latent channels]`, 25 frames a second."""
        import torch

        hop = self._pipeline.vae.hop_length
        padded = np.pad(audio, ((0, 0), (0, -audio.shape[1] % hop)))
        with torch.inference_mode():
            batch = torch.from_numpy(padded).to(self._device, self._pipeline.vae.dtype)[None]
            posterior = self._pipeline.vae.encode(batch).latent_dist
        return {name: getattr(posterior, name)[0].T.float().cpu().contiguous().clone() for name in ("mean", "std")}

    def bucket_key(self, example: TrainExample) -> Hashable:
        """The number of frames. Texts of different length share a batch: their padding is masked."""
        return int(example.encoded["mean"].shape[0])

    def inject(self, parameters: TrainParameters) -> list[Tensor]:
        """A fresh LoRA on all attention projections; returns its weights."""
        return lora.inject(self._transformer, parameters)

    def loss(self, batch: Sequence[TrainExample], generator: Any) -> Tensor:
        """Mean squared error of the velocity, over all frames of the batch."""
        import torch

        mean = torch.stack([example.encoded["mean"] for example in batch])
        std = torch.stack([example.encoded["std"] for example in batch])
        latents = mean + std * torch.randn(mean.shape, generator=generator)
        noise = torch.randn(mean.shape, generator=generator)
        times = self._draw_times(len(batch), generator)
        dropped = torch.rand(len(batch), generator=generator) < _NULL_CONDITION_SHARE
        if self._pipeline.is_turbo:
            dropped[:] = False  # turbo models are never asked without a condition
        return self._velocity_error(batch, latents, noise, times, dropped)

    def val_loss(self, examples: Sequence[TrainExample]) -> float:
        """The loss at five times, each example with noise of its own that is always the same."""
        import torch

        errors = []
        for number, example in enumerate(examples):
            noise = torch.randn(example.encoded["mean"].shape, generator=torch.Generator().manual_seed(number))[None]
            for time in _VALIDATION_TIMES:
                with torch.no_grad():
                    error = self._velocity_error(
                        [example], example.encoded["mean"][None], noise, torch.tensor([time]), torch.tensor([False])
                    )
                errors.append(float(error))
        return sum(errors) / len(errors)

    def adapter_state(self) -> dict[str, Tensor]:
        """The adapter's weights by PEFT's names."""
        return {lora.PEFT_PREFIX + name: weight for name, weight in lora.state(self._transformer).items()}

    def load_adapter_state(self, state: Mapping[str, Tensor]) -> None:
        """Put weights into the injected adapter; see `TrainBackend`."""
        lora.fill(self._transformer, {name.removeprefix(lora.PEFT_PREFIX): state[name] for name in state})

    def export(self, folder: Path, card: AdapterCard) -> list[Path]:
        """Write diffusers' file, with alpha folded in (it has no place for it), and PEFT's pair."""
        scaling = card.parameters.alpha / card.parameters.rank
        state = lora.state(self._transformer)
        files = [
            folder / f"{card.producer_id}_{card.model_name}.safetensors",
            folder / "adapter_model.safetensors",
            folder / "adapter_config.json",
        ]
        write_adapter(files[0], lora.to_diffusers(state, scaling), card)
        write_adapter(files[1], self.adapter_state(), card)
        config = lora.peft_config(card)
        files[2].write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        return files

    # --- rendering ---

    def attach(self, path: Path, scale: float) -> AdapterCard:
        """Put an adapter on in place of any other; see `InferBackend`."""
        card, state = read_adapter(path)
        lora.attach(self._pipeline, self.base, path, card, state, scale)
        return card

    def detach(self) -> None:
        """Take the adapter off again."""
        self._pipeline.unload_lora_weights()

    def generate(self, prompt: str, seconds: float, seed: int) -> Signal:
        """Render `[2, samples]`, exactly as long as asked.

        Raises:
            JobError: the model gave no numbers.
        """
        import torch

        pipeline = self._pipeline
        frames = max(_SHORTEST_FRAMES, math.ceil(seconds * pipeline.latents_per_second))
        while math.ceil(frames / pipeline.latents_per_second * pipeline.latents_per_second) != frames:
            frames += 1  # the pipeline rounds twice and must come to the same number
        sampling = self._sampling()
        audio = pipeline(
            prompt=prompt,
            lyrics=_INSTRUMENTAL,
            audio_duration=frames / pipeline.latents_per_second,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance,
            shift=sampling.shift,
            max_text_length=self._max_text,
            generator=torch.Generator().manual_seed(seed),
        ).audios[0]
        signal: Signal = audio.float().cpu().numpy()[:, : round(seconds * self.sample_rate)]
        if not np.isfinite(signal).all():
            raise JobError(f"{self.base.name}: rendered numbers that are no audio (NaN); try another seed or adapter")
        return signal

    # --- helpers, in the order they are used ---

    def _draw_times(self, count: int, generator: Any) -> Tensor:
        """Turbo: one of the eight times it samples at. Base: logit-normal(−0.4, 1), the later of two draws."""
        import torch

        if self._pipeline.is_turbo:
            steps = torch.linspace(1, 0, 9)[:-1]
            return (3 * steps / (1 + 2 * steps))[torch.randint(8, (count,), generator=generator)]
        draws = torch.sigmoid(torch.randn(2, count, generator=generator) - 0.4)
        return torch.max(draws, dim=0).values

    def _velocity_error(
        self, batch: Sequence[TrainExample], latents: Tensor, noise: Tensor, times: Tensor, dropped: Tensor
    ) -> Tensor:
        import torch

        dtype = self._transformer.dtype
        latents, noise, times = (part.to(self._device) for part in (latents, noise, times))
        share = times[:, None, None]
        noisy = share * noise + (1 - share) * latents
        conditions, self._cross_mask = self._padded_conditions(batch, dropped)
        try:
            velocity = self._transformer(
                hidden_states=noisy.to(dtype),
                timestep=times.to(dtype),
                timestep_r=times.to(dtype),
                encoder_hidden_states=conditions.to(dtype),
                context_latents=self._context(len(batch), latents.shape[1]).to(dtype),
                return_dict=False,
            )[0]
        finally:
            self._cross_mask = None
        return torch.nn.functional.mse_loss(velocity.float(), noise - latents)

    def _padded_conditions(self, batch: Sequence[TrainExample], dropped: Tensor) -> tuple[Tensor, Tensor | None]:
        """The conditions `[batch, longest, hidden]`, and which keys are no padding `[batch, 1, 1, longest]`.

        The pipeline pads without a mask, so that the texts of a batch change each other's samples; masked, a
        batch gives what its samples give alone.
        """
        import torch

        null = self._pipeline.condition_encoder.null_condition_emb[0]
        conditions = [self._condition(example) for example in batch]
        conditions = [
            null.expand_as(condition) if drop else condition
            for condition, drop in zip(conditions, dropped.tolist(), strict=True)
        ]
        lengths = [len(condition) for condition in conditions]
        padded = torch.nn.utils.rnn.pad_sequence(conditions, batch_first=True)
        if len(set(lengths)) == 1:
            return padded, None
        kept = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        return padded, kept[:, None, None].to(self._device)

    def _condition(self, example: TrainExample) -> Tensor:
        """Text, lyrics and timbre as one sequence `[tokens, hidden]`; each text is encoded once."""
        key = (example.caption, example.bpm, example.seconds)
        if key not in self._conditions:
            self._conditions[key] = self._encode_text(*key)
        return self._conditions[key]

    def _encode_text(self, caption: str, bpm: float | None, seconds: float) -> Tensor:
        import torch

        pipeline, encoder = self._pipeline, self._pipeline.condition_encoder
        timbre = encoder.silence_latent[:, : math.ceil(_TIMBRE_SECONDS * pipeline.latents_per_second)]
        with torch.no_grad():
            text, text_mask, lyrics, lyrics_mask = pipeline.encode_prompt(
                prompt=[caption],
                lyrics=[_INSTRUMENTAL],
                device=self._device,
                audio_duration=seconds,
                bpm=round(bpm) if bpm else None,
                max_text_length=self._max_text,
            )
            sequence, _ = encoder(
                text_hidden_states=text,
                text_attention_mask=text_mask,
                lyric_hidden_states=lyrics,
                lyric_attention_mask=lyrics_mask,
                refer_audio_acoustic_hidden_states_packed=timbre.to(self._device, text.dtype).contiguous(),
                refer_audio_order_mask=torch.arange(1, device=self._device),
            )
        return sequence[0]

    def _context(self, count: int, frames: int) -> Tensor:
        """What text-to-music gives the transformer beside the noise: silence, and a mask that says "all of it"."""
        import torch

        silence = self._pipeline.condition_encoder.silence_latent[:, :frames].to(self._device)
        return torch.cat([silence, torch.ones_like(silence)], dim=-1).expand(count, -1, -1)

    def _mask_padding(self, module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002 - the signature of a hook
        return args, kwargs if self._cross_mask is None else kwargs | {"attention_mask": self._cross_mask}

    def _sampling(self) -> _Sampling:
        if self._pipeline.is_turbo:
            return _Sampling(steps=8, shift=3.0, guidance=1.0)
        return _Sampling(steps=10 if self._tiny else 50, shift=1.0, guidance=7.0)
