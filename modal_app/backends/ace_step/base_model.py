"""Where ACE-Step's base comes from: `tiny`, a model id of the Hugging Face hub, or a folder."""

import json
from pathlib import Path
from typing import Any

from modal_app.backends.ace_step.tiny import REVISION, build_tiny_pipeline
from modal_app.backends.base import BaseModel
from modal_app.backends.pretrained import (
    missing_base,
    name_of,
    require_tokenizer,
    require_whole_weights,
    revision_of,
)
from modal_app.errors import MissingBaseError

_INDEX = "model_index.json"
_PIPELINE = "AceStepPipeline"
_WITHOUT_WEIGHTS = "scheduler"


def load_pipeline(base: str) -> tuple[Any, BaseModel]:
    """Return the pipeline on the best device there is, and what to call its base.

    Raises:
        MissingBaseError: the base is not on this machine and can't be had, or is none of ACE-Step.
    """
    import torch

    if base == "tiny":
        # on tiny tensors the threads cost more than they give: 2 of them took 2.3 s for what one does in 0.4 s
        torch.set_num_threads(1)
        pipeline, model = build_tiny_pipeline(), BaseModel("tiny", REVISION, "none: random weights")
    else:
        pipeline = _load_pretrained(base)
        model = BaseModel(name_of(base), revision_of(base, _INDEX), "MIT")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu"), model


def _load_pretrained(base: str) -> Any:
    import torch
    from diffusers import AceStepPipeline

    if Path(base).is_dir():
        _require_pipeline(base, Path(base))
    try:
        dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
        return AceStepPipeline.from_pretrained(base, dtype=dtype)
    except Exception as error:  # whatever a library says of a folder that it can't read
        raise missing_base(base, error) from error


def _require_pipeline(base: str, folder: Path) -> None:
    """Refuse a folder that holds no pipeline of ACE-Step, or not all of it.

    Raises:
        MissingBaseError: it does not; one line with the part that is missing.
    """
    try:
        index = json.loads((folder / _INDEX).read_bytes())
        kind = index["_class_name"]
        parts = {name: part for name, part in index.items() if not name.startswith("_") and part[0] is not None}
    except FileNotFoundError:
        raise MissingBaseError(
            f"{base}: no ACE-Step model is in this folder ({_INDEX} is missing; the authors' own layout is another); "
            "name one in diffusers' layout"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise MissingBaseError(f"{base}: its {_INDEX} can't be read; download it again") from None
    if kind != _PIPELINE:
        raise MissingBaseError(f"{base}: no ACE-Step model but a {kind!r:.60}; name another base")
    for name in sorted(parts):
        if not (folder / name).is_dir():
            raise MissingBaseError(f"{base}: its part {name!r:.60} is missing; download it again")
        if name == "tokenizer":
            require_tokenizer(base, folder / name)
        elif (folder / name / "config.json").is_file() and name != _WITHOUT_WEIGHTS:
            require_whole_weights(base, folder / name)
