"""Where ACE-Step's base comes from: `tiny`, a model id of the Hugging Face hub, or a folder."""

from pathlib import Path
from typing import Any

from modal_app.backends.ace_step.tiny import REVISION, build_tiny_pipeline
from modal_app.backends.base import BaseModel
from modal_app.backends.pretrained import missing_base, name_of, revision_of
from modal_app.errors import MissingBaseError

_INDEX = "model_index.json"


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

    if Path(base).is_dir() and not (Path(base) / _INDEX).is_file():
        raise MissingBaseError(
            f"{base}: no ACE-Step model is in this folder ({_INDEX} is missing); name one that holds a model"
        )
    try:
        dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
        return AceStepPipeline.from_pretrained(base, dtype=dtype)
    except (OSError, ValueError, RuntimeError) as error:  # the hub's errors are OSErrors; bad names are ValueErrors
        raise missing_base(base, error) from error
