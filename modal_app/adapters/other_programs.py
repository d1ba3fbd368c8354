"""An adapter as other programs load it: one file, or PEFT's pair, with card and trigger word in the header.

Alpha is folded in wherever a program would not read it. What each program makes of each form is tested by its own rules
in `tests/modal_app/adapters`.
"""

from pathlib import Path
from typing import Any, Literal, get_args

from modal_app.adapters import peft_pair
from modal_app.adapters.ace_step_names import by_diffusers, by_original, folded_weights
from modal_app.adapters.card import CARD_KEY, AdapterCard
from modal_app.adapters.file_format import read_card
from modal_app.adapters.tensor_file import read_arrays, write_arrays
from modal_app.config import BackendKind
from modal_app.errors import InputError
from modal_app.protocol.training import AdapterKind

Form = Literal["diffusers", "peft", "comfyui", "ace-step"]
FORMS: tuple[Form, ...] = get_args(Form)
FOLDERS: tuple[Form, ...] = ("peft", "ace-step")
"""The forms that are a folder with two files; the others are one file."""
TRIGGER_KEY = "modelspec.trigger_phrase"
"""The trigger word's place in a safetensors header, by the ModelSpec standard."""


def require_form(form: Form, backend: BackendKind, kind: AdapterKind = "lora") -> None:
    """Refuse a form whose program knows no adapters of this generator, or not this kind of them.

    Raises:
        InputError: it does not.
    """
    if backend is BackendKind.MUSICGEN and form != "peft":
        raise InputError(f"{form}: loads no adapters of {backend}, only PEFT does; name --format peft")
    if kind == "dora" and form == "comfyui":  # it divides by the norm of the base's weight, not of the changed one
        raise InputError("comfyui: takes DoRA for something else than it was trained as; name --format peft")


def write_for(form: Form, adapter: Path, config: Path, target: Path) -> AdapterCard:
    """Write a run's adapter to `target`: a new file, or into a folder that is there. The same content, the same bytes.

    `adapter` is the run's main file, `config` its `adapter_config.json`.

    Raises:
        AdapterError: a file is missing, damaged or has no card.
        InputError: the form's program knows no adapters of this generator, or not this kind of them.
    """
    card = read_card(adapter)
    require_form(form, card.backend, card.parameters.adapter_kind)
    notes = {CARD_KEY: card.model_dump_json()} | ({TRIGGER_KEY: card.trigger_word} if card.trigger_word else {})
    weights: dict[str, Any] = dict(read_arrays(adapter))
    if card.backend is BackendKind.ACE_STEP:
        folded = folded_weights(weights, card.parameters.scaling)
        weights = by_diffusers(folded) if form == "diffusers" else by_original(folded)
    if form not in FOLDERS:
        write_arrays(target, weights, notes)
        return card
    settings = peft_pair.read_config(config)
    if card.backend is BackendKind.ACE_STEP:
        settings = peft_pair.config_now(settings, card.parameters.rank)
    write_arrays(target / peft_pair.WEIGHTS, weights, notes)
    (target / peft_pair.CONFIG).write_text(peft_pair.config_text(settings))
    return card
