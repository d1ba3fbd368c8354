"""Whom a PostgreSQL process runs as, and which such processes there are. No connections, no SQL, no files.

Imported by `postgres_supervisor.py`, which runs without the site packages: standard library only.
"""

import contextlib
import ctypes
import os
import platform
import pwd
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUSER = 0x10000000


@dataclass(frozen=True)
class ServerUser:
    """Whom the server runs as. `namespace`: still this root, who is called `uid` in a namespace of the server's own."""

    uid: int
    gid: int
    namespace: bool = False

    @property
    def owner(self) -> tuple[int, int]:
        """To whom the server's files belong, as seen from here."""
        return (os.geteuid(), os.getegid()) if self.namespace else (self.uid, self.gid)


def server_user(data: Path) -> ServerUser | None:
    """None where this process may run PostgreSQL itself; else the unprivileged user that root lends it.

    PostgreSQL refuses to run as root. Whoever owns the data folder `data` runs it then, `nobody` if there is none
    yet, with the one extra right to read through folders that only root may enter (a checkout under /root). Where
    root can become nobody else (a container that maps a single user), a user namespace makes the server believe
    that it is another user.
    """
    if os.geteuid() != 0:
        return None
    uid, gid = _nobody()
    if data.exists():
        found = data.stat()
        if found.st_uid == 0:
            return ServerUser(uid, gid, namespace=True)
        uid, gid = found.st_uid, found.st_gid
    return ServerUser(uid, gid, namespace=not _is_mapped(uid))


def become(user: ServerUser) -> None:
    """Turn this process into `user`, for good, keeping only the right to read through closed folders."""
    if user.namespace:
        _enter_namespace(user)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    linux = platform.system() == "Linux"
    if linux:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([user.gid])
    os.setresgid(user.gid, user.gid, user.gid) if linux else os.setgid(user.gid)
    os.setresuid(user.uid, user.uid, user.uid) if linux else os.setuid(user.uid)
    if linux and not any(_keep(libc, right) for right in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE)):
        _set_capabilities(libc, 0)


def processes_in(folder: Path) -> list[int]:
    """The running PostgreSQL processes whose working folder is `folder` (a data folder), newest last.

    A pid alone proves nothing: it may be a zombie's, or another program's that got the number later.
    """
    if Path("/proc/self/cwd").exists():
        return sorted(_linux_processes_in(folder))
    return _listed_process(folder)


def _nobody() -> tuple[int, int]:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return nobody.pw_uid, nobody.pw_gid


def _keep(libc: ctypes.CDLL, right: int) -> bool:
    return _set_capabilities(libc, 1 << right) and bool(
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, right, 0, 0) == 0
    )


def _set_capabilities(libc: ctypes.CDLL, rights: int) -> bool:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = rights & 0xFFFFFFFF, rights >> 32
    # effective, permitted, inheritable; first for the rights 0 to 31, then for the others
    data = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    return bool(libc.capset(header, data) == 0)


def _is_mapped(uid: int) -> bool:
    """Whether root of this (user) namespace can become `uid`."""
    try:
        ranges = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return True
    spans = [tuple(int(part) for part in line.split()) for line in ranges]
    return any(first <= uid < first + count for first, _, count in spans)


def _enter_namespace(user: ServerUser) -> None:
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "root may neither become another user nor make a user namespace here")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user.uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{user.gid} {gid} 1")


def _linux_processes_in(folder: Path) -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            process = Path(entry.path)
            if (process / "exe").readlink().name.startswith("postgres") and (process / "cwd").samefile(folder):
                yield int(entry.name)


def _listed_process(folder: Path) -> list[int]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int((folder / "postmaster.pid").read_text().splitlines()[0])
        command = subprocess.run(["ps", "-o", "stat=,comm=", "-p", str(pid)], capture_output=True, text=True).stdout
        if "postgres" in command and not command.lstrip().startswith("Z"):
            return [pid]
    return []
