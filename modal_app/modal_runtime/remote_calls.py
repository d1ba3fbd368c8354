"""Calls: jobs that run on another machine and outlive whoever asked. What can be done with one, and what it leaves.

A call's folder on the data root says everything: its events in numbered parts, each written once, and then exactly one
of result, error, or the name of the call that does the same job already. What a call *returns* is not used: it expires.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from modal_app.errors import JobError
from modal_app.protocol.base import Message

RESULT, ERROR, TAKEN, USED = "result.json", "error.json", "taken.json", "used.json"


class Taken(Message):
    """Why a call did nothing: another one does this job."""

    call_id: str


class Used(Message):
    """What a call took, over all its attempts."""

    seconds: float
    gpu_seconds: float = 0.0


@dataclass(frozen=True)
class CallState:
    """How a call stands. `failed` has its reason in one line; `gone` is what nobody knows (any more)."""

    name: Literal["running", "ended", "cancelled", "failed", "gone"]
    reason: str = ""


class Calls(ABC):
    """Starts calls, looks after them, and reads and writes the data root of their machines. Safe across threads.

    Everything raises `UnreachableError` where no answer comes, and `JobError` where no account, app or function is
    there; messages are one line and hold no secret.
    """

    @abstractmethod
    def spawn(self, function: str, request: str, key: str | None) -> str:
        """Start a function with a request (as JSON) and return the call's id.

        Of the calls under one key only one works at a time; the others name that one and end.
        """

    @abstractmethod
    def poll(self, call_id: str, seconds: float) -> CallState:
        """Return how a call stands: at once where it has ended, else after so many seconds."""

    @abstractmethod
    def cancel(self, call_id: str) -> None:
        """Stop a call; one that has ended, or is not known, is left alone."""

    @abstractmethod
    def read(self, path: str, target: BinaryIO) -> None:
        """Write the content of a file below the data root to `target`, as it was committed last.

        Raises:
            FileNotFoundError: there is no such file.
        """

    @abstractmethod
    def write(self, path: str, source: Path) -> None:
        """Put a file of this machine below the data root, whole or not at all."""


def call_folder(call_id: str) -> str:
    """Return a call's folder below the data root.

    Raises:
        JobError: this is no call's id.
    """
    if not call_id.replace("-", "").isalnum():
        raise JobError(f"{call_id!r}: is no id of a call; clear it and run the step again")
    return f"calls/{call_id}"


def events_part(number: int) -> str:
    """Return the name of a part of a call's events."""
    return f"events-{number:06d}.jsonl"


def require_below(path: str) -> str:
    """Return the path itself, if it leads below the data root.

    Raises:
        JobError: it leads elsewhere.
    """
    parts = path.split("/")
    if "\0" in path or PurePosixPath(path).is_absolute() or not set(parts).isdisjoint({"", ".", ".."}):
        raise JobError(f"{path!r}: not a path below the data root; give a relative one without `..`")
    return path
