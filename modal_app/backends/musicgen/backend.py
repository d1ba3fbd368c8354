"""MusicGen through transformers and peft: how this model is loaded, trained, adapted and sampled.

Music is four streams of codes at 50 frames a second (EnCodec, 32 kHz; a stereo model has four for each side), and the
decoder says the next code of each from the text and the codes before. Melody, which could be hummed to, is asked by
text alone. The base stays in 32 bits; autocast makes the large products in 16 where it is set.
"""

import importlib.metadata
import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from modal_app.adapters.card import AdapterCard
from modal_app.adapters.file_format import read_adapter
from modal_app.backends.base import BaseModel, Conditioning, Signal, Tensor, TrainExample, ValidationGrid
from modal_app.backends.musicgen.base_model import load_model
from modal_app.backends.musicgen.delay_pattern import delayed, delays_of
from modal_app.backends.musicgen.forms import form_of
from modal_app.backends.musicgen.lora import DecoderLora, rewrite
from modal_app.backends.musicgen.sampling import Sampling, draw_codes
from modal_app.backends.text_length import fitting
from modal_app.errors import JobError
from modal_app.protocol.training import TrainParameters

_MAX_TOKENS = 512  # of a text; of a longer one, whole clauses are left off
_TEXT_BYTES = 1 << 28  # of encoded texts that are kept; a long one of the true model takes half a megabyte


class MusicGenBackend:
    """Both faces of MusicGen: training and rendering."""

    metadata: frozenset[str] = frozenset()  # its text is all that it is told
    caption_dropout = 0.1  # of the authors, so that guidance keeps working
    context_seconds = 2.0  # its encoder has a memory (LSTM) that fades; see `docs/training.md` for what is left of it

    def __init__(self, model: Any, tokenizer: Any, base: BaseModel) -> None:
        self.base = base
        self._model, self._tokenizer = model.requires_grad_(False), tokenizer
        self._decoder, self._codec = model.decoder, model.audio_encoder
        self.device = model.device
        self.sample_rate: int = self._codec.config.sampling_rate
        self.frame_samples: int = self._codec.config.hop_length
        self.channels: int = self._decoder.config.audio_channels
        self._delays = delays_of(self._decoder.config.num_codebooks, self.channels)
        self._form = form_of(model)
        self._lora = DecoderLora(model)
        self._sampling = Sampling()
        self._texts: OrderedDict[str, Tensor] = OrderedDict()
        self._text_bytes = 0

    @classmethod
    def load(cls, base: str) -> Self:
        """Load a base: `tiny`, a model id, or a local path.

        Raises:
            MissingBaseError: it is not on this machine and can't be had.
        """
        return cls(*load_model(base))

    def versions(self) -> dict[str, str]:
        """Return what this backend stands on."""
        return {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")}

    # --- training ---

    def encode(self, audio: Signal) -> dict[str, Tensor]:
        """Return the `codes`, integers `[frames, codebooks]`, 50 frames a second."""
        import torch

        padded = np.pad(audio, ((0, 0), (0, -audio.shape[1] % self.frame_samples)))
        with torch.no_grad():
            streams = self._codec.encode(torch.from_numpy(padded).to(self.device)[:, None]).audio_codes[0]
        return {"codes": streams.permute(2, 1, 0).flatten(1).to(torch.int16).cpu().contiguous()}

    def bucket_key(self, example: TrainExample) -> Hashable:
        """Return the number of frames. Texts of different length share a batch: their padding is masked."""
        return int(example.encoded["codes"].shape[0])

    def inject(self, parameters: TrainParameters) -> list[Tensor]:
        """Return a fresh LoRA on all attention projections of the decoder; returns its weights."""
        return self._lora.put_in(parameters)

    def checkpoint_gradients(self) -> None:
        """Keep the layers' inputs only; see `TrainBackend`."""
        self._decoder.activation_checkpointing_enable()
        self._decoder.train()  # it is done in training only; there is no dropout that this would switch on

    def loss(self, batch: Sequence[TrainExample], seeds: Sequence[int]) -> Tensor:  # noqa: ARG002 - nothing is drawn
        """Return the mean over codebooks and frames of the codes' cross-entropy; see `TrainBackend`."""
        import torch

        config = self._decoder.config
        spread = [delayed(example.encoded["codes"].long(), self._delays, config.pad_token_id) for example in batch]
        labels = torch.stack(spread).to(self.device)
        codes = torch.nn.functional.pad(labels[:, :-1], (0, 0, 1, 0), value=config.bos_token_id)
        logits = self._form.logits(codes, [self._text(example.conditioning.caption) for example in batch])
        losses = [
            torch.nn.functional.cross_entropy(
                logits[:, book].flatten(0, 1).float(), labels[..., book].flatten(), ignore_index=config.pad_token_id
            )
            for book in range(config.num_codebooks)
        ]
        return torch.stack(losses).mean()

    def val_loss(self, examples: Sequence[TrainExample], grid: ValidationGrid) -> float:  # noqa: ARG002 - no noise here
        """Return the mean of the examples' losses, each by itself; see `TrainBackend`."""
        import torch

        with torch.no_grad():
            losses = [float(self.loss([example], [0])) for example in examples]
        return math.fsum(losses) / len(losses)

    def adapter_state(self) -> dict[str, Tensor]:
        """Return the adapter's weights by PEFT's names."""
        return self._lora.state()

    def load_adapter_state(self, state: Mapping[str, Tensor]) -> None:
        """Put weights into the injected adapter; see `TrainBackend`."""
        self._lora.fill(state)

    def release(self) -> None:
        """Take out the adapter, the texts and the way gradients were computed; see `TrainBackend`."""
        self.detach()
        self._decoder.activation_checkpointing_disable()
        self._decoder.eval()
        self._texts.clear()
        self._text_bytes = 0

    def export(self, folder: Path, card: AdapterCard) -> list[Path]:
        """Write PEFT's pair, and the same weights under the name of producer and model."""
        return rewrite(folder, self.adapter_state(), card)

    # --- rendering ---

    def attach(self, path: Path, scale: float) -> AdapterCard:
        """Put an adapter on in place of any other; see `InferBackend`."""
        card, state = read_adapter(path)
        self._lora.attach(self.base, path, card, state, scale)
        return card

    def detach(self) -> None:
        """Take the adapter off again."""
        self._lora.take_out()

    def generate(self, conditioning: Conditioning, seconds: float, seed: int) -> Signal:
        """Render `[channels, samples]`, exactly as long as asked: whole frames, and what is too much cut off.

        Raises:
            JobError: the model gave no numbers.
        """
        import torch

        frames = max(1, math.ceil(seconds * self.sample_rate / self.frame_samples))
        bf16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        with torch.no_grad():  # not `inference_mode`: texts that are encoded here may be trained on later
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bf16):
                condition = self._form.condition([self._text(conditioning.caption), None])
                codes, sane = draw_codes(self._decoder, condition, frames, seed, self._sampling)
            streams = codes.unflatten(1, (-1, self.channels)).permute(2, 1, 0)
            audio = self._codec.decode(streams[None], [None]).audio_values[:, 0]
        signal: Signal = audio.float().cpu().numpy()[:, : round(seconds * self.sample_rate)]
        if not (sane and np.isfinite(signal).all()):
            raise JobError(f"{self.base.name}: rendered numbers that are no audio (NaN); try another seed or adapter")
        return signal

    # --- what the decoder hears of a text ---

    def _text(self, caption: str | None) -> Tensor | None:
        """Return a text as states `[tokens, hidden]`. Each is encoded once, as far as they find room."""
        if caption is None:
            return None
        states = self._texts.pop(caption, None)
        if states is None:
            states = self._encode_text(caption)
            self._text_bytes += states.nbytes
        self._texts[caption] = states
        while self._text_bytes > _TEXT_BYTES and len(self._texts) > 1:
            self._text_bytes -= self._texts.popitem(last=False)[1].nbytes
        return states

    def _encode_text(self, caption: str) -> Tensor:
        import torch

        caption = fitting(caption, lambda text: len(self._tokenizer(text)["input_ids"]) <= _MAX_TOKENS)
        tokens = self._tokenizer(caption, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            states = self._model.text_encoder(
                input_ids=tokens["input_ids"].to(self.device), attention_mask=tokens["attention_mask"].to(self.device)
            )[0]
            projection = getattr(self._model, "enc_to_dec_proj", None)  # none where both have one width
            return (projection(states) if projection else states)[0]
