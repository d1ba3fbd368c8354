"""Where MusicGen's base comes from: `tiny`, a model id of the Hugging Face hub, or a folder.

What it is, small or large, mono or stereo, with or without a melody, is said by its configuration and not its name.
"""

from pathlib import Path
from typing import Any

from modal_app.backends.base import BaseModel
from modal_app.backends.musicgen.forms import MELODY
from modal_app.backends.musicgen.tiny import REVISION, build_tiny
from modal_app.backends.pretrained import (
    missing_base,
    name_of,
    require_tokenizer,
    require_whole_weights,
    revision_of,
)
from modal_app.errors import MissingBaseError

LICENCE = "CC-BY-NC-4.0"
"""Of all weights that Meta published. A folder holds those, or what was made from them."""

_INDEX = "config.json"
_WEIGHTS = ("decoder.model.decoder.layers.", "decoder.lm_heads.", "text_encoder.encoder.block.", "enc_to_dec_proj.")
_SHARE_OF_MEMORY = 0.3
_DROPOUTS = ("dropout", "attention_dropout", "activation_dropout", "layerdrop")


def load_model(base: str) -> tuple[Any, Any, BaseModel]:
    """Return the model on the best device there is, its tokenizer, and what to call its base.

    It is in 32 bits, but for the decoder of a model that would fill too much of a GPU so: that is in 16.

    Raises:
        MissingBaseError: the base is not on this machine and can't be had, or is none of MusicGen.
    """
    import torch

    if base == "tiny":
        torch.set_num_threads(1)  # on tiny tensors the threads cost more than they give
        model, tokenizer = build_tiny()
        named = BaseModel("tiny", REVISION, "none: random weights")
    else:
        model, tokenizer = _load_pretrained(base)
        named = BaseModel(name_of(base), revision_of(base, _INDEX), LICENCE)
    if torch.cuda.is_available() and is_too_large(model.decoder, torch.cuda.mem_get_info()[1]):
        halve(model)
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer, named


def is_too_large(decoder: Any, memory: int) -> bool:
    """Return whether a decoder in 32 bits takes more of a GPU's memory, in bytes, than leaves room to train it."""
    numbers: int = sum(weight.numel() for weight in decoder.parameters())
    return 4 * numbers > _SHARE_OF_MEMORY * memory


def halve(model: Any) -> None:
    """Keep a model's frozen decoder in 16 bits; what encodes text and audio stays as exact as it was."""
    import torch

    model.decoder.to(torch.bfloat16)


def _load_pretrained(base: str) -> tuple[Any, Any]:
    import torch
    from transformers import (
        AutoTokenizer,
        MusicgenConfig,
        MusicgenForConditionalGeneration,
        MusicgenMelodyConfig,
        MusicgenMelodyForConditionalGeneration,
    )

    if Path(base).is_dir():
        if not (Path(base) / _INDEX).is_file():
            raise MissingBaseError(
                f"{base}: no MusicGen model is in this folder ({_INDEX} is missing); name one that holds a model"
            )
        require_whole_weights(base, Path(base))
    forms = {
        MusicgenConfig.model_type: (MusicgenConfig, MusicgenForConditionalGeneration),
        MELODY: (MusicgenMelodyConfig, MusicgenMelodyForConditionalGeneration),
    }
    try:
        kind = MusicgenConfig.get_config_dict(base)[0].get("model_type")
        if kind not in forms:
            raise MissingBaseError(f"{base}: no MusicGen model but one of the type {kind}; name another base")
        if Path(base).is_dir():
            require_tokenizer(base, Path(base))
        config_type, model_type = forms[kind]
        config = config_type.from_pretrained(base)
        for name in _DROPOUTS:  # drawn for a whole batch, so a sample's loss would depend on those beside it
            setattr(config.decoder, name, 0.0)
        model, loaded = model_type.from_pretrained(base, config=config, dtype=torch.float32, output_loading_info=True)
        absent = sorted(name for name in loaded["missing_keys"] if name.startswith(_WEIGHTS))
        if absent:  # transformers would draw them by chance, with a warning
            raise MissingBaseError(
                f"{base}: {len(absent)} weights are missing in it, the first is {absent[0]}; download it again"
            )
        return model, AutoTokenizer.from_pretrained(base)
    except MissingBaseError:
        raise
    except Exception as error:  # whatever a library says of a folder that it can't read
        raise missing_base(base, error) from error
