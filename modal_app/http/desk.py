"""`Desk`: where a web endpoint hands in a job and asks for its result. The endpoints know no more of who does the work.

One call for one key, however often it is handed in: a client that lost the answer asks again and gets the same job.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import BinaryIO, Literal

from modal_app.errors import InputError
from modal_app.protocol.base import JobRequest, JobResult


class ReplayedJobError(InputError):
    """A job's id was used before, for another request."""


class UnknownJobError(InputError):
    """No job has this id, or its result is no longer kept."""


@dataclass(frozen=True)
class Call:
    """A job that was handed in. `result` is there when it is done."""

    call_id: str
    status: Literal["queued", "running", "done"]
    result: JobResult | None = None


class Desk(ABC):
    """Takes jobs under a key (`<kind>/<producer>/<job id>`), and gives their results. Safe across threads."""

    @abstractmethod
    def submit(self, key: str, request: JobRequest[JobResult]) -> Call:
        """Start the job of this key, or find the one that was started; does not wait for it.

        A job that was interrupted (not one that failed) is started again.

        Raises:
            ReplayedJobError: the key belongs to another request.
            JobError: the job ended without a result.
        """

    @abstractmethod
    def wait(self, key: str, seconds: float) -> Call:
        """The call of this key: done, or as it stands after so many seconds.

        Raises:
            UnknownJobError: nothing was handed in under this key.
            JobError: the job ended without a result; the message is the worker's own line.
        """

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """A file below the data root, for reading.

        Raises:
            JobError: there is no such file.
        """

    @abstractmethod
    def store(self, path: str, source: BinaryIO) -> None:
        """Write a file below the data root, atomically."""
