"""The data of the steps to come, made ready in a thread of its own, so that no step waits for it."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from modal_app.backends.base import TrainExample

_AHEAD = 4


@dataclass(frozen=True)
class Batch:
    """Samples of one shape, each with the seed of what is drawn for it."""

    examples: Sequence[TrainExample]
    seeds: Sequence[int]


StepData = list[Batch]


class Feed:
    """`prepare(step)` for each step from `first` to `last`, a few steps ahead. A context manager; one reader."""

    def __init__(self, prepare: Callable[[int], StepData], first: int, last: int) -> None:
        self.waited = 0
        self._prepare, self._steps = prepare, range(first, last + 1)
        self._ready: queue.Queue[StepData | Exception] = queue.Queue(_AHEAD)
        self._filled, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._fill, name="feed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._filled.wait()
        except BaseException:  # told to stop meanwhile
            self._closed.set()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join(timeout=1.0)

    def next(self) -> StepData:
        """Return the next step's data; a step whose data was not ready yet is counted in `waited`.

        Raises:
            Exception: what `prepare` raised for this step.
        """
        self.waited += self._ready.empty()
        data = self._ready.get()
        if isinstance(data, Exception):
            raise data
        return data

    def _fill(self) -> None:
        try:
            for step in self._steps:
                if not self._put(self._prepare(step)):
                    return
                if self._ready.full():
                    self._filled.set()
        except Exception as error:  # it is the reader's
            self._put(error)
        finally:
            self._filled.set()

    def _put(self, data: StepData | Exception) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(data, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
