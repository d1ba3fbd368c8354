"""A random adapter of the tiny ACE-Step, what it changes in each module, and what other programs make of its files."""

import json
import math
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modal_app.adapters.card import AdapterCard
from modal_app.adapters.file_format import write_adapter
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.config import BackendKind
from modal_app.protocol.training import AdapterKind, Targets, TrainParameters

Delta = npt.NDArray[np.float64]
Deltas = dict[str, Delta]

_ORIGINAL = {".to_q": ".q_proj", ".to_k": ".k_proj", ".to_v": ".v_proj", ".to_out.0": ".o_proj"}


@dataclass(frozen=True)
class Adapter:
    """The files of a run, and ΔW of each module by the name that the model's authors gave it.

    ΔW = s · B · A, s = alpha / r, or alpha / √r for rsLoRA; for DoRA, of the norms m and W' = W + s · B · A, it is
    m · W' / ‖W'‖ − W, row by row (arXiv 2402.09353).
    """

    run: Path
    card: AdapterCard
    state: dict[str, Any]  # as it is trained: diffusers' names, alpha apart
    deltas: Deltas


def make_adapter(run: Path, targets: Targets = "attention", kind: AdapterKind = "lora") -> Adapter:
    """One whose alpha / rank is no number that floating point holds."""
    import torch

    backend = AceStepBackend.load("tiny")
    parameters = TrainParameters(
        steps=1, batch_size=1, learning_rate=1.0, rank=6, alpha=8, seed=0, targets=targets, adapter_kind=kind
    )
    backend.inject(parameters)
    generator = torch.Generator().manual_seed(1)
    state = {name: torch.randn(part.shape, generator=generator) for name, part in backend.adapter_state().items()}
    backend.load_adapter_state(state)
    card = AdapterCard(
        run_id="run-1",
        producer_id="test-artist",
        model_name="lora",
        backend=BackendKind.ACE_STEP,
        base=backend.base.name,
        base_revision=backend.base.revision,
        base_licence=backend.base.licence,
        dataset_fingerprint="abc",
        recipe="stereo48",
        examples=1,
        songs=1,
        trigger_word="nova",
        parameters=parameters,
        first_loss=1.0,
        final_loss=1.0,
        trainable_parameters=1,
        versions={},
    )
    run.mkdir(parents=True)
    backend.export(run, card)
    names = {name.removesuffix(".lora_A.weight") for name in state if name.endswith(".lora_A.weight")}
    scaling = 8 / math.sqrt(6) if kind == "rslora" else 8 / 6
    deltas = {}
    for name in names:
        module = original(name.removeprefix("base_model.model."))
        delta = scaling * (state[f"{name}.lora_B.weight"].double() @ state[f"{name}.lora_A.weight"].double()).numpy()
        if kind == "dora":
            base = _weights()[module].double().numpy()
            norms = state[f"{name}.lora_magnitude_vector"].double().numpy()[:, None]
            changed = base + delta
            delta = norms * changed / np.linalg.norm(changed, axis=1, keepdims=True) - base
        deltas[module] = delta
    return Adapter(run, card, state, deltas)


def original(name: str) -> str:
    """The authors' name of a module of diffusers' transformer."""
    for diffusers, authors in _ORIGINAL.items():
        name = name.replace(diffusers, authors)
    return name


def former_run(adapter: Adapter, run: Path) -> Path:
    """The run as it was written before: a pair with diffusers' names, and alpha in its configuration."""
    shutil.copytree(adapter.run, run)
    write_adapter(run / "adapter_model.safetensors", adapter.state, adapter.card)
    config = json.loads((run / "adapter_config.json").read_text())
    config |= {"lora_alpha": 8, "target_modules": ["to_k", "to_out.0", "to_q", "to_v"]}
    (run / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return run


# --- other programs; each gives what it changes, and the keys of the file that it left alone ---


def in_diffusers(file: Path) -> tuple[Deltas, set[str]]:
    from modal_app.backends.ace_step.tiny import build_tiny_pipeline

    pipeline = build_tiny_pipeline()
    pipeline.load_lora_weights(file)
    return _peft_deltas(pipeline.transformer), set()  # diffusers refuses keys that it can't place


def in_peft(folder: Path) -> tuple[Deltas, set[str]]:
    """On modules with the authors' names, as their interface has them."""
    from peft import PeftModel, load_peft_weights

    model = PeftModel.from_pretrained(_skeleton(), folder)
    placed = {
        key.replace(".default.", ".").replace("vector.weight", "vector")
        for key in model.state_dict()
        if ".lora_" in key
    }
    return _peft_deltas(model.base_model.model), load_peft_weights(str(folder), device="cpu").keys() - placed


def in_comfyui(file: Path) -> tuple[Deltas, set[str]]:
    """By the rules of comfy/lora.py, comfy/weight_adapter/lora.py and comfy/lora_convert.py.

    As of Comfy-Org/ComfyUI@17358c8f73b581a0d22facc3c385822f09b8bfb1; the model's names are those of
    comfy/ldm/ace/ace_step15.py.
    """
    from safetensors.torch import load_file

    tensors = load_file(file)
    key_map = {}
    for module in _weights():
        weight = f"diffusion_model.decoder.{module}"
        key_map[f"lora_unet_{weight.removeprefix('diffusion_model.').replace('.', '_')}"] = module
        key_map[weight] = module
        key_map[f"base_model.model.{module}"] = module
        key_map[f"lycoris_{module.replace('.', '_')}"] = module
    deltas: Deltas = {}
    used: set[str] = set()
    for prefix, module in key_map.items():
        for up, down in (("lora_up", "lora_down"), ("lora_B", "lora_A")):
            names = f"{prefix}.{up}.weight", f"{prefix}.{down}.weight", f"{prefix}.alpha"
            if names[0] in tensors:
                b, a = (tensors[name].double().numpy() for name in names[:2])
                scale = tensors[names[2]].item() / a.shape[0] if names[2] in tensors else 1.0
                deltas[module] = scale * b @ a
                used |= set(names)
                break
    return deltas, tensors.keys() - used


@cache
def _weights() -> dict[str, Any]:
    """The weight of every linear layer of the transformer's blocks, by the authors' names."""
    import torch

    from modal_app.backends.ace_step.tiny import build_tiny_pipeline

    return {
        original(name): module.weight.detach()
        for name, module in build_tiny_pipeline().transformer.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith("layers.")
    }


def _skeleton() -> Any:
    import torch

    root = torch.nn.Module()
    for name, weight in _weights().items():
        module, (*folders, last) = root, name.split(".")
        for folder in folders:
            if not hasattr(module, folder):
                module.add_module(folder, torch.nn.Module())
            module = module.get_submodule(folder)
        layer = torch.nn.Linear(*reversed(weight.shape))
        layer.weight.data.copy_(weight)
        module.add_module(last, layer)
    return root


def _peft_deltas(model: Any) -> Deltas:
    deltas: Deltas = {}
    for name, module in model.named_modules():
        if not hasattr(module, "get_delta_weight"):
            continue
        adapter = module.active_adapters[0]
        if not module.use_dora[adapter]:
            deltas[original(name)] = module.get_delta_weight(adapter).detach().double().numpy()
            continue
        module.double()  # what PEFT merges comes in the weight's own precision
        before = module.get_base_layer().weight.detach().clone()
        module.merge()
        deltas[original(name)] = (module.get_base_layer().weight.detach() - before).numpy()
    return deltas
