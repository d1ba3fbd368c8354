"""Machines that run the app's function bodies as processes of their own, as Modal's containers do.

All state is in a folder, so that calls outlive whoever asked: any process can look after any call. `MachineCalls` is
`Calls` straight on it; the server in this folder speaks Modal's protocol over the same.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from modal_app.errors import UnreachableError
from modal_app.modal_runtime.remote_calls import Calls, CallState

_REPOSITORY = Path(__file__).resolve().parents[3]
ENDED, RAISED, CANCELLED, EXPIRED, FAULT = "ended", "raised", "cancelled", "expired", "fault"


@dataclass(frozen=True)
class Machines:
    """The folder with everything: the volume, the register, each call."""

    root: Path

    @property
    def volume(self) -> Path:
        return self.root / "volume"

    @property
    def claim_store(self) -> Path:
        return self.root / "register"

    def call(self, call_id: str) -> Path:
        return self.root / "calls" / call_id

    def calls(self) -> list[str]:
        """In the order in which they were started."""
        folders = (self.root / "calls").iterdir() if (self.root / "calls").is_dir() else []
        return [path.name for path in sorted(folders, key=lambda path: (path / "asked.json").stat().st_mtime_ns)]

    def asked(self, call_id: str) -> dict[str, str]:
        asked: dict[str, str] = json.loads((self.call(call_id) / "asked.json").read_text())
        return asked

    def start(self, function: str, request: str, key: str | None) -> str:
        call_id = f"fc-{uuid.uuid4().hex}"
        folder = self.call(call_id)
        folder.mkdir(parents=True)
        (folder / "asked.json").write_text(json.dumps({"function": function, "request": request, "key": key}))
        self.start_container(call_id)
        return call_id

    def start_container(self, call_id: str) -> None:
        """A container for a call; another one where the first was taken away."""
        folder = self.call(call_id)
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.modal_server.container", str(self.root), call_id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(_REPOSITORY), "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        write_whole(folder / "pid", str(process.pid))

    def state(self, call_id: str) -> CallState:
        folder = self.call(call_id)
        if not folder.is_dir() or (folder / EXPIRED).exists():
            return CallState("gone")
        if (folder / ENDED).exists():
            return CallState("ended")
        if (folder / CANCELLED).exists():
            return CallState("cancelled")
        if (folder / RAISED).exists():
            return CallState("failed", f"was ended ({(folder / RAISED).read_text()})")
        return CallState("running") if self.process(call_id) else CallState("failed", "was ended (its container died)")

    def process(self, call_id: str) -> psutil.Process | None:
        """The container's process, while it lives."""
        try:
            process = psutil.Process(int((self.call(call_id) / "pid").read_text()))
            return process if process.is_running() and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.NoSuchProcess, FileNotFoundError, ValueError):
            return None

    def cancel(self, call_id: str) -> None:
        if self.state(call_id).name != "running":
            return
        (self.call(call_id) / CANCELLED).touch()
        self.end(call_id)

    def end(self, call_id: str, grace_seconds: float = 30.0) -> None:
        """Take a container away."""
        process = self.process(call_id)
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace_seconds)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(240)

    def end_all(self) -> None:
        for call_id in self.calls():
            process = self.process(call_id)
            if process is not None:
                process.kill()
                process.wait(240)

    def fault(self) -> str | None:
        """What is to go wrong now: a test writes it here."""
        try:
            return (self.root / FAULT).read_text()
        except FileNotFoundError:
            return None


def write_whole(path: Path, text: str) -> None:
    """Whoever looks while this writes finds what was there before, never a part."""
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    temporary.write_text(text)
    temporary.replace(path)


class MachineCalls(Calls):
    """`Calls` on these machines, without a network between."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines

    def spawn(self, function: str, request: str, key: str | None) -> str:
        self._answer_or_not()
        return self.machines.start(function, request, key)

    def poll(self, call_id: str, seconds: float) -> CallState:
        self._answer_or_not()
        end = time.monotonic() + seconds
        while (state := self.machines.state(call_id)).name == "running" and time.monotonic() < end:
            time.sleep(0.02)
        return state

    def cancel(self, call_id: str) -> None:
        self._answer_or_not()
        self.machines.cancel(call_id)

    def read(self, path: str, target: BinaryIO) -> None:
        self._answer_or_not()
        try:
            target.write((self.machines.volume / path).read_bytes())
        except (IsADirectoryError, NotADirectoryError):
            raise FileNotFoundError(path) from None

    def write(self, path: str, source: Path) -> None:
        self._answer_or_not()
        target = self.machines.volume / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{uuid.uuid4().hex}")
        temporary.write_bytes(source.read_bytes())
        temporary.replace(target)

    def _answer_or_not(self) -> None:
        if self.machines.fault() == "unreachable":
            raise UnreachableError("modal: no answer (a fault of this test); try again later")
