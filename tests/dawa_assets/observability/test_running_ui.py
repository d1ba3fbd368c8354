"""A second UI beside the first, or beside what the first left: refused in one line that says how to end it."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dawa_assets.observability.running_ui import refuse_second_ui
from modal_app.errors import InputError
from tests.command_line import dawa

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def _process(*words: str, **variables: str) -> Iterator[int]:
    """Let something run under a command line and variables like those of a process of Dagster's; its number."""
    waits = [sys.executable, "-S", "-c", "print('runs', flush=True); input()", *words]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(waits, env={**os.environ, **variables}, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_make_ui_is_refused_beside_a_daemon_of_its_home(tmp_path: Path) -> None:
    assert re.search(r"^ui:.*\n\t@\$\(BIN\)/dawa ui --port \$\(PORT\)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    instance = tmp_path / "home" / "dagster"
    with (
        _process("dagster_webserver", DAGSTER_HOME=str(instance)) as web_server,
        _process("dagster._daemon", "run", DAGSTER_HOME=str(instance)) as daemon,
        _process("dagster._daemon", "run", DAGSTER_HOME=str(tmp_path / "another")),
    ):
        run = dawa("ui", "--port", str(_free_port()), env={**os.environ, "DAWA_HOME": str(tmp_path / "home")})
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        f"dawa: a Dagster UI runs on {instance} already (process {daemon}); use it, or end it with Ctrl-C in its "
        f"terminal, or `kill {daemon} {web_server}`\n"
    )
    assert not instance.exists()


def test_a_port_in_use_is_reported_with_another(tmp_path: Path, port: int) -> None:
    run = dawa("ui", "--port", str(port), env={**os.environ, "DAWA_HOME": str(tmp_path)})
    assert run.returncode == 2
    assert run.stderr == (
        f"dawa: port {port} is in use by another program; end that, or choose another port, `make ui PORT={port + 1}`\n"
    )


def test_a_web_server_that_was_left_is_told_by_its_number(tmp_path: Path, port: int) -> None:
    with (
        _process("dagster_webserver", DAGSTER_HOME=str(tmp_path)) as left,
        pytest.raises(InputError, match=rf"left \(process {left}\); .*`kill {left}`"),
    ):
        refuse_second_ui(tmp_path, port)


def test_without_a_folder_of_processes_ps_is_asked(tmp_path: Path) -> None:
    home = tmp_path / "häuser"
    arguments = ("dagster._daemon", "run", "--instance-ref", json.dumps({"base_dir": str(home)}))
    with _process(*arguments) as daemon, pytest.raises(InputError, match=f"process {daemon}"):
        refuse_second_ui(home, _free_port(), processes=tmp_path / "none")


def test_who_is_alone_may_start(tmp_path: Path) -> None:
    refuse_second_ui(tmp_path, _free_port())
