"""The write-once cache of latents: `cache/latents/<backend>/<base>/<two digits>/<content>.safetensors`.

A file appears whole or not at all; one that is damaged counts as absent and is made again. What is not used any more
goes when the cache is over its bound, the least recently used first. Nothing here encodes.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from modal_app.backends.base import Backend, Tensor
from modal_app.config import BackendKind
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError

MAX_BYTES = 32 << 30
"""Of latents on one data root: ACE-Step's of 700 hours of music, MusicGen's of 20,000."""

_SUFFIX = ".safetensors"


def latents_folder(root: DataRoot, kind: BackendKind, backend: Backend) -> Path:
    """Return the folder of the latents of one base: another base, or another revision of it, hears otherwise."""
    base = backend.base
    content = json.dumps([base.name, base.revision, backend.sample_rate, backend.channels])
    return root.latents() / kind / hashlib.sha256(content.encode()).hexdigest()[:16]


def latents_path(folder: Path, digest: str, rest: str) -> Path:
    """Return the file of one content below a base's folder; it begins with the hash of the audio that it is of."""
    return folder / digest[:2] / f"{digest}{rest}{_SUFFIX}"


def find_or_encode(
    path: Path, encode: Callable[[], Mapping[str, Tensor]], name: str, scratch: Path
) -> dict[str, Tensor]:
    """Return the latents of a file as mapped memory, made by `encode` where it is not there whole.

    Raises:
        JobError: they are no numbers; `name` says of what.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    with suppress(OSError, SafetensorError):
        found = dict(load_file(path))
        _note_use(path)
        return found
    encoded = encode()
    if not all(bool(torch.isfinite(part).all()) for part in encoded.values()):
        raise JobError(f"{name}: its latents are no numbers (NaN); leave it out")
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_path(path, scratch) as fresh:
        save_file(dict(encoded), fresh)
        return dict(load_file(fresh))  # mapped: the next track's memory is not beside this one's


def prune(root: DataRoot, kept: Collection[Path], most: int = MAX_BYTES) -> int:
    """Remove the least recently used latents until the cache has at most so many bytes, and return how many went.

    `kept` stay. Whoever has mapped a file that is removed goes on reading it; it is made again when it is next needed.
    """
    files = []
    for path in root.latents().rglob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError):
            state = path.stat()
            files.append((max(state.st_atime, state.st_mtime), path, state.st_size))
    total, removed, needed = sum(size for *_, size in files), 0, set(kept)
    for _, path, size in sorted(files):
        if total <= most:
            break
        if path not in needed:
            path.unlink(missing_ok=True)
            total, removed = total - size, removed + 1
    return removed


def _note_use(path: Path) -> None:
    """Set when a file was last read: file systems that do so themselves are rare."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
