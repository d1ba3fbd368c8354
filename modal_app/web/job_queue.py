"""The `JobQueue` port: where a web endpoint hands in a job and asks for its result.

One call for one key, however often it is handed in: a client that lost the answer asks again and gets the same job.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal

from modal_app.errors import (
    FileTakenError,
    JobError,
)
from modal_app.protocol.base import JobRequest, JobResult

_CHUNK = 1 << 20
_storing = threading.Lock()


@dataclass(frozen=True)
class Call:
    """A job that was handed in. `result` is there when it is done."""

    call_id: str
    status: Literal["queued", "running", "done"]
    result: JobResult | None = None


class JobQueue(ABC):
    """Takes jobs under a key (`<kind>/<producer>/<job id>`), and gives their results. Safe across threads."""

    @abstractmethod
    def submit(self, key: str, request: JobRequest[JobResult]) -> Call:
        """Start the job of this key, or find the one that was started; does not wait for it.

        A job that was interrupted (not one that failed) is started again.

        Raises:
            ReplayedJobError: the key belongs to another request.
            QueueFullError: too many jobs wait.
            JobError: the job ended without a result.
        """

    @abstractmethod
    def wait(self, key: str, seconds: float) -> Call:
        """Return the call of this key: done, or as it stands after so many seconds.

        Raises:
            UnknownJobError: nothing was handed in under this key.
            JobError: the job ended without a result; the message is the worker's own line.
        """

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """Return a file below the data root, for reading.

        Raises:
            JobError: there is no such file.
        """

    @abstractmethod
    def store(self, path: str, source: BinaryIO) -> None:
        """Write a file below the data root, atomically."""

    def store_once(self, path: str, source: BinaryIO) -> bool:
        """Write a file that must not be there with other bytes; false where it is there with the same.

        Raises:
            FileTakenError: it is there with other bytes.
        """
        with self.storing(path):
            try:
                there = self.open(path)
            except JobError:
                source.seek(0)
                self.store(path, source)
                return True
            with there:
                if not _same(there, source):
                    raise FileTakenError(f"{path}: is there already with other bytes; use another job_id or filename")
        return False

    @contextmanager
    def storing(self, path: str) -> Iterator[None]:  # noqa: ARG002 - for queues that tell paths apart
        """Held while a file is looked for and written. This one keeps out threads; a queue may keep out more."""
        with _storing:
            yield


def _same(one: BinaryIO, other: BinaryIO) -> bool:
    other.seek(0)
    while True:
        first, second = one.read(_CHUNK), other.read(_CHUNK)
        if first != second:
            return False
        if not first:
            return True
