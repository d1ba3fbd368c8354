"""Commands as they are typed."""

import sys
from pathlib import Path

import pytest

from dawa_assets.cli.main import main
from resources.ports import Ports


def dawa(monkeypatch: pytest.MonkeyPatch, ports: Ports, *arguments: str | Path) -> int:
    """Run a command on these ports; its exit code."""
    monkeypatch.setattr("resources.ports.open_ports", lambda _: ports)
    monkeypatch.setattr(sys, "argv", ["dawa", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)
