"""The command line in this process, on a test's own ports."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dawa_assets.cli.main import main
from resources.ports import Ports


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code and its two streams."""

    code: int
    out: str
    err: str


Dawa = Callable[..., Said]


def dawa_on(ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dawa:
    """A function that runs `dawa` with these words, `on` other ports if they are given."""

    def dawa(*words: str | Path, on: Ports = ports) -> Said:
        for part, given in {"ports": on, "database": on.database, "prompt_writer": on.prompt_writer}.items():
            monkeypatch.setattr(f"resources.ports.open_{part}", lambda _, given=given: given)
        return run_main(monkeypatch, capsys, *words)

    return dawa


def run_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path) -> Said:
    """Run `dawa` with these words and the environment's settings."""
    monkeypatch.setattr(sys, "argv", ["dawa", *map(str, words)])
    code = 0
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    said = capsys.readouterr()
    return Said(code, said.out, said.err)
