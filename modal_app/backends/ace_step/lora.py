"""The LoRA on ACE-Step's transformer: putting it in, reading it out, and attaching a file strictly.

Names inside here are those of the transformer's modules (`layers.0.self_attn.to_q.lora_A.weight`); those of the files
are in `modal_app/adapters/ace_step_names.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modal_app.adapters import peft_pair
from modal_app.adapters.ace_step_names import by_diffusers, by_original, folded_weights, to_original
from modal_app.adapters.card import AdapterCard
from modal_app.adapters.file_format import write_adapter
from modal_app.adapters.peft_pair import target_now
from modal_app.backends.base import BaseModel, Tensor
from modal_app.backends.lora_checks import require_arrival, require_base, require_effect, require_shapes
from modal_app.config import BackendKind
from modal_app.protocol.training import Targets, TrainParameters

_ATTENTION = ["to_k", "to_out.0", "to_q", "to_v"]
_TARGETS: Mapping[Targets, list[str]] = {
    "attention": _ATTENTION,
    "attention+mlp": [*_ATTENTION, "down_proj", "gate_proj", "up_proj"],
}
_NAME = "dawa"


def inject(transformer: Any, parameters: TrainParameters) -> list[Tensor]:
    """Put a fresh LoRA on the projections that are asked for; only its weights (32 bits) are to be trained."""
    import torch
    from peft import LoraConfig

    with torch.random.fork_rng():
        torch.manual_seed(parameters.seed)
        config = LoraConfig(
            r=parameters.rank,
            lora_alpha=parameters.alpha,
            target_modules=_TARGETS[parameters.targets],
            use_rslora=parameters.adapter_kind == "rslora",
            use_dora=parameters.adapter_kind == "dora",
        )
        transformer.add_adapter(config, adapter_name=_NAME)
    weights = [weight for weight in transformer.parameters() if weight.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()
    return weights


def state(transformer: Any) -> dict[str, Tensor]:
    """Return the adapter's weights by the names of the transformer's modules."""
    from peft import get_peft_model_state_dict

    weights = get_peft_model_state_dict(transformer, adapter_name=_NAME)
    return {name: weight.detach().float().cpu().contiguous().clone() for name, weight in weights.items()}


def fill(transformer: Any, weights: Mapping[str, Tensor]) -> None:
    """Put weights into the injected adapter.

    Raises:
        AdapterError: a name or a shape is not the adapter's.
    """
    from peft import set_peft_model_state_dict

    require_shapes({name: tuple(part.shape) for name, part in state(transformer).items()}, weights, "the adapter")
    set_peft_model_state_dict(transformer, dict(weights), adapter_name=_NAME)


def _peft_config(card: AdapterCard) -> dict[str, Any]:
    """Return what `adapter_config.json` says: the authors' names, and alpha as it is when it is folded into B."""
    from peft import LoraConfig

    trained = _TARGETS[card.parameters.targets]
    targets = [to_original(target) for target in card.targets] or [target_now(target) for target in trained]
    config: dict[str, Any] = LoraConfig(
        r=card.parameters.rank,
        lora_alpha=card.parameters.rank,
        target_modules=targets,
        use_dora=card.parameters.adapter_kind == "dora",  # rsLoRA's scaling is folded in, so that it is a plain one
        base_model_name_or_path=card.base,
        revision=card.base_revision,
        inference_mode=True,
    ).to_dict()
    return config


def write_files(folder: Path, weights: Mapping[str, Tensor], card: AdapterCard) -> list[Path]:
    """Write folded weights as diffusers' file, and as PEFT's pair by the authors' names."""
    files = peft_pair.files_of_run(folder, card)
    write_adapter(files[0], by_diffusers(weights), card)
    write_adapter(files[1], by_original(weights), card)
    files[2].write_text(peft_pair.config_text(_peft_config(card)))
    return files


def rewrite(folder: Path, tensors: Mapping[str, Tensor], card: AdapterCard) -> list[Path]:
    """Write an adapter in both formats from the tensors of a file of ours."""
    return write_files(folder, folded_weights(tensors, card.parameters.scaling), card)


def completed(transformer: Any, weights: Mapping[str, Tensor], card: AdapterCard) -> dict[str, Tensor]:
    """Return the weights with zeros for the modules of the card's targets that they leave alone."""
    import torch

    shapes = _expected_shapes(transformer, card)
    modules = {name.rpartition(".lora_")[0] for name in weights}
    absent = {name: shape for name, shape in shapes.items() if name.rpartition(".lora_")[0] not in modules}
    return {**weights, **{name: torch.zeros(shape) for name, shape in absent.items()}}


def attach(
    pipeline: Any, base: BaseModel, path: Path, card: AdapterCard, tensors: Mapping[str, Tensor], scale: float
) -> None:
    """Put a file's adapter on the pipeline in place of any other.

    Raises:
        AdapterError: another base's, keys missing or too many, or without effect.
    """
    require_base(card, BackendKind.ACE_STEP, base, path)
    weights = folded_weights(tensors, card.parameters.scaling)
    require_shapes(_expected_shapes(pipeline.transformer, card), weights, str(path))
    require_effect(weights, path)
    pipeline.unload_lora_weights()
    pipeline.load_lora_weights(by_diffusers(weights), adapter_name=_NAME)
    pipeline.set_adapters([_NAME], [scale])
    require_arrival(state(pipeline.transformer), weights, path)


def _expected_shapes(transformer: Any, card: AdapterCard) -> dict[str, tuple[int, ...]]:
    rank, shapes = card.parameters.rank, dict[str, tuple[int, ...]]()
    targets = tuple(f".{target}" for target in card.targets or _TARGETS[card.parameters.targets])
    for name, module in transformer.named_modules():
        plain = name.removesuffix(".base_layer")  # a module that carries an adapter already
        if plain.endswith(targets) and hasattr(module, "in_features"):
            shapes[f"{plain}.lora_A.weight"] = (rank, module.in_features)
            shapes[f"{plain}.lora_B.weight"] = (module.out_features, rank)
            if card.parameters.adapter_kind == "dora":
                shapes[f"{plain}.lora_magnitude_vector"] = (module.out_features,)
    return shapes
