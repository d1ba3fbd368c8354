"""A process that has imported a generator's libraries and forks a worker for each job.

It is started as `python -m modal_app.worker.forkserver`.

Those imports take five seconds of CPU, more than many a job. Each job still has a process, a session and an end of its
own (`process.py`). The forkserver itself does nothing but import and fork: it has one thread, and touches no GPU.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from modal_app.worker.process import main as work

LARGEST_MESSAGE = 1 << 16
_IDLE_SECONDS = 600.0
_LOOK_SECONDS = 1.0


class Forkserver:
    """Answers the process that started it over a socket; ends with it, or when nothing was asked for long.

    A message is JSON (`modules`, `folder`, `root`, `environment`) with four open files: the worker's stdin, stdout and
    stderr, and a pipe that is told the worker's process id and, in the end, its exit code, each as a line. An id of 0
    says that no worker can be forked here.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._parent = os.getppid()
        self._status_pipes: dict[int, int] = {}
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Fork workers until nobody is left to ask for them, and stay until the last one has ended."""
        gc.disable()  # what is imported stays; looking for garbage in it takes a fifth of the import of a generator
        idle, asked = 0.0, [self._link.fileno()]
        while os.getppid() == self._parent and (self._status_pipes or (asked and idle < _IDLE_SECONDS)):
            readable, _, _ = select.select([*asked, self._wake], [], [], _LOOK_SECONDS)
            idle = 0.0 if readable else idle + _LOOK_SECONDS
            if self._wake in readable:
                os.read(self._wake, 4096)
            self._reap()
            if self._link.fileno() in readable and not self._take():
                asked = []

    def _take(self) -> bool:
        """Take one message; false when the other end is closed."""
        message, files, _, _ = socket.recv_fds(self._link, LARGEST_MESSAGE, 4)
        if not message:
            return False
        asked = json.loads(message)
        for name in asked["modules"]:
            with suppress(ImportError):  # the job says so itself, in its own words
                importlib.import_module(name)
        status_pipe = files.pop()
        if _is_a_gpu_open():
            _write_line(status_pipe, 0)
            for file in (*files, status_pipe):
                os.close(file)
            return True
        gc.freeze()  # what is shared stays shared
        pid = os.fork()
        if pid == 0:
            os.close(status_pipe)
            self._become_a_worker(asked, files)
        for file in files:
            os.close(file)
        self._status_pipes[pid] = status_pipe
        _write_line(status_pipe, pid)
        return True

    def _become_a_worker(self, asked: dict[str, Any], files: list[int]) -> None:
        gc.enable()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._link.close()
        code = 1
        try:
            for other in self._status_pipes.values():
                os.close(other)
            for place, file in enumerate(files):
                os.dup2(file, place)
                os.close(file)
            os.setsid()
            os.chdir(asked["folder"])
            os.environ.update(asked["environment"])
            code = work(Path(asked["folder"]), Path(asked["root"]))
        except BaseException:  # nothing of the worker goes up into the forkserver's own loop, `SystemExit` neither
            traceback.print_exc()
        finally:
            os._exit(code)  # the forkserver's own way out is not the worker's

    def _reap(self) -> None:
        for pid in list(self._status_pipes):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                status_pipe = self._status_pipes.pop(pid)
                _write_line(status_pipe, os.waitstatus_to_exitcode(status))
                os.close(status_pipe)


def _is_a_gpu_open() -> bool:
    """Return whether a library has touched the GPU's driver while it was imported: a fork could not use it any more."""
    return "libcuda.so" in Path("/proc/self/maps").read_text()


def _write_line(pipe: int, number: int) -> None:
    with suppress(BrokenPipeError):  # whoever asked has gone; the worker sees that for itself
        os.write(pipe, b"%d\n" % number)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Forkserver(socket.socket(fileno=int(sys.argv[1]))).serve()
