"""The PEFT pair that is published: `adapter_model.safetensors` and `adapter_config.json`.

A run's files stay as they were written: their hashes are on record. Where a run is from before ACE-Step's pair had the
authors' names, the published pair is made from the run's, in the same bytes as a training would write now.
"""

import json
from pathlib import Path
from typing import Any

from modal_app.adapters.ace_step_names import by_original, folded_weights, is_former_pair, to_original
from modal_app.adapters.card import CARD_KEY, AdapterCard
from modal_app.adapters.tensor_file import read_arrays, read_header, write_arrays
from modal_app.config import BackendKind
from modal_app.errors import AdapterError

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_MAX_CONFIG = 1 << 20


def files_of_run(folder: Path, card: AdapterCard) -> list[Path]:
    """Return where a training writes its adapter: the one that the generator loads, then PEFT's pair."""
    return [folder / f"{card.producer_id}_{card.model_name}.safetensors", folder / WEIGHTS, folder / CONFIG]


def pair_to_publish(run: Path, card: AdapterCard, folder: Path) -> list[Path]:
    """Return the two files to publish: the run's own, or, where those are of the former form, others in `folder`.

    Raises:
        AdapterError: a file of the run is missing or damaged.
    """
    pair = [run / WEIGHTS, run / CONFIG]
    header = read_header(pair[0])
    if card.backend is not BackendKind.ACE_STEP or not is_former_pair(header.tensors):
        return pair
    config = read_config(pair[1])
    rank, alpha = card.parameters.rank, card.parameters.alpha
    if (config.get("r"), config.get("lora_alpha")) != (rank, alpha):
        raise AdapterError(
            f"{pair[1]}: says rank {config.get('r')} and alpha {config.get('lora_alpha')}, "
            f"the adapter's card {rank} and {alpha}; train it again"
        )
    weights = by_original(folded_weights(read_arrays(pair[0]), card.parameters.scaling))
    write_arrays(folder / WEIGHTS, weights, {CARD_KEY: header.metadata[CARD_KEY]})
    (folder / CONFIG).write_text(config_text(config_now(config, rank)))
    return [folder / WEIGHTS, folder / CONFIG]


def config_now(config: dict[str, Any], rank: int) -> dict[str, Any]:
    """Return the configuration of an ACE-Step pair whose alpha is folded in, by the authors' names."""
    targets = config.get("target_modules") or []
    return config | {"lora_alpha": rank, "target_modules": sorted(map(target_now, targets))}


def target_now(name: object) -> str:
    """Return the authors' name of what a configuration targets, e.g. `to_q`."""
    return to_original(f"self_attn.{name}").removeprefix("self_attn.")


def config_text(config: dict[str, Any]) -> str:
    """Return the content of `adapter_config.json`: sets as lists, everything in a fixed order."""
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    return json.dumps(plain, indent=2, sort_keys=True) + "\n"


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of `adapter_config.json`.

    Raises:
        AdapterError: it is not there, or no JSON object.
    """
    try:
        config = json.loads(path.read_bytes()) if path.stat().st_size <= _MAX_CONFIG else None
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise AdapterError(f"{path}: is not there, or no JSON object of a configuration's size; get it again")
    return config
