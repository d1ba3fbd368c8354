"""The log of a run: what happened at which step, as JSON lines in `events.jsonl`.

It says no times, so that a training that was stopped and went on leaves the same log as one that was not.
"""

import json
from pathlib import Path
from typing import Any

from modal_app.errors import JobError
from modal_app.protocol.training import Validation

EVENTS = "events.jsonl"


class RunLog:
    """The lines up to a known length; what a stopped process wrote beyond it is cut off."""

    def __init__(self, folder: Path, length: int) -> None:
        """Open the log in the run's folder, trimmed to `length` bytes.

        Raises:
            JobError: it is shorter than that.
        """
        path = folder / EVENTS
        known = path.read_bytes()[:length] if path.exists() else b""
        if len(known) < length:
            raise JobError(f"{path}: shorter than its checkpoint knows it; remove {folder} to train from the beginning")
        self.losses: list[float] = []  # of the steps, one each
        self.validations: list[Validation] = []
        for line in known.splitlines():
            self._count(json.loads(line))
        self._file = path.open("ab", buffering=0)
        self._file.truncate(length)
        self.length = length  # in bytes

    def write(self, event: str, step: int, **figures: float | str) -> None:
        """Add a line."""
        line = {"event": event, "step": step, **figures}
        self.length += self._file.write(json.dumps(line).encode() + b"\n")
        self._count(line)

    def _count(self, line: dict[str, Any]) -> None:
        if line["event"] == "step":
            self.losses.append(line["loss"])
        elif line["event"] == "validation":
            self.validations.append(Validation(step=line["step"], loss=line["loss"]))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
