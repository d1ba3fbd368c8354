"""`dawa migrate`, as it is typed, on both kinds of database."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.database.migrations import known_migrations
from tests.command_line import dawa
from tests.fakes.hosted_servers import PostgresServer

FILES = [migration.file for migration in known_migrations()]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    EmbeddedDatabase(tmp_path / "postgres").stop()


def _migrate(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return dawa("migrate", *words, env=os.environ | {"DAWA_HOME": str(home)} | variables)


def _check(home: Path, place: str, **variables: str) -> None:
    would = _migrate(home, "--dry-run", **variables)
    assert (would.returncode, would.stderr) == (0, "")
    assert would.stdout.splitlines() == [place, *(f"would apply {file}" for file in FILES)]
    did = _migrate(home, **variables)
    assert (did.returncode, did.stderr) == (0, "")
    assert did.stdout.splitlines() == [place, *(f"applied {file}" for file in FILES)]
    for words in ((), ("--dry-run",)):
        again = _migrate(home, *words, **variables)
        assert again.stdout.splitlines() == [place, "the database is up to date"]


def test_the_embedded_database_is_migrated_and_named(home: Path) -> None:
    _check(home, "the database dawa on this machine")


def test_a_migrated_hosted_database_is_named_without_password(home: Path, debian_postgres: PostgresServer) -> None:
    debian_postgres.create_database("migrated_by_command")
    hosted = {"DAWA_DATABASE": "supabase", "SUPABASE_DB_URL": debian_postgres.url("migrated_by_command")}
    try:
        _check(home, f"the database migrated_by_command at 127.0.0.1:{debian_postgres.port}", **hosted)
    finally:
        debian_postgres.drop_database("migrated_by_command")
    gone = _migrate(home, **hosted)
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert "it has no database of this name" in gone.stderr
    assert debian_postgres.owner_password not in gone.stdout + gone.stderr
