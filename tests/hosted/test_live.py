"""The opt-in tests for a real project: what they ask for without one, and that they pass on one's stand-in."""

import os
import subprocess
import sys
from pathlib import Path

from resources.database.hosted import HostedDatabase
from tests.fakes.storage.storage_server import StorageServer
from tests.live.project import MIGRATE, NEEDED, WANTED

CHECKOUT = Path(__file__).resolve().parents[2]


def _python(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = {*NEEDED, MIGRATE, WANTED, "SSL_CERT_DIR"}  # the last one says whom these tests believe: nobody
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, *words],
        cwd=CHECKOUT, env=clean | variables, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip


def _live(**variables: str) -> str:
    assert _python("-m", "tests.live", **variables).returncode == 0
    ran = _python("-m", "pytest", "-n", "0", "-rs", "tests/live", **variables, **{WANTED: "1"})
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def test_without_a_project_it_says_what_it_needs() -> None:
    said = _python("-m", "tests.live", SUPABASE_URL="https://abc.supabase.co", SUPABASE_SECRET_KEY=" ")
    assert said.returncode == 2
    assert "SUPABASE_SECRET_KEY: its secret key" in said.stderr
    assert "SUPABASE_DB_URL: its connection string" in said.stderr
    assert "SUPABASE_URL:" not in said.stderr


def test_keys_that_lie_around_start_nothing(storage: StorageServer) -> None:
    around = dict(zip(NEEDED, (storage.url, storage.secret_key, "postgresql://u:p@127.0.0.1:1/d"), strict=True))
    ran = _python("-m", "pytest", "-n", "0", "-rs", "tests/live", **around)
    assert ran.returncode == 0, ran.stdout
    assert "they need a real Supabase project: make test-live" in ran.stdout
    assert "passed" not in ran.stdout
    assert storage.calls == []


def test_a_stand_in_passes_and_is_left_as_it_was(storage: StorageServer, project_url: str) -> None:
    given = dict(zip(NEEDED, (storage.url, storage.secret_key, project_url), strict=True))
    looked = _live(**given)
    assert "migrations are pending; DAWA_LIVE_MIGRATE=1 applies them" in looked
    database = HostedDatabase(project_url)
    assert "skipped" not in _live(**given, **{MIGRATE: "1"})
    assert storage.state.sorted("dawa-exports", "") == []
    with database.transaction() as connection:
        for table in ("public.artists", "auth.users", "storage.objects"):
            assert connection.execute(f"select from {table}".encode()).fetchone() is None
