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
from typing import Literal

_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAP_CHOWN, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_SETGID, _CAP_SETUID = 0, 1, 2, 6, 7
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUSER = 0x10000000


@dataclass(frozen=True)
class ServerUser:
    """Whom root lends the server.

    `plain`: an ordinary user. `reader`: one who may read through closed folders besides, so nobody else who has
    the same uid may come near the server's files. `namespace`: still this root, who is called `uid` in a user
    namespace of the server's own.
    """

    uid: int
    gid: int
    how: Literal["plain", "reader", "namespace"] = "plain"

    @property
    def owner(self) -> tuple[int, int]:
        """To whom the server's files belong, as seen from here."""
        return (os.geteuid(), os.getegid()) if self.how == "namespace" else (self.uid, self.gid)


def server_user(data: Path) -> ServerUser | None:
    """Return None where this process may run PostgreSQL itself; else the unprivileged user that root lends it.

    PostgreSQL refuses to run as root. An ordinary user who owns the data folder `data` runs it then, else `nobody`
    with the one extra right to read through folders that only root may enter (a checkout under /root). Where root
    can't do that (a container that maps a single user or takes rights away), a user namespace makes the server
    believe that it is another user.
    """
    if os.geteuid() != 0:
        return None
    uid, gid = _nobody()
    owner = data.stat() if data.exists() else None
    if owner is not None and owner.st_uid not in (0, uid):
        return ServerUser(owner.st_uid, owner.st_gid)
    if platform.system() != "Linux":
        return ServerUser(uid, gid)
    namespace = owner.st_uid == 0 if owner is not None else not (_is_mapped(uid) and _may_lend())
    return ServerUser(uid, gid, "namespace" if namespace else "reader")


def become(user: ServerUser, program: Path) -> None:
    """Turn this process into `user`, for good, with the rights that it needs to run `program`.

    Raises:
        OSError: that is not allowed here.
    """
    if user.how == "namespace":
        _enter_namespace(user)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if user.how == "reader":
        libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)  # access(2) then counts the right, too
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    closed = not program.stat().st_mode & 0o001
    os.setgroups([user.gid])
    os.setgid(user.gid)
    os.setuid(user.uid)
    if user.how == "reader":
        # Only the wider right lets that user run a program that was installed for root alone.
        rights = (_CAP_DAC_OVERRIDE,) if closed else (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE)
        if not any(_keep(libc, right) for right in rights):
            raise OSError(ctypes.get_errno(), "root may not lend the right to read through closed folders here")


def processes_in(folder: Path) -> list[int]:
    """Return the running PostgreSQL processes whose working folder is `folder` (a data folder), newest last.

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
    """Return whether root of this (user) namespace can become `uid`."""
    try:
        ranges = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return True
    spans = [tuple(int(part) for part in line.split()) for line in ranges]
    return any(first <= uid < first + count for first, _, count in spans)


def _may_lend() -> bool:
    """Return whether this root has the rights that `become` and the change of owners take.

    Containers take some away.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return True
    rights = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:")), 16)
    reading = any(rights >> right & 1 for right in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH))
    return reading and all(rights >> right & 1 for right in (_CAP_CHOWN, _CAP_SETGID, _CAP_SETUID))


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
