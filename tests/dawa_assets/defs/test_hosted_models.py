"""The chain with a hosted writer and tagger, through Dagster: what it makes, what it costs, and no key anywhere.

Two builds and what a refused key leaves are whole runs, each with its worker and its history.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.run import run_job
from dawa_assets.intake.inbox import upload
from dawa_assets.tables.artists import Artist, ensure_artist
from tests.campaigns.small_artist import NAME, compose
from tests.command_line import dawa
from tests.dawa_assets.prompting.material import profile
from tests.fakes.model_server import gemini_api, openai_api
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.fixtures import model_server_process

__all__ = ["model_server_process"]

KEYS = {"OPENAI_API_KEY": openai_api.KEY, "GEMINI_API_KEY": gemini_api.KEY}
WRONG = {"OPENAI_API_KEY": "sk-proj-wrong-key-0123456789abcdef", "GEMINI_API_KEY": "AIzaWrongKey0123456789abcdef"}


@pytest.fixture(scope="module", autouse=True)
def _keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, key in KEYS.items():
            patch.setenv(name, key)
        yield


@pytest.fixture(scope="module")
def chosen(home: Path, model_server_process: ModelServer) -> dict[str, str]:
    model_server_process.reset()
    return {
        "home": str(home),
        "quiet_seconds": "0",
        "train_steps": "2",
        "preview_seconds": "1",
        "prompt_writer": "openai",
        "openai_base_url": model_server_process.openai_url,
        "tagger": "gemini",
        "gemini_base_url": model_server_process.url,
    }


@pytest.fixture(scope="module")
def hosted(chosen: dict[str, str], pipeline: Pipeline) -> Pipeline:
    return Pipeline(overrides=pipeline.overrides | chosen)


@pytest.fixture(scope="module")
def artist(hosted: Pipeline, home: Path) -> Artist:
    ports = hosted.ports()
    compose(home / "files")
    with ports.database.transaction() as connection:
        artist = ensure_artist(connection, NAME)
    set_profile(ports, artist, profile())
    upload(ports, artist, [home / "files"])
    return artist


@pytest.fixture(scope="module")
def lasting(home: Path) -> Iterator[dg.DagsterInstance]:
    folder = home / "history"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance


@pytest.fixture(scope="module")
def run(lasting: dg.DagsterInstance, hosted: Pipeline, artist: Artist) -> dict[str, dict[str, object]]:
    """What the pages of what was paid for show after the run."""
    for job in ("ingest_job", "dataset_job"):
        assert run_job(lasting, hosted, job, artist.slug).failures == []
    return {asset: _metadata(lasting, asset) for asset in ("prompts", "segment_tags")}


def _metadata(instance: dg.DagsterInstance, asset: str) -> dict[str, object]:
    record = instance.fetch_materializations(dg.AssetKey(asset), limit=1).records[0]
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_prompts_tags_and_their_cost_are_in_tables_and_on_pages(
    run: dict[str, dict[str, object]], hosted: Pipeline, model_server_process: ModelServer
) -> None:
    with hosted.ports().database.transaction() as connection:
        prompts = connection.execute("select distinct model_name from prompts").fetchall()
        tags = connection.execute("select distinct model from segment_tags").fetchall()
        spent = {
            row["service"]: (row["calls"], float(row["cost_usd"]))
            for row in connection.execute("select service, calls, cost_usd from spending")
        }
    assert [row["model_name"] for row in prompts] == ["gpt-6-luna"]
    assert [row["model"] for row in tags] == ["gemini-3.5-flash-lite"]
    paid = model_server_process.paid()
    assert spent["prompts"][0] == sum(call["api"] == "openai" for call in paid)
    assert spent["tags"][0] == sum(call["api"] == "gemini" for call in paid)
    for asset, service in (("prompts", "prompts"), ("segment_tags", "tags")):
        shown = run[asset]
        assert shown["calls"] == spent[service][0]
        assert shown["cost, USD"] == pytest.approx(spent[service][1], abs=1e-4)
        assert shown["cost, USD"] > 0


@pytest.mark.usefixtures("run")
def test_a_second_run_pays_nothing(
    lasting: dg.DagsterInstance, hosted: Pipeline, artist: Artist, model_server_process: ModelServer
) -> None:
    before = len(model_server_process.paid())
    for job in ("ingest_job", "dataset_job"):
        assert run_job(lasting, hosted, job, artist.slug).success
    assert len(model_server_process.paid()) == before


def _dawa(chosen: dict[str, str], keys: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    given = {f"DAWA_{name.upper()}": value for name, value in chosen.items()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAWA_")}
    return dawa(*arguments, env=environment | given | keys)


@pytest.mark.usefixtures("run")
def test_no_output_file_table_or_event_contains_a_key(
    lasting: dg.DagsterInstance, chosen: dict[str, str], artist: Artist, home: Path
) -> None:
    # Another model, so that there is something to write, and the service has to look at the key.
    asking = {**chosen, "openai_model": "gpt-4o-mini"}
    refused = _dawa(asking, WRONG, "build", "--artist", artist.slug)
    assert refused.returncode == 1
    said = refused.stdout + refused.stderr
    half = KEYS | {"GEMINI_API_KEY": WRONG["GEMINI_API_KEY"]}  # the build was refused the other one
    for keys, command in ((half, ["doctor"]), (KEYS, ["status", "--json"])):
        done = _dawa(chosen, keys, *command)
        said += done.stdout + done.stderr
    assert "key" in said
    said += "".join(str(entry) for run in lasting.get_runs() for entry in lasting.all_logs(run.run_id))
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) > 100
    for key in (*KEYS.values(), *WRONG.values()):
        telltale = key[8:24]
        assert telltale not in said
        assert [str(path) for path in files if telltale.encode() in path.read_bytes()] == []
