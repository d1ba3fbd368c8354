"""The `Compute` port: runs jobs of the worker. Requests and results are those of `modal_app/protocol`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from modal_app.protocol.base import Event, JobRequest, JobResult

R = TypeVar("R", bound=JobResult)


class CallRecord(ABC):
    """Where the id of a job's remote call is kept, so that whoever comes after a crash finds the same call."""

    @property
    @abstractmethod
    def call_id(self) -> str | None:
        """The call that was started for this job before; None where there is none."""

    @abstractmethod
    def keep(self, call_id: str | None) -> None:
        """Keep the id of a call that was just started, for good; None forgets it."""

    def used(self, gpu_seconds: float) -> None:  # noqa: B027 - who does not ask is not told
        """Told once, when a call ends with a result: for how long it held a GPU of another machine."""


class Compute(ABC):
    """A machine with the worker on it, and a data root (a cache that may be deleted between two jobs)."""

    @abstractmethod
    def run(self, request: JobRequest[R], on_event: Callable[[Event], None], record: CallRecord | None = None) -> R:
        """Run one job to its end and return its result.

        Where the job is a call on another machine, `record` keeps its id as soon as there is one; a call that it
        knows already is taken up again instead of starting a second one.

        `on_event` is called for every event, in order, in the calling thread. When the caller is interrupted
        (any exception out of here), the job is cancelled before that exception goes on.

        Raises:
            JobError: the job ended without a result; the message is the worker's own line.
        """

    def cancel(self, call_id: str) -> None:  # noqa: B027 - a child process never outlives whoever asked
        """Stop a call on another machine that nobody waits for any more; one that has ended is left alone."""

    @abstractmethod
    def fetch(self, path: str, target: Path) -> None:
        """Copy a file that a job left under the data root (`path` relative to it) to this machine, atomically.

        Raises:
            JobError: there is no such file.
        """

    @abstractmethod
    def store(self, path: str, source: BinaryIO) -> None:
        """Write a file under the data root (`path` relative to it), atomically."""
