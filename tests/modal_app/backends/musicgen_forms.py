"""Small models of each form of MusicGen, and a second of music as they hear it."""

from pathlib import Path

import numpy as np

from modal_app.backends.base import BaseModel, Conditioning, TrainExample
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.backends.musicgen.tiny import build_tiny

FORMS = {"stereo": (2, False), "melody": (1, True), "stereo-melody": (2, True)}
"""Channels, and whether it takes a melody."""


def musicgen(channels: int, is_melody: bool) -> MusicGenBackend:
    """The form's backend, in this process alone."""
    model, tokenizer = build_tiny(channels=channels, is_melody=is_melody)
    return MusicGenBackend(model, tokenizer, BaseModel("form", "1", "none"))


def example(backend: MusicGenBackend, caption: str | None) -> TrainExample:
    """A second of a pulse, on one side quieter than on the other."""
    time = np.arange(32_000) / 32_000
    pulse = np.sin(2 * np.pi * 110 * time) * np.exp(-5 * (2 * time % 1))
    audio = np.stack([pulse * (0.8 - 0.3 * side) for side in range(backend.channels)]).astype(np.float32)
    return TrainExample(f"{caption}", backend.encode(audio), Conditioning(caption, 120.0, "A minor"), 1.0)


def saved(backend: MusicGenBackend, folder: Path) -> Path:
    """The base as it would have been downloaded."""
    backend._model.save_pretrained(folder)
    backend._tokenizer.save_pretrained(folder)
    return folder
