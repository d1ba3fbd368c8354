"""What the modules of ACE-Step's transformer are called where, and an adapter's weights by those names.

Two sets of names for the same modules: those of the model's authors (`layers.0.self_attn.q_proj`), which their own
interface and ComfyUI know, and those of diffusers (`layers.0.self_attn.to_q`). Weights here are torch's or numpy's.
"""

import re
from collections.abc import Mapping
from typing import Any

PEFT_PREFIX = "base_model.model."
DIFFUSERS_PREFIX = "transformer."

_ORIGINAL = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out.0": "o_proj"}
_DIFFUSERS = {original: name for name, original in _ORIGINAL.items()}
_ATTENTION = r"(?<=_attn\.)({})(?=\.|$)"
_OF_DIFFUSERS = re.compile(_ATTENTION.format("|".join(map(re.escape, _ORIGINAL))))
_OF_ORIGINAL = re.compile(_ATTENTION.format("|".join(_DIFFUSERS)))


def to_original(name: str) -> str:
    """Return the authors' name of a module, or of a weight in it; what both call the same stays as it is."""
    return _OF_DIFFUSERS.sub(lambda found: _ORIGINAL[found[0]], name)


def from_original(name: str) -> str:
    """Return diffusers' name of a module, or of a weight in it."""
    return _OF_ORIGINAL.sub(lambda found: _DIFFUSERS[found[0]], name)


def fold(weights: Mapping[str, Any], scaling: float) -> dict[str, Any]:
    """Multiply every B by its scaling, e.g. alpha / rank: who loads it without alpha takes that to be the rank."""
    return {name: weight * scaling if ".lora_B." in name else weight for name, weight in weights.items()}


def by_diffusers(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return folded weights by the names of diffusers' files."""
    return {DIFFUSERS_PREFIX + name: weight for name, weight in weights.items()}


def by_original(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return folded weights as PEFT stores them, by the authors' names: the one form that everybody loads exactly."""
    return {PEFT_PREFIX + to_original(name): weight for name, weight in weights.items()}


def is_former_pair(names: Mapping[str, object]) -> bool:
    """Return whether a file is a PEFT one of before: diffusers' names, and alpha not folded in."""
    return all(name.startswith(PEFT_PREFIX) for name in names) and any(map(_OF_DIFFUSERS.search, names))


def folded_weights(tensors: Mapping[str, Any], scaling: float) -> dict[str, Any]:
    """Return the weights by diffusers' names with alpha folded in, whichever of our files they are from.

    `scaling` is that of the card.
    """
    if is_former_pair(tensors):
        return fold({name.removeprefix(PEFT_PREFIX): weight for name, weight in tensors.items()}, scaling)
    if all(name.startswith(PEFT_PREFIX) for name in tensors):
        return {from_original(name.removeprefix(PEFT_PREFIX)): weight for name, weight in tensors.items()}
    return {name.removeprefix(DIFFUSERS_PREFIX): weight for name, weight in tensors.items()}
