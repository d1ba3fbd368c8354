"""Adapters of other programs for ACE-Step: plain LoRA in any of the common names, read strictly and at full strength.

A file from elsewhere is anybody's: only safetensors is read, of bounded size; every key must be known, every module
whole, and it must be said somewhere how strong it is. Whether it fits a certain base is asked with that base loaded.
"""

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from modal_app.adapters import peft_pair
from modal_app.adapters.ace_step_names import from_original
from modal_app.adapters.card import CARD_KEY, AdapterCard
from modal_app.adapters.foreign_strength import find_strength
from modal_app.adapters.other_programs import TRIGGER_KEY
from modal_app.adapters.tensor_file import Array, TensorHeader, read_arrays, read_header
from modal_app.config import BackendKind
from modal_app.data_root.digests import sha256_file
from modal_app.errors import AdapterError, InputError

_MAX_BYTES = 4 << 30
_MAX_HEADER = 16 << 20
_MAX_RANK = 1024
_MAX_TRIGGER = 60
_MAX_SHOWN = 120

_ATTENTION = "(?:self_attn|cross_attn)"
_MODULE = re.compile(
    r"(?:base_model\.model\.|transformer\.|diffusion_model\.decoder\.)?"
    rf"(layers\.(?:0|[1-9]\d{{0,3}})\.(?:{_ATTENTION}\.(?:[qkvo]_proj|to_[qkv]|to_out\.0)|mlp\.(?:gate|up|down)_proj))"
)
_FLAT_MODULE = re.compile(  # of kohya's and LyCORIS' trainers, which write `_` for every dot
    r"(?:lora_unet_decoder|lora_unet|lora_transformer|lycoris)_"
    rf"layers_(0|[1-9]\d{{0,3}})_(?:({_ATTENTION})_([qkvo]_proj|to_[qkv]|to_out_0)|(mlp)_((?:gate|up|down)_proj))"
)
_KEY = re.compile(r"(.+)\.(?:(lora_A|lora_B|lora_down|lora_up)(?:\.default)?\.weight|(alpha))")
_PARTS = {"lora_A": "A", "lora_down": "A", "lora_B": "B", "lora_up": "B", None: "alpha"}
_OTHER_KINDS = {
    "lokr_": "a LoKr",
    "hada_": "a LoHa",
    "oft_": "an OFT",
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "lora_mid": "a LoCon",
}


@dataclass(frozen=True)
class ForeignAdapter:
    """An adapter as it was read: folded weights by diffusers' names, and what is known of where it comes from."""

    weights: dict[str, Array]
    rank: int
    """The largest of its modules'; all have it."""
    targets: list[str]
    """What it changes in some layer, e.g. `self_attn.to_q`."""
    files: dict[str, str]
    """The names of the files that it was read from, with their SHA-256."""
    scale: str
    """How strong it is, and who says so; one line."""
    trigger_word: str
    base: str | None
    """The base that it says it was trained on; None where it does not."""
    card: AdapterCard | None
    """Where it is one of ours, from another installation."""


@dataclass
class _Module:
    """The parts of one module's adapter, with the keys that they have in the file."""

    parts: dict[str, Array] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


def read_foreign(source: Path) -> ForeignAdapter:
    """Read a safetensors file, or PEFT's folder.

    Raises:
        InputError: it can't be read, is no plain LoRA of ACE-Step, or nobody says how strong it is; one line, with the
            first key that is wrong where one is.
    """
    weights_path = _weights_of(source)
    config_path = weights_path.with_name(peft_pair.CONFIG)
    has_config = config_path.is_file() and (source.is_dir() or weights_path.name == peft_pair.WEIGHTS)
    try:
        header = read_header(weights_path, largest=_MAX_HEADER, way_out="get it again")
        modules = _modules(weights_path, header)
        for name, array in read_arrays(weights_path).items():
            place, part = _place(name) or ("", "")  # all are known by now
            modules[place].parts[part] = array
        config = peft_pair.read_config(config_path) if has_config else None
    except AdapterError as error:
        raise InputError(str(error)) from None
    card = _card_in(header)
    if card is not None and card.backend is not BackendKind.ACE_STEP:
        raise InputError(f"{weights_path}: is an adapter of {card.backend}; only those of ACE-Step can be taken in")
    ranks = _ranks(weights_path, modules)
    alphas = {name: _alpha_of(weights_path, module) for name, module in modules.items() if "alpha" in module.parts}
    strength = find_strength(weights_path, header, ranks, alphas, config, card)
    rank = max(ranks.values())
    weights = _folded(modules, rank, strength.scales)
    _require_numbers(weights_path, weights)
    files = [weights_path, config_path] if config is not None else [weights_path]
    return ForeignAdapter(
        weights=weights,
        rank=rank,
        targets=sorted({name.split(".", 2)[2] for name in modules}),
        files={_plain(path.name): sha256_file(path) for path in files},
        scale=strength.told,
        trigger_word=card.trigger_word if card is not None and card.trigger_word else _trigger_in(header),
        base=card.base if card is not None else _base_in(config or {}),
        card=card,
    )


def fingerprint_of(foreign: ForeignAdapter) -> str:
    """Return SHA-256 of the files that an adapter was read from."""
    return hashlib.sha256(json.dumps(foreign.files, sort_keys=True).encode()).hexdigest()


def _weights_of(source: Path) -> Path:
    """Return the file with the weights."""
    path = source / peft_pair.WEIGHTS if source.is_dir() else source
    if not path.is_file():
        is_pickle = bool(list(source.glob("*.bin")))
        what = "has only a file that may run code when it is loaded" if is_pickle else "holds no adapter"
        raise InputError(f"{source}: {what}; name a .safetensors file, or a folder with {peft_pair.WEIGHTS}")
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: is no .safetensors file; other files may run code when they are loaded, convert it")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes, more than {_MAX_BYTES}; that is no LoRA of ACE-Step"
        )
    return path


def _place(key: str) -> tuple[str, str] | None:
    """Return the module, by diffusers' name, and the part of its adapter that a key is of; None for no such key."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    module = _MODULE.fullmatch(found[1])
    if module is not None:
        return from_original(module[1]), _PARTS[found[2]]
    flat = _FLAT_MODULE.fullmatch(found[1])
    if flat is None:
        return None
    block, last = (flat[2], flat[3]) if flat[2] else (flat[4], flat[5])
    return from_original(f"layers.{flat[1]}.{block}.{last.replace('to_out_0', 'to_out.0')}"), _PARTS[found[2]]


def _modules(path: Path, header: TensorHeader) -> dict[str, _Module]:
    """Return the modules that the keys name, each whole; nothing of their weights is read yet."""
    modules: dict[str, _Module] = defaultdict(_Module)
    for key in sorted(header.tensors):
        placed = _place(key)
        if placed is None:
            kind = next((kind for part, kind in _OTHER_KINDS.items() if part in key), None)
            why = f"is of {kind}, and only plain LoRA can be taken in" if kind else "fits no module of ACE-Step"
            raise InputError(f"{path}: the key {_shown(key)} {why}; convert it, or name another file")
        module, part = placed
        if part in modules[module].keys:
            other = _shown(modules[module].keys[part])
            raise InputError(f"{path}: the keys {other} and {_shown(key)} are of one module; get it again")
        modules[module].keys[part] = key
    for name, found in sorted(modules.items()):
        missing = sorted({"A", "B"} - found.keys.keys())
        if missing:
            raise InputError(f"{path}: {name} has no {missing[0]}, which LoRA is made of; get the whole file")
    return modules


def _ranks(path: Path, modules: dict[str, _Module]) -> dict[str, int]:
    """Return each module's rank, after a look at every shape."""
    ranks = {}
    for name, module in modules.items():
        down, up = module.parts["A"], module.parts["B"]
        if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1] or not min(*down.shape, *up.shape):
            raise InputError(
                f"{path}: the keys {_shown(module.keys['A'])} and {_shown(module.keys['B'])} have the shapes "
                f"{down.shape} and {up.shape}, which are those of no LoRA; get it again"
            )
        ranks[name] = int(down.shape[0])
        if ranks[name] > _MAX_RANK:
            raise InputError(f"{path}: {name} has rank {ranks[name]}, more than {_MAX_RANK}; resize it")
    return ranks


def _folded(modules: dict[str, _Module], rank: int, scales: dict[str, float]) -> dict[str, Array]:
    """Return all weights at one rank, which zeros fill up where a module's is less: that changes nothing."""
    weights: dict[str, Array] = {}
    for name, module in sorted(modules.items()):
        down, up = module.parts["A"], module.parts["B"]
        room = rank - down.shape[0]
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at
            weights[f"{name}.lora_A.weight"] = np.pad(down, ((0, room), (0, 0)))
            weights[f"{name}.lora_B.weight"] = np.pad(up * np.float32(scales[name]), ((0, 0), (0, room)))
    return weights


def _alpha_of(path: Path, module: _Module) -> float:
    alpha = module.parts["alpha"]
    if alpha.size != 1 or not np.isfinite(alpha).all():
        raise InputError(f"{path}: {_shown(module.keys['alpha'])} is not one number; get it again")
    return float(alpha.reshape(()))


def _require_numbers(path: Path, weights: dict[str, Array]) -> None:
    """Require all weights to be numbers, and not every B to be zero."""
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} has weights that are no numbers (NaN); get it again")
    if not any(array.any() for name, array in weights.items() if ".lora_B." in name):
        raise InputError(f"{path}: has no effect: every B is zero, it was never trained; name another file")


def _card_in(header: TensorHeader) -> AdapterCard | None:
    try:
        return AdapterCard.model_validate_json(header.metadata[CARD_KEY])
    except (KeyError, ValidationError):
        return None


def _trigger_in(header: TensorHeader) -> str:
    word = header.metadata.get(TRIGGER_KEY)
    return word if isinstance(word, str) and len(word) <= _MAX_TRIGGER and word.isprintable() else ""


def _base_in(config: dict[str, Any]) -> str | None:
    """Return a model's id, or the last part of a folder: where that lay on another machine is nobody's business."""
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str):
        return None
    parts = [part for part in re.split(r"[/\\]", named) if part]
    return _plain(named if len(parts) == 2 and "/".join(parts) == named else "".join(parts[-1:])) or None


def _plain(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:_MAX_SHOWN]


def _shown(key: str) -> str:
    return repr(key if len(key) <= _MAX_SHOWN else f"{key[:_MAX_SHOWN]}…")
