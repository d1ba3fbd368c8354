"""How much is done before it is committed: many things in one transaction, but no more than a kill may cost.

Every query is a round trip to a database that may be far away, so what is known of one file goes into the tables with
what is known of others. What bounds a batch is the number of its rows, its bytes in memory or on the disk, and the time
that it took.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

MAX_ROWS = 50
MAX_BYTES = 256 << 20
MAX_SECONDS = 10.0


class BatchLimit:
    """Counts what a batch holds; make another one for the next batch."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rows = self._bytes = 0
        self._began = time.monotonic()

    def add(self, size: int = 0) -> bool:
        """Count one more, of so many bytes, and return whether the batch is to be committed now."""
        self._rows += 1
        self._bytes += size
        return self._rows >= MAX_ROWS or self._bytes >= self._max_bytes or time.monotonic() - self._began >= MAX_SECONDS


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
