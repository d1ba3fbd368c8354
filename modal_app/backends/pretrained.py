"""Bases that come from the Hugging Face hub or from a folder: what to call their weights, and why one is not there."""

import hashlib
from pathlib import Path

from modal_app.errors import MissingBaseError


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
