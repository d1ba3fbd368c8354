"""The command line as it is typed: a process of its own, its streams and exit code, without paying for its imports.

Each test process has one process that has imported what commands need, and forks one for each command: with its own
arguments, environment and folder, as if it had been started. Nothing that is imported has read the environment.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
_LIBRARIES = (
    *("av", "dagster", "fastapi", "httpx", "numpy", "psycopg", "pydantic_settings", "rich.console", "scipy.signal"),
    *("soundfile", "soxr", "typer", "uvicorn", "dawa_assets.cli.main"),
)
_MAX_MESSAGE = 1 << 18

_parent: tuple[int, socket.socket] | None = None


def dawa(
    *words: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    code: str = "from dawa_assets.cli.main import main; main()",
) -> subprocess.CompletedProcess[str]:
    """Run `dawa` with these words to its end, or another program's `code`; `env` is the whole environment."""
    environment = dict(os.environ if env is None else env)
    message = {"words": ["dawa", *map(str, words)], "env": environment, "cwd": str(cwd or Path.cwd()), "code": code}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        ours, theirs = os.pipe()
        try:
            data = json.dumps(message).encode()
            assert len(data) < _MAX_MESSAGE
            socket.send_fds(_forker(), [data], [out.fileno(), err.fileno(), theirs])
        finally:
            os.close(theirs)
        with open(ours, "rb") as told:  # noqa: PTH123 - a pipe
            said = told.read()
        assert said, "the process that forks commands has ended"
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(message["words"], int(said), out.read(), err.read())


def together(number: int, *words: str | Path, code: str) -> list[subprocess.CompletedProcess[str]]:
    """Run so many processes of the same program at once, to their ends."""
    _forker()
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: dawa(*words, code=code), range(number)))


def _forker() -> socket.socket:
    global _parent
    if _parent is None or _parent[0] != os.getpid():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * _MAX_MESSAGE)
        process = subprocess.Popen(
            [sys.executable, "-c", "from tests.command_line import fork_for; fork_for()", str(theirs.fileno())],
            cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        _parent = os.getpid(), ours
        atexit.register(lambda: (ours.close(), process.wait()))
    return _parent[1]


def fork_for() -> NoReturn:
    """Fork a process for each message, until nobody is left to send any."""
    import importlib

    link = socket.socket(fileno=int(sys.argv[1]))
    for name in _LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # what is imported stays, and what is shared stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what it forks leaves nothing behind when it ends
    while True:
        data, files, _, _ = socket.recv_fds(link, _MAX_MESSAGE, 3)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            link.close()
            _stay_with(json.loads(data), *files)
        for file in files:
            os.close(file)


def _stay_with(asked: dict[str, Any], out: int, err: int, told: int) -> NoReturn:
    """Fork once more, tell how the command ended, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _become(asked, out, err)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(told, str(status).encode())
    os._exit(0)


def _become(asked: dict[str, Any], out: int, err: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        sys.argv = asked["words"]
        exec(asked["code"], {"__name__": "__main__"})  # noqa: S102 - the test's own program
        code = 0
    except SystemExit as left:
        if isinstance(left.code, str):
            sys.stderr.write(f"{left.code}\n")
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        _leave_in_order()
        os._exit(code)


def _leave_in_order() -> None:
    """What a program that ends by itself does: its threads are waited for, what it registered is called."""
    import threading

    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
    with suppress(Exception):
        atexit._run_exitfuncs()
