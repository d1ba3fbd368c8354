"""`dawa artist`, as it is typed: its own process, a home of its own, exit codes and what is on which stream."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from resources.database.embedded.embedded_database import EmbeddedDatabase
from tests.command_line import dawa as typed
from tests.prepared import prepare_database


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = prepare_database(tmp_path_factory.mktemp("home of the artists"))
    yield home
    EmbeddedDatabase(home / "postgres").stop()


def dawa(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return typed(*words, env=os.environ | {"DAWA_HOME": str(home)})


def test_a_profile_is_stored_once_and_listed(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "master_schema.json"
    file.write_text('{"schema_version": "1.2"}')
    first = dawa(home, "artist", "set", "Ünder Wœrld", "--profile", str(file))
    assert (first.returncode, first.stderr) == (0, "")
    assert "profile stored" in first.stdout
    again = dawa(home, "artist", "set", "Ünder Wœrld", "--profile", str(file))
    assert "profile unchanged" in again.stdout
    listed = json.loads(dawa(home, "artist", "list", "--json").stdout)
    assert [(each["name"], each["profile"], each["schema_version"]) for each in listed] == [
        ("Ünder Wœrld", True, "1.2")
    ]
    assert UUID(listed[0]["id"])
    assert listed[0]["slug"] in dawa(home, "artist", "list").stdout


@pytest.mark.parametrize("content", ['{"artist": 7}', "no json", None])
def test_a_bad_profile_exits_2_with_one_line_and_adds_no_artist(
    home: Path, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "p.json"
    if content is not None:
        file.write_text(content)
    result = dawa(home, "artist", "set", "Nobody", "--profile", str(file))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"dawa: {file}")
    assert "Nobody" not in dawa(home, "artist", "list").stdout
