"""A base that stays loaded from one training to the next, in a process that does several one after the other.

A container with a GPU gets the trainings of a night one by one, most of them on one base: reading that again costs more
than many a training. Only a training that ended well gives its base on, as it was loaded; after any other it goes.
Nothing is kept unless the process says so (`keep_base`): a child process of one job gains nothing by it.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modal_app.backends.base import TrainBackend
from modal_app.backends.registry import load_train_backend, revision_now
from modal_app.config import BackendKind


@dataclass(frozen=True)
class LentBase:
    """A loaded base, for one training; how long it took to load, and how long it would have taken, in seconds."""

    backend: TrainBackend
    seconds: float
    saved_seconds: float | None
    """None where it was loaded now."""


@dataclass(frozen=True)
class _Kept:
    kind: BackendKind
    base: str
    backend: TrainBackend
    seconds: float


class _Shelf:
    """One base at most: two rarely fit onto a GPU."""

    def __init__(self) -> None:
        self.is_used = False
        self.kept: _Kept | None = None

    def take(self, kind: BackendKind, base: str) -> _Kept | None:
        """Return the base if it is the one that is kept and its weights are still those; any other goes."""
        kept, self.kept = self.kept, None
        if kept is None or (kept.kind, kept.base) != (kind, base):
            return None
        return kept if kept.backend.base.revision == revision_now(kind, base, kept.backend.base.revision) else None


_shelf = _Shelf()


def keep_base(*, is_kept: bool = True) -> None:
    """From here on this process keeps the base of its last training, or (`is_kept` false) no base any more."""
    _shelf.is_used = is_kept
    if not is_kept:
        _shelf.kept = None


@contextmanager
def lent_base(kind: BackendKind, base: str) -> Iterator[LentBase]:
    """Yield the base for one training: the one that the training before left, or loaded now.

    Raises:
        MissingBaseError: it is not on this machine and can't be had.
    """
    kept = _shelf.take(kind, base)
    if kept is None:
        if _shelf.is_used:
            _free_memory()  # of a base that goes, before the next one comes
        started = time.monotonic()
        backend = load_train_backend(kind, base)
        kept = _Kept(kind, base, backend, time.monotonic() - started)
        lent = LentBase(backend, kept.seconds, None)
    else:
        lent = LentBase(kept.backend, 0.0, kept.seconds)
    yield lent
    if _shelf.is_used:
        kept.backend.release()
        _free_memory()
        _shelf.kept = kept


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
