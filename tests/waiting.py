"""Wait for states, never for times: every wait of the tests ends with what it waits for, or fails saying what it was.

The ends are generous on purpose: a machine that does four other things at once is slow, not wrong.
"""

import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from tempfile import TemporaryFile
from typing import Any

import psutil

PATIENCE_SECONDS = 240.0
"""How long anything is waited for before a test fails: below pytest's own limit, so that the test can say for what."""


def until(holds: Callable[[], object], what: str = "it", seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it did not within `seconds`.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come about within {seconds:.0f} s"
        time.sleep(0.02)


def until_gone(processes: Iterable[psutil.Process | int], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until processes, or those of these ids, have ended; a zombie has."""
    for process in processes:
        pid = process if isinstance(process, int) else process.pid
        until(lambda pid=pid: _has_ended(pid), f"the end of process {pid}", seconds)  # type: ignore[misc]


def until_steady(number: Callable[[], float], looks: int = 40) -> None:
    """Wait until a number that only grows has stopped growing: the same at so many looks, 50 ms apart."""
    last, same = number(), 0
    while same < looks:
        time.sleep(0.05)
        now = number()
        last, same = now, same + 1 if now == last else 0


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def finish(command: Sequence[str], quiet_seconds: float = 600.0, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, however long that takes, as long as it or its children get on: their CPU time grows.

    Raises:
        AssertionError: nothing of it worked for `quiet_seconds`; it is killed.
    """
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True, **options)
        worked, since = 0.0, time.monotonic()
        while process.poll() is None:
            time.sleep(0.05)
            now = _cpu_seconds(process.pid)
            if now > worked:
                worked, since = now, time.monotonic()
            if time.monotonic() - since > quiet_seconds:
                process.kill()
                process.wait()
                err.seek(0)
                raise AssertionError(f"{command} did nothing for {quiet_seconds:.0f} s: {err.read()[-2000:]}")
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, process.returncode, out.read(), err.read())


def _cpu_seconds(pid: int) -> float:
    """What a process and all below it have used, ended children included."""
    try:
        parent = psutil.Process(pid)
        return sum(sum(each.cpu_times()[:4]) for each in [parent, *parent.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0.0
