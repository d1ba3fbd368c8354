"""Processes of Dagster's UI on this machine: found before a second one is started beside them.

Two daemons on one instance would tick twice; what a killed `make ui` left behind goes on without a terminal.
"""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from modal_app.errors import InputError

_DAEMONS = ("dagster._daemon", "dagster-daemon")
_WEB_SERVERS = ("dagster_webserver", "dagster-webserver")


def refuse_second_ui(dagster_home: Path, port: int, *, processes: Path = Path("/proc")) -> None:
    """Make sure that no daemon works on this instance, and that nobody listens on the port of this machine.

    Args:
        dagster_home: the instance's folder.
        port: where the UI is to be.
        processes: where the system shows its processes; where it is no folder, `ps` is asked.

    Raises:
        InputError: one line that names what runs, and how to end it.
    """
    daemons, web_servers = [], []
    for pid, command, variables in _processes(processes):
        if json.dumps(str(dagster_home)) in command or f"DAGSTER_HOME={dagster_home}" in variables:
            arguments = command.split()
            daemons += [pid] if any(word.endswith(_DAEMONS) for word in arguments) else []
            web_servers += [pid] if any(word.endswith(_WEB_SERVERS) for word in arguments) else []
    way_out = f"end it with Ctrl-C in its terminal, or `kill {' '.join(map(str, [*daemons, *web_servers]))}`"
    if daemons:
        raise InputError(f"a Dagster UI runs on {dagster_home} already (process {daemons[0]}); use it, or {way_out}")
    if _is_taken(port):
        if web_servers:
            raise InputError(f"port {port} is in use by what an earlier UI left (process {web_servers[0]}); {way_out}")
        raise InputError(
            f"port {port} is in use by another program; end that, or choose another port, `make ui PORT={port + 1}`"
        )


def _processes(folder: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Number, command line and variables of each process that may be looked at; `ps` tells no variables."""
    if not folder.is_dir():
        listed = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=False)
        for line in listed.stdout.splitlines():
            pid, _, words = line.strip().partition(" ")
            yield int(pid), words, []
        return
    for process in folder.iterdir():
        if process.name.isdigit():
            try:
                words, variables = ((process / name).read_text(errors="replace") for name in ("cmdline", "environ"))
            except OSError:  # ended meanwhile, or somebody else's
                continue
            yield int(process.name), words.replace("\0", " "), variables.split("\0")


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
