"""What every music generator offers to training and to generation. No implementation here, and no torch.

A backend stays thin: it knows its model. The loop, the caches, seeds, files and progress are the trainer's.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from modal_app.protocol import TrainParameters
from modal_app.training.card import AdapterCard

Signal = npt.NDArray[np.float32]
Tensor = Any  # torch.Tensor; torch is imported where it is used


@dataclass(frozen=True)
class BaseModel:
    """The model that an adapter belongs to."""

    name: str  # `tiny`, a model id, or the last part of a local path
    revision: str  # which weights of that name
    licence: str


@dataclass(frozen=True)
class TrainExample:
    """One segment, as a backend trains on it."""

    encoded: Mapping[str, Tensor]  # what `encode` gave
    caption: str
    bpm: float | None
    seconds: float


class Backend(Protocol):
    """A generator with its base model loaded."""

    base: BaseModel
    sample_rate: int
    channels: int

    def versions(self) -> dict[str, str]:
        """The versions of the libraries it stands on, for the card."""


class TrainBackend(Backend, Protocol):
    """A generator that can be fine-tuned."""

    def encode(self, audio: Signal) -> Mapping[str, Tensor]:
        """Audio `[channels, samples]` at `sample_rate`, within ±1, as the model sees it; depends on the base only."""

    def bucket_key(self, example: TrainExample) -> Hashable:
        """Examples with one key may share a batch."""

    def inject(self, parameters: TrainParameters) -> Sequence[Tensor]:
        """Put a fresh adapter into the model, the same for the same seed; returns what is to be trained."""

    def loss(self, batch: Sequence[TrainExample], generator: Any) -> Tensor:
        """The training loss of a batch; all that is drawn (times, noise, dropout) comes from the generator."""

    def val_loss(self, examples: Sequence[TrainExample]) -> float:
        """The mean loss on a fixed grid of noise and times, without dropout: comparable between any two calls."""

    def adapter_state(self) -> dict[str, Tensor]:
        """The adapter's weights by PEFT's names, on the CPU, in 32 bits."""

    def load_adapter_state(self, state: Mapping[str, Tensor]) -> None:
        """Put weights into the injected adapter.

        Raises:
            AdapterError: a name or a shape is not the adapter's.
        """

    def export(self, folder: Path, card: AdapterCard) -> list[Path]:
        """Write the adapter as other tools load it: `<producer>_<model>.safetensors` and PEFT's two files."""


class InferBackend(Backend, Protocol):
    """A generator that renders audio."""

    def attach(self, path: Path, scale: float) -> AdapterCard:
        """Put an adapter on the model in place of any other. Strict: it fits in every key, and does something.

        Raises:
            AdapterError: it does not fit; the message says in what.
        """

    def detach(self) -> None:
        """Take the adapter off again; nothing of it is left."""

    def generate(self, prompt: str, seconds: float, seed: int) -> Signal:
        """Audio `[channels, samples]` of exactly `round(seconds * sample_rate)` samples; the same for the same seed."""
