"""Workers that are forked from a process that has their libraries imported (`modal_app/worker/forkserver.py`).

Each family of jobs has a forkserver of its own, so that a picture does not wait for the import of torch. It is started
with the first job of the family, and ends with this process or after ten idle minutes. One that is let go, as its
libraries saw another environment, stays for the workers that it has forked. Where none can be had (another system than
Linux, a GPU that was touched), a job starts cold.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from io import IOBase
from pathlib import Path
from typing import BinaryIO

from modal_app.worker.job_table import Imports

# A check of CUDA's driver by the usual way would make the GPU useless in what is forked afterwards.
_FORK_SAFE = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}


class PreforkedProcess:
    """A forked worker, with as much of `subprocess.Popen` as its caller needs. `stdin` and `stdout` are pipes."""

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO, status: BinaryIO) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._status = status
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self._code is None and self._has_status(0):
            line = self._status.readline()
            self._status.close()
            # no line: the forkserver was killed, and what it forked ends for want of a parent
            self._code = int(line) if line else -signal.SIGKILL
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and give the exit code.

        Raises:
            TimeoutExpired: it runs on.
        """
        if self._code is None and not self._has_status(timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        code = self.poll()
        return -signal.SIGKILL if code is None else code

    def terminate(self) -> None:
        """Ask it to stop."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def _has_status(self, seconds: float | None) -> bool:
        poll = select.poll()  # `select` takes no file beyond the 1024th, and a server may have more open
        poll.register(self._status, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))


class _Forkserver:
    """The process that forks, and the link to it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.owner = os.getpid()
        self.environment = environment
        self._link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "modal_app.worker.forkserver", str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment | _FORK_SAFE,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )

    def fork(self, message: dict[str, object], stderr: int) -> PreforkedProcess | None:
        """Return a worker that does what the message says; None where the forkserver can't fork any.

        Raises:
            OSError: the forkserver has ended.
        """
        (stdin, to_stdin), (from_stdout, stdout), (from_status, status) = os.pipe(), os.pipe(), os.pipe()
        ours = [open(to_stdin, "wb", 0), open(from_stdout, "rb"), open(from_status, "rb", 0)]  # noqa: SIM115, PTH123
        try:
            try:
                socket.send_fds(self._link, [json.dumps(message).encode()], [stdin, stdout, stderr, status])
            finally:
                for file in (stdin, stdout, status):
                    os.close(file)
            line = ours[2].readline()
            if not line:
                raise BrokenPipeError("the forkserver has ended")
            pid = int(line)
        except BaseException:
            _close(ours)
            raise
        if not pid:
            _close(ours)
            return None
        return PreforkedProcess(pid, *ours)  # type: ignore[arg-type]

    def close(self) -> None:
        """Let it go; workers that run go on until their own ends."""
        self._link.close()
        threading.Thread(target=self._process.wait, daemon=True).start()  # it is no zombie then


def _close(files: Iterable[IOBase]) -> None:
    for file in files:
        file.close()


nurseries: dict[str, _Forkserver] = {}
"""Family of jobs → the process that forks their workers."""
_lock = threading.Lock()


def start_preforked(
    imports: Imports, folder: Path, root: Path, environment: dict[str, str], extra: dict[str, str], stderr: int
) -> PreforkedProcess | None:
    """Return a worker for the job in `folder`, forked where its modules are imported; None where that can't be had.

    `environment` is what the libraries see when they are imported, `extra` what this job alone is told.
    """
    if sys.platform != "linux":
        return None
    place = {"folder": str(folder), "root": str(root)}
    message: dict[str, object] = {"modules": imports.modules, **place, "environment": extra}
    for _ in range(2):  # the one that is there may have ended of idleness
        forkserver = _forkserver_of(imports.family, environment)
        try:
            return forkserver.fork(message, stderr)
        except OSError:
            _drop(imports.family, forkserver)
    return None


def _forkserver_of(family: str, environment: dict[str, str]) -> _Forkserver:
    with _lock:
        known = nurseries.get(family)
        if known is not None and (known.owner, known.environment) != (os.getpid(), environment):
            nurseries.pop(family).close()
            known = None
        if known is None:
            known = nurseries[family] = _Forkserver(environment)
        return known


def _drop(family: str, ended: _Forkserver) -> None:
    with _lock:
        if nurseries.get(family) is ended:
            nurseries.pop(family).close()
