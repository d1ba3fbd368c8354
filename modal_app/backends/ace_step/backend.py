"""ACE-Step 1.5 through diffusers and peft: how this model is loaded, conditioned, trained, adapted and sampled.

The conditioning is the pipeline's own, piece by piece; what differs from it is said where it differs. Formulas:
diffusers' `pipelines/ace_step` and ACE-Step's trainer (flow matching, `xt = t·noise + (1 − t)·x0`).
"""

import importlib.metadata
import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from modal_app.adapters.ace_step_names import PEFT_PREFIX, fold
from modal_app.adapters.card import AdapterCard
from modal_app.adapters.file_format import read_adapter
from modal_app.backends.ace_step import lora
from modal_app.backends.ace_step.base_model import load_pipeline
from modal_app.backends.base import BaseModel, Conditioning, Signal, Tensor, TrainExample, ValidationGrid
from modal_app.backends.text_length import fitting
from modal_app.errors import JobError
from modal_app.protocol.training import TrainParameters

_INSTRUMENTAL = "[Instrumental]"
_TIME_SIGNATURES = {"2/4": "2", "3/4": "3", "4/4": "4", "6/8": "6"}
_CAPTION_DROPOUT = 0.15  # of the official trainer, so that guidance keeps working
_TIMBRE_SECONDS = 30
_LONGEST_SECONDS = 600.0  # by which captions are measured, so that one is cut alike for every length that is told
_SHORTEST_FRAMES = 2  # the transformer takes frames in pairs
_CONDITION_BYTES = 1 << 30  # of encoded texts that are kept; a long one of the true model takes a megabyte


@dataclass(frozen=True)
class _Sampling:
    """How audio is sampled: turbo models have guidance distilled in, base models need it and more steps."""

    steps: int
    shift: float
    guidance: float


class _Text(NamedTuple):
    """What is said to the model beside the noise: `seconds` is the length that it is told."""

    conditioning: Conditioning
    seconds: float


class AceStepBackend:
    """Both faces of ACE-Step: training and rendering."""

    channels = 2
    # beside a caption that names them too, they would contradict it one day
    metadata = frozenset({"section", "tempo", "key"})

    def __init__(self, pipeline: Any, base: BaseModel) -> None:
        self.base = base
        self.sample_rate: int = pipeline.sample_rate
        self.frame_samples: int = pipeline.vae.hop_length
        self.context_seconds = _reach(pipeline.vae.config.downsampling_ratios) / self.sample_rate
        self._pipeline = pipeline
        self.device = pipeline.device
        self.caption_dropout = 0.0 if pipeline.is_turbo else _CAPTION_DROPOUT  # turbo is never asked without a text
        self._transformer = pipeline.transformer
        self._dtype = self._transformer.dtype
        self._transformer.requires_grad_(False)
        self._tiny = base.name == "tiny"
        self._max_text = 1024 if self._tiny else 256  # the tiny tokenizer makes a token of each byte
        self._conditions: OrderedDict[_Text, Tensor] = OrderedDict()
        self._condition_bytes = 0
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
        """Return what this backend stands on."""
        return {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers", "peft")}

    # --- training ---

    def encode(self, audio: Signal) -> dict[str, Tensor]:
        """The posterior of the latents: `mean` and `std`, each `[frames, latent channels]`, 25 frames a second."""
        import torch

        padded = np.pad(audio, ((0, 0), (0, -audio.shape[1] % self.frame_samples)))
        with torch.inference_mode():
            batch = torch.from_numpy(padded).to(self.device, self._pipeline.vae.dtype)[None]
            posterior = self._pipeline.vae.encode(batch).latent_dist
        return {name: getattr(posterior, name)[0].T.float().cpu().contiguous().clone() for name in ("mean", "std")}

    def bucket_key(self, example: TrainExample) -> Hashable:
        """Return the number of frames. Texts of different length share a batch: their padding is masked."""
        return int(example.encoded["mean"].shape[0])

    def inject(self, parameters: TrainParameters) -> list[Tensor]:
        """Put a fresh LoRA on the transformer and return its weights; see `TrainBackend`."""
        return lora.inject(self._transformer, parameters)

    def checkpoint_gradients(self) -> None:
        """Keep the blocks' inputs only; see `TrainBackend`."""
        self._transformer.enable_gradient_checkpointing()

    def loss(self, batch: Sequence[TrainExample], seeds: Sequence[int]) -> Tensor:
        """Mean squared error of the velocity, over all frames of the batch; see `TrainBackend`."""
        import torch

        draws = [self._draw(example, seed) for example, seed in zip(batch, seeds, strict=True)]
        latents, noise, times = (torch.stack(parts) for parts in zip(*draws, strict=True))
        return self._velocity_errors(batch, latents, noise, times).mean()

    def val_loss(self, examples: Sequence[TrainExample], grid: ValidationGrid) -> float:
        """Return each example at the grid's times, from the mean of its latents; see `TrainBackend`."""
        import torch

        errors = []
        times = torch.tensor(grid.times)
        for example in examples:
            latents = example.encoded["mean"]
            noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(grid.noise_seed(example)))
            shape = (len(times), *latents.shape)
            with torch.no_grad():
                found = self._velocity_errors([example] * len(times), latents.expand(shape), noise.expand(shape), times)
            errors.append(float(found.mean()))
        return math.fsum(errors) / len(errors)

    def adapter_state(self) -> dict[str, Tensor]:
        """Return the adapter's weights by PEFT's names."""
        return {PEFT_PREFIX + name: weight for name, weight in lora.state(self._transformer).items()}

    def load_adapter_state(self, state: Mapping[str, Tensor]) -> None:
        """Put weights into the injected adapter; see `TrainBackend`."""
        lora.fill(self._transformer, {name.removeprefix(PEFT_PREFIX): state[name] for name in state})

    def release(self) -> None:
        """Take out the adapter, the texts and the way gradients were computed; see `TrainBackend`."""
        self.detach()
        self._transformer.disable_gradient_checkpointing()
        self._conditions.clear()
        self._condition_bytes, self._cross_mask = 0, None

    def export(self, folder: Path, card: AdapterCard) -> list[Path]:
        """Write diffusers' file, and PEFT's pair by the authors' names; alpha is folded into both."""
        return lora.write_files(folder, fold(lora.state(self._transformer), card.parameters.scaling), card)

    def adopt(self, folder: Path, weights: Mapping[str, Tensor], card: AdapterCard) -> list[Path]:
        """Write the files of an adapter from elsewhere, by its folded weights; in what it leaves alone it is zero."""
        return lora.write_files(folder, lora.completed(self._transformer, weights, card), card)

    # --- rendering ---

    def attach(self, path: Path, scale: float) -> AdapterCard:
        """Put an adapter on in place of any other; see `InferBackend`."""
        card, state = read_adapter(path)
        lora.attach(self._pipeline, self.base, path, card, state, scale)
        return card

    def detach(self) -> None:
        """Take the adapter off again."""
        self._pipeline.unload_lora_weights()

    def generate(self, conditioning: Conditioning, seconds: float, seed: int) -> Signal:
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
        self._cross_mask = None
        audio = pipeline(
            prompt=self._fitting(conditioning),
            lyrics=_lyrics(conditioning),
            **_metadata(conditioning),
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

    def _draw(self, example: TrainExample, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, noise and the time of a sample.

        Turbo: one of the eight times it samples at. Base: logit-normal(−0.4, 1), the later of two draws.
        """
        import torch

        generator = torch.Generator().manual_seed(seed)
        mean, std = example.encoded["mean"], example.encoded["std"]
        latents = mean + std * torch.randn(mean.shape, generator=generator)
        noise = torch.randn(mean.shape, generator=generator)
        if self._pipeline.is_turbo:
            steps = torch.linspace(1, 0, 9)[:-1]
            return latents, noise, (3 * steps / (1 + 2 * steps))[torch.randint(8, (), generator=generator)]
        return latents, noise, torch.sigmoid(torch.randn(2, generator=generator) - 0.4).max()

    def _velocity_errors(self, batch: Sequence[TrainExample], latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return the mean squared error of each sample, `[batch]`."""
        import torch

        latents, noise, times = (part.to(self.device) for part in (latents, noise, times))
        share = times[:, None, None]
        noisy = share * noise + (1 - share) * latents
        # left as it is until the next call: blocks whose gradients are checkpointed run again in `backward`
        conditions, self._cross_mask = self._padded_conditions(batch)
        velocity = self._transformer(
            hidden_states=noisy.to(self._dtype),
            timestep=times.to(self._dtype),
            timestep_r=times.to(self._dtype),
            encoder_hidden_states=conditions.to(self._dtype),
            context_latents=self._context(len(batch), latents.shape[1]).to(self._dtype),
            return_dict=False,
        )[0]
        return torch.nn.functional.mse_loss(velocity.float(), noise - latents, reduction="none").mean(dim=(1, 2))

    def _padded_conditions(self, batch: Sequence[TrainExample]) -> tuple[Tensor, Tensor | None]:
        """Return the conditions `[batch, longest, hidden]`, and which keys are no padding `[batch, 1, 1, longest]`.

        The pipeline pads without a mask, so that the texts of a batch change each other's samples; masked, a
        batch gives what its samples give alone.
        """
        import torch

        conditions = [self._condition(example) for example in batch]
        lengths = [len(condition) for condition in conditions]
        padded = torch.nn.utils.rnn.pad_sequence(conditions, batch_first=True)
        if len(set(lengths)) == 1:
            return padded, None
        kept = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        return padded, kept[:, None, None].to(self.device)

    def _condition(self, example: TrainExample) -> Tensor:
        """Text, lyrics and timbre as one sequence `[tokens, hidden]`, or the null condition of the same length.

        Texts are encoded once, as far as they find room; which are kept does not change what they are.
        """
        text = _Text(replace(example.conditioning, caption=example.conditioning.caption or ""), example.seconds)
        condition = self._conditions.pop(text, None)
        if condition is None:
            condition = self._encode_text(text)
            self._condition_bytes += condition.nbytes
        self._conditions[text] = condition
        while self._condition_bytes > _CONDITION_BYTES and len(self._conditions) > 1:
            self._condition_bytes -= self._conditions.popitem(last=False)[1].nbytes
        if example.conditioning.caption is None:
            return self._pipeline.condition_encoder.null_condition_emb[0].expand_as(condition)
        return condition

    def _encode_text(self, text: _Text) -> Tensor:
        import torch

        pipeline, encoder = self._pipeline, self._pipeline.condition_encoder
        timbre = encoder.silence_latent[:, : math.ceil(_TIMBRE_SECONDS * pipeline.latents_per_second)]
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            encoded, text_mask, lyrics, lyrics_mask = pipeline.encode_prompt(
                prompt=[self._fitting(text.conditioning)],
                lyrics=[_lyrics(text.conditioning)],
                device=self.device,
                audio_duration=text.seconds,
                **_metadata(text.conditioning),
                max_text_length=self._max_text,
            )
            sequence, _ = encoder(
                text_hidden_states=encoded,
                text_attention_mask=text_mask,
                lyric_hidden_states=lyrics,
                lyric_attention_mask=lyrics_mask,
                refer_audio_acoustic_hidden_states_packed=timbre.to(self.device, encoded.dtype).contiguous(),
                refer_audio_order_mask=torch.arange(1, device=self.device),
            )
        return sequence[0]

    def _fitting(self, conditioning: Conditioning) -> str:
        """Return a caption that the encoder takes whole: else it would cut off the metadata, which stand behind it."""
        metadata = _metadata(conditioning)

        def fits(caption: str) -> bool:
            text, _ = self._pipeline._format_prompt(caption, audio_duration=_LONGEST_SECONDS, **metadata)
            return len(self._pipeline.tokenizer(text).input_ids) <= self._max_text

        return fitting(conditioning.caption or "", fits)

    def _context(self, count: int, frames: int) -> Tensor:
        """What text-to-music gives the transformer beside the noise: silence, and a mask that says "all of it"."""
        import torch

        silence = self._pipeline.condition_encoder.silence_latent[:, :frames].to(self.device)
        return torch.cat([silence, torch.ones_like(silence)], dim=-1).expand(count, -1, -1)

    def _mask_padding(self, module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002 - the signature of a hook
        return args, kwargs if self._cross_mask is None else kwargs | {"attention_mask": self._cross_mask}

    def _sampling(self) -> _Sampling:
        if self._pipeline.is_turbo:
            return _Sampling(steps=8, shift=3.0, guidance=1.0)
        return _Sampling(steps=10 if self._tiny else 50, shift=1.0, guidance=7.0)


def _lyrics(conditioning: Conditioning) -> str:
    """Return the sections as structure tags, a line each; without any, that nobody sings."""
    return "\n".join(f"[{name.title()}]" for name in conditioning.sections) or _INSTRUMENTAL


def _reach(ratios: Sequence[int]) -> int:
    """Return on how many samples to either side a frame of the autoencoder depends.

    It is of convolutions alone: first one of width 7; for each ratio three of width 7, dilated by 1, 3 and 9, and one
    that is twice as wide as the ratio; in the end one of width 3.
    """
    reach, rate = 3, 1
    for ratio in ratios:
        reach += rate * (3 * (1 + 3 + 9) + ratio)
        rate *= ratio
    return reach + rate


def _metadata(conditioning: Conditioning) -> dict[str, Any]:
    """Return tempo, key and metre by the pipeline's names; of metres the model was trained on these four."""
    return {
        "bpm": round(conditioning.bpm) if conditioning.bpm else None,
        "keyscale": conditioning.musical_key,
        "timesignature": _TIME_SIGNATURES.get(conditioning.time_signature or ""),
    }
