"""How strong a foreign adapter is: alpha / rank of every module, from whoever says so. Nothing is guessed.

PEFT keeps alpha in a configuration, which may set it, and the rank, for single modules; diffusers keeps that in the
header; kohya's trainers and ComfyUI's files have a key for each module.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modal_app.adapters import peft_pair
from modal_app.adapters.ace_step_names import PEFT_PREFIX, is_former_pair, to_original
from modal_app.adapters.card import AdapterCard
from modal_app.adapters.tensor_file import TensorHeader
from modal_app.errors import InputError

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")  # ways to begin that take the adapter's part out of the base
_PLAIN = (("peft_type", (None, "LORA")), ("use_dora", (None, False)), ("fan_in_fan_out", (None, False)))
_LITERAL = re.compile(r"[\w.]{1,200}")


@dataclass(frozen=True)
class Strength:
    """By what each module's B is multiplied, and who says so, in one line."""

    scales: dict[str, float]
    told: str


def find_strength(
    path: Path,
    header: TensorHeader,
    ranks: Mapping[str, int],
    alphas: Mapping[str, float],
    config: dict[str, Any] | None,
    card: AdapterCard | None,
) -> Strength:
    """Return the strength of a file's modules; they are named as diffusers does.

    Args:
        path: the file, for messages.
        header: its header.
        ranks: of every module.
        alphas: of every module that has a key for it.
        config: what `adapter_config.json` says, where there is one.
        card: where the file is one of ours.

    Raises:
        InputError: nobody says it, two say different things, or it is no plain LoRA's.
    """
    who = peft_pair.CONFIG
    if config is None:
        config, who = _metadata_config(path, header), "the file's header"
    by_config = None if config is None else {name: _scale_by(path, config, name, ranks[name], who) for name in ranks}
    if alphas:
        without = next((name for name in ranks if name not in alphas), None)
        if without is not None:
            raise InputError(f"{path}: some modules have an alpha, and {without} has none; get it again")
        scales = {name: alphas[name] / ranks[name] for name in ranks}
        if by_config and any(not math.isclose(scales[name], by_config[name], rel_tol=1e-4) for name in ranks):
            raise InputError(f"{path}: its alpha keys and {who} differ in its strength; remove one of them")
        return _strength(scales, ranks, "its alpha keys")
    if by_config is not None:
        return _strength(by_config, ranks, who)
    if card is not None and set(ranks.values()) == {card.parameters.rank}:
        own = card.parameters.scaling if is_former_pair(header.tensors) else 1.0
        return _strength(dict.fromkeys(ranks, own), ranks, "its card")
    if any(key.startswith(PEFT_PREFIX) for key in header.tensors):
        raise InputError(
            f"{path}: PEFT keeps alpha in {peft_pair.CONFIG}, and there is none beside it; "
            "name the folder that has both"
        )
    return _strength(dict.fromkeys(ranks, 1.0), ranks, "custom: nobody speaks of alpha")


def _strength(scales: dict[str, float], ranks: Mapping[str, int], who: str) -> Strength:
    ranges = [
        f"{least:g}" if least == most else f"{least:g} to {most:g}"
        for least, most in ((min(values), max(values)) for values in (scales.values(), ranks.values()))
    ]
    return Strength(scales, f"times {ranges[0]} at rank {ranges[1]}, by {who}")


def _metadata_config(path: Path, header: TensorHeader) -> dict[str, Any] | None:
    """Return PEFT's configuration as diffusers stores it in the header; None where it is not there."""
    stored = header.metadata.get("lora_adapter_metadata")
    if not isinstance(stored, str):
        return None
    try:
        config = json.loads(stored)
        return {key.removeprefix("transformer."): value for key, value in config.items()}
    except (ValueError, AttributeError, RecursionError):
        raise InputError(f"{path}: its `lora_adapter_metadata` is no JSON object; get it again") from None


def _scale_by(path: Path, config: dict[str, Any], module: str, rank: int, who: str) -> float:
    """Return a module's alpha / rank by a configuration, which must be one of plain LoRA."""
    for name, plain in _PLAIN:
        if config.get(name) not in plain:
            raise InputError(f"{path}: {who} says {name} {config[name]!r:.60}, and that is no plain LoRA; convert it")
    begins = config.get("init_lora_weights")
    if isinstance(begins, str) and begins.startswith(_CHANGES_BASE):
        raise InputError(f"{path}: {who} says that it began as {begins:.20}, which changes the base too; convert it")
    stated = _for_module(path, config, "rank_pattern", module, who, config.get("r"))
    if stated != rank:
        raise InputError(
            f"{path}: {who} says rank {stated!r:.20} of {module}, and its weights have {rank}; get it again"
        )
    alpha = _for_module(path, config, "alpha_pattern", module, who, config.get("lora_alpha"))
    try:
        number = math.nan if isinstance(alpha, bool | str) else float(alpha)
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{path}: {who} says nothing of alpha that is a number; get it again")
    return number / (math.sqrt(rank) if config.get("use_rslora") is True else rank)


def _for_module(path: Path, config: dict[str, Any], pattern: str, module: str, who: str, otherwise: Any) -> Any:
    """Return what a pattern says of a module: the first name in it that is the module's, or the end of that."""
    names = config.get(pattern) or {}
    if not isinstance(names, dict) or not all(map(_LITERAL.fullmatch, names)):
        raise InputError(f"{path}: the {pattern} of {who} has more than names of modules in it; convert it")
    own = (module, to_original(module))
    return next(
        (value for name, value in names.items() if any(f".{one}".endswith(f".{name}") for one in own)), otherwise
    )
