"""The process that stays beside an embedded PostgreSQL server: `python -I -S postgres_supervisor.py MODE …`.

It starts the server as a user whom PostgreSQL accepts and stops it when nobody has used it for a while, so that a
second command finds it warm and nothing runs for ever. It needs the standard library only: starting it costs 30 ms.
"""

import fcntl
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))

from postgres_process import ServerUser, become  # type: ignore[import-not-found,unused-ignore]

_LOOK_EVERY_SECONDS = 5.0


def main(mode: str, uid: str, gid: str, how: str, *rest: str) -> None:
    """`exec UID GID HOW PROGRAM…` becomes a program; `serve UID GID HOW IDLE DATA SOCKETS IN_USE
    PROGRAM…` starts a server in the background and watches it. An empty UID: whoever runs this.
    """  # noqa: D205
    user = ServerUser(int(uid), int(gid), how) if uid else None
    if mode == "exec":
        _exec(user, list(rest))
    idle, data, sockets, in_use, *program = rest
    if os.fork():
        return
    os.setsid()
    _serve(user, float(idle), Path(data), Path(sockets), Path(in_use), program)


def _serve(user: ServerUser | None, idle: float, data: Path, sockets: Path, in_use: Path, program: list[str]) -> None:
    alive, held_by_server = os.pipe()  # closed by the kernel when the last process of the server is gone
    server = os.fork()
    if server == 0:
        os.set_inheritable(held_by_server, True)
        _exec(user, program)
    os.close(held_by_server)
    used = time.monotonic()
    lock = os.open(in_use, os.O_RDWR)
    while not select.select([alive], [], [], min(_LOOK_EVERY_SECONDS, idle / 4))[0]:
        if not data.exists():
            _stop(server, signal.SIGQUIT)
        elif not _locked(lock):
            used = time.monotonic()
        elif time.monotonic() - used < idle:
            fcntl.flock(lock, fcntl.LOCK_UN)
        else:
            _stop(server, signal.SIGINT)  # still under the lock: whoever comes now waits, then starts it again
            break
    shutil.rmtree(sockets.parent, ignore_errors=True)


def _locked(lock: int) -> bool:
    """Return whether the lock that every user of the server shares could be had alone."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stop(server: int, how: signal.Signals) -> None:
    try:
        os.kill(server, how)
        os.waitpid(server, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def _exec(user: ServerUser | None, program: list[str]) -> None:
    try:
        if user is not None:
            become(user, Path(program[0]))
        os.umask(0o077)
        os.execv(program[0], program)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"FATAL:  {program[0]} can't be started as another user ({error}); run as an ordinary user\n")
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
