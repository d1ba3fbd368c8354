"""The doctor's findings: each part by itself, one line each, no secret."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dawa_assets.cli.main import app
from dawa_assets.observability.doctor import Diagnosis, examine
from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.settings import Settings
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.fixtures import model_server, model_server_process
from tests.fakes.model_server.openai_api import KEY
from tests.fakes.storage.storage_server import StorageServer
from tests.prepared import prepare_database
from tests.resources.bucket.conftest import storage_server

__all__ = ["model_server", "model_server_process", "storage_server"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = prepare_database(tmp_path_factory.mktemp("home"))
    yield home
    EmbeddedDatabase(home / "postgres").stop()


@pytest.fixture(autouse=True)
def _environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWA_HOME", str(home))


def _findings(**settings: object) -> dict[str, Diagnosis]:
    found = {finding.part: finding for finding in examine(Settings.load(**settings))}  # type: ignore[arg-type]
    assert all("\n" not in finding.detail for finding in found.values())
    return found


def test_the_embedded_defaults_are_well() -> None:
    found = _findings()
    assert {finding.state for finding in found.values()} == {"ok"}
    assert [*found] == [
        "home", "database", "bucket", "prompt writer", "tagger", "compute", "system prompt", "budget", "permissions",
        "marks",
    ]  # fmt: skip


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine may look into."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Be somebody who may write as little as they are allowed to: root may write anywhere."""
    us = os.geteuid()
    if us == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if us == 0:
            os.seteuid(0)


def test_a_folder_that_is_read_only_is_an_error(open_folder: Path) -> None:
    bucket = open_folder / "bucket"
    (bucket / "artists" / "nova").mkdir(parents=True)
    (bucket / "artists" / "nova" / "a.txt").write_bytes(b"a")
    bucket.chmod(0o555)
    findings = examine(Settings(home=open_folder, database="supabase"))
    assert [next(findings).part, next(findings).part] == ["home", "database"]
    with _as_nobody():
        found = next(findings)
    bucket.chmod(0o755)
    assert (found.part, found.state) == ("bucket", "error")
    assert found.detail == (
        "can be read, but a small file could not be written, read and removed: "
        f"{bucket.resolve()}: can't be written to: Permission denied; let this user write there, or choose another "
        "DAWA_HOME"
    )
    assert sorted(path.name for path in open_folder.rglob("*")) == ["a.txt", "artists", "bucket", "nova"]


@pytest.mark.parametrize(("method", "path"), [("POST", "object/dawa-exports/doctor"), ("DELETE", "object/")])
def test_a_storage_that_refuses_writes_is_an_error(storage_server: StorageServer, method: str, path: str) -> None:
    project = {"supabase_url": storage_server.url, "supabase_secret_key": storage_server.secret_key}
    assert _bucket_of(**project).detail.startswith("Storage answers; the bucket 'dawa-exports' is not there yet")
    assert storage_server.called("POST", "object/dawa-exports/") == []
    storage_server.state.create_bucket("dawa-exports", False)
    assert _bucket_of(**project).detail.endswith("; a small file was written, read and removed")
    assert storage_server.state.bucket("dawa-exports").objects == {}
    storage_server.fail(method=method, path=path, status=403, message="read-only", times=9)
    found = _bucket_of(**project)
    assert found.state == "error"
    assert "Storage refuses the key (read-only); set SUPABASE_SECRET_KEY" in found.detail
    assert storage_server.secret_key not in found.detail


def _bucket_of(**project: str) -> Diagnosis:
    return next(each for each in examine(Settings(bucket="supabase", **project)) if each.part == "bucket")


def test_what_is_missing_is_said_of_each_part_by_itself() -> None:
    found = _findings(prompt_writer="openai", tagger="gemini", bucket="supabase", system_prompt_version="train-v99")
    assert {part: finding.state for part, finding in found.items() if finding.state != "ok"} == {
        "bucket": "error",
        "prompt writer": "error",
        "tagger": "error",
        "system prompt": "error",
    }
    assert "OPENAI_API_KEY: is not set" in found["prompt writer"].detail
    assert "GEMINI_API_KEY" in found["tagger"].detail
    assert "train-v1" in found["system prompt"].detail


def test_a_key_that_lies_around_switches_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-lying-around")
    found = _findings()
    assert found["prompt writer"].uses == "offline"
    assert "sk-lying-around" not in str(found)


@pytest.mark.parametrize(("days", "state"), [(200, "ok"), (61, "ok"), (59, "warning"), (-1, "error")])
def test_a_model_that_ends_soon_is_reported(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, days: int, state: str
) -> None:
    ends_on = datetime.now(UTC).date() + timedelta(days=days)
    model_server.set(models={"gpt-6-luna": ends_on.isoformat()})
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = _findings(prompt_writer="openai", openai_base_url=model_server.openai_url)["prompt writer"]
    assert (found.state, found.ends_on) == (state, ends_on)
    assert model_server.paid() == []


def test_a_wrong_key_is_reported_and_not_shown(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-and-secret")
    monkeypatch.setenv("DAWA_PROMPT_WRITER", "openai")
    monkeypatch.setenv("DAWA_OPENAI_BASE_URL", model_server.openai_url)
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == 1
    assert "key" in shown.output
    assert "sk-wrong-and-secret" not in shown.output


def test_the_command_speaks_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWA_MONTHLY_BUDGET_USD", "20")
    shown = CliRunner().invoke(app, ["doctor", "--json"])
    found = {row["part"]: row for row in json.loads(shown.stdout)}
    assert shown.exit_code == 0
    assert "$20.00 left of $20.00 this month" in found["budget"]["detail"]
