"""The log of a run: what happened at which step, as JSON lines in `events.jsonl`.

It says no times, so that a training that was stopped and went on leaves the same log as one that was not.
"""

import json
from pathlib import Path
from typing import Any

from modal_app.errors import JobError
from modal_app.protocol import Validation

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
        self._lines: list[dict[str, Any]] = [json.loads(line) for line in known.splitlines()]
        self._file = path.open("ab", buffering=0)
        self._file.truncate(length)
        self.length = length  # in bytes

    @property
    def losses(self) -> list[float]:
        """Of the steps, one each."""
        return [line["loss"] for line in self._lines if line["event"] == "step"]

    @property
    def validations(self) -> list[Validation]:
        """Losses on what was held out."""
        return [
            Validation(step=line["step"], loss=line["loss"]) for line in self._lines if line["event"] == "validation"
        ]

    def write(self, event: str, step: int, **figures: float | str) -> None:
        """Add a line."""
        line = {"event": event, "step": step, **figures}
        self.length += self._file.write(json.dumps(line).encode() + b"\n")
        self._lines.append(line)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
