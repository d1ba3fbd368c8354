"""The stand-in for Modal's service as a process, and this process's SDK pointed at it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.modal_server.__main__ import TOKEN_ID, TOKEN_SECRET
from tests.fakes.modal_server.machine import Machines

_REPOSITORY = Path(__file__).resolve().parents[3]


@contextmanager
def modal_service(root: Path, *, deployed: bool = True) -> Iterator[tuple[Machines, dict[str, str]]]:
    """A server of its own with its machines, and the environment that leads the SDK there."""
    machines = Machines(root)
    root.mkdir(parents=True, exist_ok=True)
    if deployed:
        (root / "deployed").touch()
    command = [sys.executable, "-m", "tests.fakes.modal_server", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_REPOSITORY) as server:
        assert server.stdout
        address = server.stdout.readline().decode().strip()
        try:
            yield (
                machines,
                {
                    "MODAL_SERVER_URL": address,
                    "MODAL_TOKEN_ID": TOKEN_ID,
                    "MODAL_TOKEN_SECRET": TOKEN_SECRET,
                    "MODAL_CONFIG_PATH": str(root / "modal.toml"),
                    "NO_PROXY": "*",
                },
            )
        finally:
            server.terminate()
            machines.end_all()


@contextmanager
def sdk_at(environment: dict[str, str]) -> Iterator[None]:
    """This process's SDK with that environment, and without what it remembered of another."""
    from modal.client import Client

    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MODAL_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        Client._set_env_client(None)
        try:
            yield
        finally:
            Client._set_env_client(None)
