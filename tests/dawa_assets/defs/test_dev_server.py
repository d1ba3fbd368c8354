"""How the UI is started; in a browser it is looked at in `test_ui.py`."""

import signal
from pathlib import Path

import dagster as dg
import pytest
from dagster._cli.dev import dev_command

from dawa_assets.defs.dev_server import run_dev_server


def test_the_ui_can_be_ended_where_a_shell_had_it_ignore_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `make ui &` in a script."""
    handlers: list[object] = []
    monkeypatch.setattr(type(dev_command), "main", lambda *_, **__: handlers.append(signal.getsignal(signal.SIGINT)))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
            run_dev_server(instance, 3000)
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers == [signal.default_int_handler]
