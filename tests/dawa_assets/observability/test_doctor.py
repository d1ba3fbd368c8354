"""The doctor's findings: each part by itself, one line each, no secret."""

import json
from collections.abc import Iterator
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
from tests.prepared import prepare_database

__all__ = ["model_server", "model_server_process"]


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
        "home", "database", "bucket", "prompt writer", "tagger", "compute", "system prompt", "budget",
    ]  # fmt: skip


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
def test_a_model_that_ends_soon_is_told(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch, days: int, state: str
) -> None:
    ends_on = datetime.now(UTC).date() + timedelta(days=days)
    model_server.set(models={"gpt-6-luna": ends_on.isoformat()})
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = _findings(prompt_writer="openai", openai_base_url=model_server.openai_url)["prompt writer"]
    assert (found.state, found.ends_on) == (state, ends_on)
    assert model_server.paid() == []


def test_a_wrong_key_is_told_and_not_shown(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
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
