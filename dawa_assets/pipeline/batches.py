"""How much is done before it is committed: many things in one transaction, but no more than a kill may cost.

Every query is a round trip to a database that may be far away, so what is known of one file goes into the tables with
what is known of others. What bounds a batch is the number of its rows, its bytes in memory or on the disk, and the time
that it took.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, Self, TypeVar

T = TypeVar("T")

MAX_ROWS = 50
MAX_BYTES = 256 << 20
MAX_SECONDS = 10.0


class Batch(Generic[T]):
    """Collects what one transaction is to write, and has it committed when there is enough of it.

    Used in a `with`: what is left at the end of its block is committed too, unless the block raised.
    """

    def __init__(self, commit: Callable[[Sequence[T]], None], max_bytes: int = MAX_BYTES) -> None:
        """Have `commit` called with what was collected, which is never nothing."""
        self._commit, self._max_bytes = commit, max_bytes
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.flush()

    def add(self, thing: T, size: int = 0) -> None:
        """Take one more, of so many bytes; commits where that fills the batch, or where it took long."""
        self._things.append(thing)
        self._bytes += size
        took = time.monotonic() - self._began
        if len(self._things) >= MAX_ROWS or self._bytes >= self._max_bytes or took >= MAX_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Commit what there is, and begin another batch."""
        if self._things:
            self._commit(self._things)
        self._begin()

    def _begin(self) -> None:
        self._things: list[T] = []
        self._bytes = 0
        self._began = time.monotonic()


def batches_of(things: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield things in lists of at most `MAX_ROWS`, closed by the one that fills up `MAX_BYTES`."""
    batch: list[T] = []
    total = 0
    for thing in things:
        batch.append(thing)
        total += size(thing)
        if len(batch) == MAX_ROWS or total >= MAX_BYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
