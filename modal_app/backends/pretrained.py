"""Bases that come from the Hugging Face hub or from a folder: what to call their weights, and why one is not there."""

import hashlib
import json
from pathlib import Path

from modal_app.errors import MissingBaseError

_SAFETENSORS = ".safetensors"
_VOCABULARIES = ("tokenizer.json", "spiece.model", "vocab.json")


def name_of(base: str) -> str:
    """Return a model id is its own name; a folder goes by its last part, wherever it lies."""
    return Path(base).name if Path(base).is_dir() else base


def revision_of(base: str, index: str) -> str:
    """Return the commit of a model from the hub, by its file `index`.

    For a folder, a hash over its files' names and sizes.
    """
    from huggingface_hub import try_to_load_from_cache

    folder = Path(base)
    if not folder.is_dir():
        cached = try_to_load_from_cache(base, index)
        return Path(cached).parent.name if isinstance(cached, str) else "unknown"
    files = sorted((str(path.relative_to(folder)), path.stat().st_size) for path in folder.rglob("*.*"))
    return "folder-" + hashlib.sha256(repr(files).encode()).hexdigest()[:16]


def missing_base(base: str, error: Exception) -> MissingBaseError:
    """Return one line on a base that can't be loaded, and what to download."""
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
    return MissingBaseError(
        f"{base}: the base model can't be loaded ({reason}); download it with `hf download {base}`, "
        "or name a folder that has it"
    )


def require_whole_weights(base: str, folder: Path) -> None:
    """Refuse a folder whose weights are missing or half there: a download that was stopped, a pointer in their place.

    Raises:
        MissingBaseError: it has none, or one of its files is not as long as it says; one line that names it.
    """
    files = _weight_files(base, folder)
    if not files:
        what = "it" if folder == Path(base) else _place(base, folder)
        raise MissingBaseError(f"{base}: no weights (.safetensors) are in {what}; download it again")
    for path in files:
        if not path.is_file():
            raise MissingBaseError(f"{base}: {_place(base, path)} is missing; download it again")
        if path.suffix == _SAFETENSORS and (reason := _why_not_whole(path)):
            raise MissingBaseError(f"{base}: {_place(base, path)} {reason}; download it again")


def require_tokenizer(base: str, folder: Path) -> None:
    """Refuse a folder without a tokenizer's vocabulary: transformers would make an empty one without a word.

    Raises:
        MissingBaseError: it has none.
    """
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise MissingBaseError(f"{base}: its tokenizer ({' or '.join(_VOCABULARIES)}) is missing; download it again")


def _weight_files(base: str, folder: Path) -> list[Path]:
    """Return the files that the weights are in: those that an index names, whether there or not, else those there."""
    for index in sorted(folder.glob(f"*{_SAFETENSORS}.index.json")):
        try:
            return sorted({folder / str(name) for name in json.loads(index.read_bytes())["weight_map"].values()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise MissingBaseError(f"{base}: {_place(base, index)} can't be read; download it again") from None
    return sorted(folder.glob(f"*{_SAFETENSORS}")) or sorted(folder.glob("pytorch_model*.bin"))


def _why_not_whole(path: Path) -> str | None:
    """Return what is wrong with a safetensors file; None where it is as long as its header says."""
    with path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            return f"is a placeholder or cut off ({size} bytes)"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            expected = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return "is damaged (its header can't be read)"
    return None if size == expected else f"is cut off ({size} bytes of {expected})"


def _place(base: str, path: Path) -> str:
    return path.relative_to(base).as_posix()
