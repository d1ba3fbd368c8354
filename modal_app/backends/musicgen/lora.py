"""The LoRA on MusicGen's decoder: putting it in, reading it out, attaching a file strictly, and taking it out whole.

Names are PEFT's (`base_model.model.decoder.model.decoder.layers.0.self_attn.q_proj.lora_A.weight`), in both files.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modal_app.adapters import peft_pair
from modal_app.adapters.card import AdapterCard
from modal_app.adapters.file_format import write_adapter
from modal_app.backends.base import BaseModel, Tensor
from modal_app.backends.lora_checks import require_arrival, require_base, require_effect, require_shapes
from modal_app.config import BackendKind
from modal_app.protocol.training import Targets, TrainParameters

_PREFIX = "base_model.model."
# a regular expression from the top: the text encoder and EnCodec have a `.decoder.` or a `q_proj` of their own
_ATTENTION = r"decoder\.model\.decoder\.layers\.\d+\.(self_attn|encoder_attn)\.(q_proj|k_proj|v_proj|out_proj)"
_TARGETS: Mapping[Targets, str] = {
    "attention": _ATTENTION,
    "attention+mlp": rf"{_ATTENTION}|decoder\.model\.decoder\.layers\.\d+\.(fc1|fc2)",
}
_NAME = "dawa"


class DecoderLora:
    """The place for one LoRA on a model; empty at first."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._tuner: Any = None
        self._targets: Targets = "attention"

    def put_in(self, parameters: TrainParameters) -> list[Tensor]:
        """Put a fresh LoRA in place of any other, and return its weights, which alone are to be trained."""
        import torch
        from peft import LoraConfig, LoraModel

        self.take_out()
        with torch.random.fork_rng():
            torch.manual_seed(parameters.seed)
            config = LoraConfig(
                r=parameters.rank,
                lora_alpha=parameters.alpha,
                target_modules=_TARGETS[parameters.targets],
                use_rslora=parameters.adapter_kind == "rslora",
                use_dora=parameters.adapter_kind == "dora",
            )
            self._targets = parameters.targets
            self._tuner = LoraModel(self._model, config, _NAME)
        weights = [weight for _, weight in self._weights()]
        for weight in weights:
            weight.data = weight.data.float()  # also on a base in 16 bits
        return weights

    def take_out(self) -> None:
        """Give the model its own layers back; nothing of the LoRA is left in it."""
        if self._tuner is None:
            return
        self._tuner.unload()
        self._tuner = None

    def state(self) -> dict[str, Tensor]:
        """Return its weights, on the CPU, in 32 bits."""
        return {name: weight.detach().float().cpu().contiguous().clone() for name, weight in self._weights()}

    def fill(self, state: Mapping[str, Tensor]) -> None:
        """Put weights into it, bit by bit.

        Raises:
            AdapterError: a name or a shape is not the adapter's.
        """
        import torch

        weights = dict(self._weights())
        require_shapes({name: tuple(weight.shape) for name, weight in weights.items()}, state, "the adapter")
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(state[name])

    def attach(self, base: BaseModel, path: Path, card: AdapterCard, state: Mapping[str, Tensor], scale: float) -> None:
        """Put a file's adapter on the model in place of any other; one that is refused changes nothing.

        Raises:
            AdapterError: another base's, keys missing or too many, or without effect.
        """
        require_base(card, BackendKind.MUSICGEN, base, path)
        require_shapes(self._expected_shapes(card.parameters), state, str(path))
        require_effect(state, path)
        self.put_in(card.parameters)
        self.fill(state)
        for _, layer in self._layers(self._targets):
            layer.set_scale(_NAME, scale)
        require_arrival(self.state(), state, path)

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        for name, layer in self._layers(self._targets):
            yield f"{_PREFIX}{name}.lora_A.weight", layer.lora_A[_NAME].weight
            yield f"{_PREFIX}{name}.lora_B.weight", layer.lora_B[_NAME].weight
            if _NAME in layer.lora_magnitude_vector:
                yield f"{_PREFIX}{name}.lora_magnitude_vector", layer.lora_magnitude_vector[_NAME].weight

    def _layers(self, targets: Targets) -> Iterator[tuple[str, Any]]:
        for name, layer in self._model.named_modules():
            if re.fullmatch(_TARGETS[targets], name):
                yield name, layer

    def _expected_shapes(self, parameters: TrainParameters) -> dict[str, tuple[int, ...]]:
        rank, shapes = parameters.rank, dict[str, tuple[int, ...]]()
        for name, layer in self._layers(parameters.targets):
            shapes[f"{_PREFIX}{name}.lora_A.weight"] = (rank, layer.in_features)
            shapes[f"{_PREFIX}{name}.lora_B.weight"] = (layer.out_features, rank)
            if parameters.adapter_kind == "dora":
                shapes[f"{_PREFIX}{name}.lora_magnitude_vector"] = (layer.out_features,)
        return shapes


def rewrite(folder: Path, tensors: Mapping[str, Tensor], card: AdapterCard) -> list[Path]:
    """Write PEFT's pair from weights by PEFT's names, and the same weights under the name of producer and model."""
    files = peft_pair.files_of_run(folder, card)
    for path in files[:2]:
        write_adapter(path, tensors, card)
    files[2].write_text(peft_pair.config_text(peft_config(card)))
    return files


def peft_config(card: AdapterCard) -> dict[str, Any]:
    """Return what `adapter_config.json` says."""
    from peft import LoraConfig

    config: dict[str, Any] = LoraConfig(
        r=card.parameters.rank,
        lora_alpha=card.parameters.alpha,
        target_modules=_TARGETS[card.parameters.targets],
        use_rslora=card.parameters.adapter_kind == "rslora",
        use_dora=card.parameters.adapter_kind == "dora",
        base_model_name_or_path=card.base,
        revision=card.base_revision,
        inference_mode=True,
    ).to_dict()
    return config
