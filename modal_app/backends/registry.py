"""Which backend has which name: one line each, loaded when it is asked for."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from modal_app.adapters.card import AdapterCard
from modal_app.backends.pretrained import revision_of
from modal_app.config import BackendKind

if TYPE_CHECKING:  # needs numpy, which starting a job does not
    from modal_app.backends.base import InferBackend, TrainBackend

BACKENDS = {
    BackendKind.ACE_STEP: "modal_app.backends.ace_step.backend:AceStepBackend",
    BackendKind.MUSICGEN: "modal_app.backends.musicgen.backend:MusicGenBackend",
}

WRITERS = {
    BackendKind.ACE_STEP: "modal_app.backends.ace_step.lora",
    BackendKind.MUSICGEN: "modal_app.backends.musicgen.lora",
}
"""The modules that write an adapter without a base."""

_INDEXES = {BackendKind.ACE_STEP: "model_index.json", BackendKind.MUSICGEN: "config.json"}

IMPORTS = {
    BackendKind.ACE_STEP: (
        *("soundfile", "soxr", "torch", "safetensors.torch", "peft"),
        *("diffusers.pipelines.ace_step.pipeline_ace_step", "transformers.models.qwen3.modeling_qwen3"),
    ),
    BackendKind.MUSICGEN: (
        *("soundfile", "soxr", "torch", "safetensors.torch", "peft"),
        *("transformers.models.musicgen.modeling_musicgen", "transformers.models.encodec.modeling_encodec"),
        "transformers.models.musicgen_melody.modeling_musicgen_melody",
        "transformers.models.t5.modeling_t5",
    ),
}
"""What the jobs of a backend import in the end: seconds of CPU that can be spent once for many jobs."""


def load_train_backend(kind: BackendKind, base: str) -> "TrainBackend":
    """Return the backend with its base loaded, for training.

    Raises:
        MissingBaseError: the base is not on this machine and can't be had.
    """
    return cast("TrainBackend", _load(kind, base))


def load_infer_backend(kind: BackendKind, base: str) -> "InferBackend":
    """Return the backend with its base loaded, for generation.

    Raises:
        MissingBaseError: the base is not on this machine and can't be had.
    """
    return cast("InferBackend", _load(kind, base))


def write_adapter_files(kind: BackendKind, folder: Path, tensors: Mapping[str, Any], card: AdapterCard) -> None:
    """Write an adapter in all formats of its backend, from the tensors of its main file; no base is loaded."""
    importlib.import_module(WRITERS[kind]).rewrite(folder, tensors, card)


def _load(kind: BackendKind, base: str) -> object:
    module, _, name = BACKENDS[kind].partition(":")
    return getattr(importlib.import_module(module), name).load(base)


def revision_now(kind: BackendKind, base: str, loaded: str) -> str:
    """Return the revision of a base as its files are now, without loading it; `loaded` is that of `tiny`."""
    if base == "tiny":
        return loaded
    return revision_of(base, _INDEXES[kind])
