"""What every music generator offers to training and to generation. No implementation here, and no torch.

A backend stays thin: it knows its model. The loop, the caches, seeds, files and progress are the trainer's. A new one
is one file here, its name in `BackendKind` and its line in `registry.py`.
"""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from modal_app.adapters.card import AdapterCard
from modal_app.protocol.song_timeline import Section
from modal_app.protocol.training import TrainParameters

Signal = npt.NDArray[np.float32]
Tensor = Any  # torch.Tensor; torch is imported where it is used


@dataclass(frozen=True)
class BaseModel:
    """The model that an adapter belongs to."""

    name: str  # `tiny`, a model id, or the last part of a local path
    revision: str  # which weights of that name
    licence: str


@dataclass(frozen=True)
class Conditioning:
    """What a generator gets to know of music, in training and in rendering; made by `training/caption_rule.py`."""

    caption: str | None  # None: without any text, as guidance needs it
    bpm: float | None = None
    musical_key: str | None = None  # e.g. `A minor`
    time_signature: str | None = None  # e.g. `4/4`
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class TrainExample:
    """One segment or crop, as a backend trains on it in one step."""

    key: str  # the segment's SHA-256, or what crop of which track it is
    encoded: Mapping[str, Tensor]  # what `encode` gave
    conditioning: Conditioning
    seconds: float  # of the song that it is of: the length that the generator's metadata state


@dataclass(frozen=True)
class ValidationGrid:
    """The noise and the times at which a validation loss is taken: with the same grid, losses can be compared."""

    times: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)  # from 0 (the music) to 1 (noise alone)
    seed: int = 0

    def noise_seed(self, example: TrainExample) -> int:
        """Return the seed of an example's noise: its own, whichever examples are beside it."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}:{example.key}".encode()).digest()[:7])


class Backend(Protocol):
    """A generator with its base model loaded."""

    base: BaseModel
    sample_rate: int
    channels: int
    metadata: frozenset[str]  # kinds of a caption's parts that it takes beside the text: of `section`, `tempo`, `key`

    @classmethod
    def load(cls, base: str) -> Self:
        """Load a base: `tiny`, a model id, or a local path; on the best device there is.

        Raises:
            MissingBaseError: it is not on this machine and can't be had.
        """

    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries it stands on, for the card."""


class TrainBackend(Backend, Protocol):
    """A generator that can be fine-tuned."""

    device: Any  # torch.device
    caption_dropout: float  # the share of samples to train without text; 0 where nobody generates so
    frame_samples: int  # samples of audio in one frame of what `encode` gives, at `sample_rate`
    context_seconds: float  # of audio beside a frame that its encoding depends on, on either side

    def encode(self, audio: Signal) -> Mapping[str, Tensor]:
        """Audio `[channels, samples]` at `sample_rate`, within ±1, as the model sees it; depends on the base only.

        Tensors `[frames, …]` on the CPU, a last frame filled up with silence. What is random in it is left as its
        parameters (mean and std), for each step to draw from.
        """

    def bucket_key(self, example: TrainExample) -> Hashable:
        """Examples with one key may share a batch; depends on `encoded` only."""

    def inject(self, parameters: TrainParameters) -> Sequence[Tensor]:
        """Put a fresh adapter into the model, the same for the same seed; returns what is to be trained, in 32 bits."""

    def checkpoint_gradients(self) -> None:
        """From here on compute activations twice instead of keeping them: slower, for less memory."""

    def loss(self, batch: Sequence[TrainExample], seeds: Sequence[int]) -> Tensor:
        """Return the mean of the samples' training losses, to call `backward` on before the next call.

        What is drawn for a sample comes from its own seed, and its loss does not depend on the samples beside it:
        a batch may be cut anywhere. The loop has set autocast where the device has it.
        """

    def val_loss(self, examples: Sequence[TrainExample], grid: ValidationGrid) -> float:
        """Return the mean loss over the grid, nothing drawn: comparable between any two calls with the same arguments.

        A backend that has no noise or times takes no notice of them.
        """

    def adapter_state(self) -> dict[str, Tensor]:
        """Return the adapter's weights by PEFT's names, on the CPU, in 32 bits."""

    def load_adapter_state(self, state: Mapping[str, Tensor]) -> None:
        """Put weights into the injected adapter, bit by bit.

        Raises:
            AdapterError: a name or a shape is not the adapter's.
        """

    def release(self) -> None:
        """Take out all that a training left: the base is then as it was loaded, and knows nothing of the artist."""

    def export(self, folder: Path, card: AdapterCard) -> list[Path]:
        """Write the adapter as other tools load it: `<producer>_<model>.safetensors` and PEFT's two files."""


def frames_per_second(backend: TrainBackend) -> float:
    """Return how many frames of what a backend encodes make a second of audio."""
    return backend.sample_rate / backend.frame_samples


class InferBackend(Backend, Protocol):
    """A generator that renders audio."""

    def attach(self, path: Path, scale: float) -> AdapterCard:
        """Put an adapter on the model in place of any other. Strict: it fits in every key, and does something.

        Raises:
            AdapterError: it does not fit; the message says in what.
        """

    def detach(self) -> None:
        """Take the adapter off again; nothing of it is left."""

    def generate(self, conditioning: Conditioning, seconds: float, seed: int) -> Signal:
        """Audio `[channels, samples]` of exactly `round(seconds * sample_rate)` samples; the same for the same seed."""
