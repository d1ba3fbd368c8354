"""Adapter files: safetensors with the card in the header. Reading tells why a file is no adapter of ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modal_app.adapters.card import CARD_KEY, AdapterCard
from modal_app.adapters.tensor_file import read_header
from modal_app.errors import AdapterError


def write_adapter(path: Path, state: Mapping[str, Any], card: AdapterCard) -> None:
    """Write tensors and card. The same content gives the same bytes."""
    from safetensors.torch import save_file

    # the card alone: the order of several entries in a header is left to chance
    save_file({name: state[name].contiguous() for name in sorted(state)}, path, {CARD_KEY: card.model_dump_json()})


def read_card(path: Path) -> AdapterCard:
    """Return the card of an adapter file, without reading its tensors. The file must be as long as its header says.

    Raises:
        AdapterError: the file is missing, a placeholder, cut off, or has no card.
    """
    header = read_header(path)
    try:
        return AdapterCard.model_validate_json(header.metadata[CARD_KEY])
    except KeyError:
        raise AdapterError(f"{path}: has no card, so nobody knows its base; train it again") from None
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"]) or "JSON"
        raise AdapterError(f"{path}: its card can't be read ({field}: {problem['msg']}); train it again") from None


def read_adapter(path: Path) -> tuple[AdapterCard, dict[str, Any]]:
    """Return the card and the tensors of an adapter file.

    Raises:
        AdapterError: the file is missing, a placeholder, cut off, or has no card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    card = read_card(path)
    try:
        return card, load_file(path)
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{path}: can't be read: {str(error).splitlines()[0]}; install it again") from None
