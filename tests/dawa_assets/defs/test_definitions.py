"""What the code location promises before anything runs."""

import importlib
import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from pydantic import SecretStr

from dawa_assets.defs.code_location import build_defs
from resources.database.base import Database
from resources.settings import Settings
from tests.command_line import dawa

CHAIN = [
    "als_summaries",
    "prompts",
    "training_items",
    "dataset_zip",
    "preprocessed_segments",
    "segment_tags",
    "lora_weights",
    "lora_evaluation",
    "lora_preview",
]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_defs(Settings(home=tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def graph(defs: dg.Definitions) -> AssetGraph:
    return defs.resolve_asset_graph()


def test_each_asset_hangs_on_the_one_before_it(graph: AssetGraph) -> None:
    for earlier, later in pairwise(CHAIN):
        assert dg.AssetKey(earlier) in graph.get(dg.AssetKey(later)).parent_keys
    assert dg.AssetKey("live_sets") in graph.get(dg.AssetKey("als_summaries")).parent_keys
    assert dg.AssetKey("bounces") in graph.get(dg.AssetKey("training_items")).parent_keys
    assert dg.AssetKey("artist_profiles") in graph.get(dg.AssetKey("prompts")).parent_keys


@pytest.mark.parametrize("name", CHAIN)
def test_every_asset_says_what_it_is(graph: AssetGraph, name: str) -> None:
    node = graph.get(dg.AssetKey(name))
    assert len(node.description or "") > 80
    assert node.owners
    assert node.kinds
    assert node.group_name != "default"
    assert node.partitions_def is not None


@pytest.mark.parametrize("name", CHAIN)
def test_every_asset_names_its_table_columns_and_function(graph: AssetGraph, name: str) -> None:
    metadata = graph.get(dg.AssetKey(name)).metadata
    assert str(metadata["dagster/table_name"]).startswith("public.")
    assert len(metadata["dagster/column_schema"].columns) >= 2
    module, _, function = str(metadata["made by"]).rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", CHAIN)
def test_every_asset_has_a_blocking_check(graph: AssetGraph, name: str) -> None:
    blocking = {
        key.name: graph.get(key).blocking for key in graph.asset_check_keys if key.asset_key == dg.AssetKey(name)
    }
    ours = {f"{name}_hold_together": True, f"{name}_nothing_open": False}
    assert blocking == (ours | {f"{name}_model_lasts": False} if name in ("prompts", "segment_tags") else ours)


def test_sensors_and_the_schedule_are_on_from_the_start(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert {each.name for each in repository.sensor_defs} >= {
        "inbox_sensor",
        "stale_prompts_sensor",
        "standing_checks_sensor",
    }
    assert all(each.default_status == dg.DefaultSensorStatus.RUNNING for each in repository.sensor_defs)
    schedules = {each.name: each.default_status for each in repository.schedule_defs}
    names = ["nightly_dataset_rebuild", "nightly_verify", "weekly_verify", "daily_history_prune"]
    assert schedules == dict.fromkeys(names, dg.DefaultScheduleStatus.RUNNING)


_SNAPSHOT = """
import dagster as dg
from dagster._core.remote_representation.external_data import RepositorySnap
from dawa_assets.definitions import defs
print(dg.serialize_value(RepositorySnap.from_def(defs().get_repository_def())))
"""


def test_no_secret_of_the_environment_is_in_the_snapshot(tmp_path: Path) -> None:
    secrets = {
        name: f"canary-{name.lower()}-4711"
        for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_DB_URL", "HF_TOKEN")
    }
    secrets["DAWA_HOME"] = str(tmp_path / "canary-home-4711")
    done = dawa(env={**os.environ, **secrets}, cwd=tmp_path, code=_SNAPSHOT)
    assert done.returncode == 0, done.stderr
    assert "als_summaries" in done.stdout
    assert "4711" not in done.stdout
    assert "4711" not in done.stderr


def test_dagster_has_nothing_to_warn_of_at_load(tmp_path: Path) -> None:
    warned = "import warnings\nwarnings.simplefilter('default')\nfrom dawa_assets.definitions import defs\ndefs()"
    done = dawa(cwd=tmp_path, code=warned)
    assert done.returncode == 0, done.stderr
    ours = [line for line in done.stderr.splitlines() if str(ROOT) in line]
    assert ours == []


def test_a_run_is_one_process_whatever_is_chosen(defs: dg.Definitions) -> None:
    jobs = [*defs.resolve_all_job_defs(), defs.resolve_implicit_global_asset_job_def()]
    assert {job.executor_def.name for job in jobs} == {"in_process"}


_UNREAD = """
import importlib, pkgutil
from resources.settings import Settings
read = Settings.__init__
def refuse(*given, **named):
    raise AssertionError("settings were read by an import")
Settings.__init__ = refuse
import dawa_assets.defs as package
names = [found.name for found in pkgutil.walk_packages(package.__path__, "dawa_assets.defs.")]
for name in names + ["dawa_assets.definitions"]:
    importlib.import_module(name)
print(len(names))
Settings.__init__ = read
importlib.import_module("dawa_assets.definitions").defs()
"""


def test_importing_the_definitions_reads_no_setting(tmp_path: Path) -> None:
    done = dawa(env={**os.environ, "DAWA_BACKEND": "none-such"}, cwd=tmp_path, code=_UNREAD)
    assert int(done.stdout) > 20, done.stderr
    assert done.returncode != 0
    assert "Error: DAWA_BACKEND: no generator is called" in done.stderr


@pytest.mark.parametrize("path", [ROOT / "dawa_assets/definitions.py", *(ROOT / "dawa_assets/defs").rglob("*.py")])
def test_nothing_of_dagster_reads_the_environment_by_itself(path: Path) -> None:
    assert re.search(r"\b(environ|getenv|EnvVar|dotenv)\b", path.read_text(encoding="utf-8")) is None


@dataclass(frozen=True)
class StandIn:
    """A resource that is no pipeline at all."""


def test_the_resource_says_what_it_uses_and_no_secret(settings: Settings) -> None:
    given = {
        "prompt_writer": "openai",
        "openai_model": "m-1",
        "openai_api_key": SecretStr("hidden"),
        "compute": "modal",
    }
    defs = build_defs(settings.model_copy(update=given))
    shown = defs.get_repository_def().get_top_level_resources()["pipeline"]
    described = repr(shown.config_schema.as_field().default_value)
    assert "openai (m-1)" in described
    assert "'compute': 'modal'" in described
    assert "hidden" not in described


def test_columns_are_those_of_the_tables_and_say_what_they_hold(graph: AssetGraph, database: Database) -> None:
    with database.transaction() as connection:
        rows = connection.execute(
            "select table_name || '.' || column_name as name from information_schema.columns "
            "where table_schema = 'public'"
        ).fetchall()
    there = {row["name"] for row in rows}
    for name in CHAIN:
        metadata = graph.get(dg.AssetKey(name)).metadata
        table = str(metadata["dagster/table_name"]).removeprefix("public.")
        for column in metadata["dagster/column_schema"].columns:
            assert f"{table}.{column.name}" in there, name
            assert column.description, (name, column.name)


def test_pools_schedule_and_resources_are_those_that_are_given(settings: Settings) -> None:
    other = {"prompt_writer": "openai", "nightly_cron": "30 4 * * 1", "timezone": "Europe/Berlin"}
    given = StandIn()
    defs = build_defs(settings.model_copy(update=other), resources={"pipeline": given, "another": 7})
    graph = defs.resolve_asset_graph()
    assert graph.get(dg.AssetKey("prompts")).pools == {"openai"}
    assert graph.get(dg.AssetKey("segment_tags")).pools == set()
    schedules = {each.name: each for each in defs.get_repository_def().schedule_defs}
    assert {each.execution_timezone for each in schedules.values()} == {"Europe/Berlin"}
    assert schedules["nightly_dataset_rebuild"].cron_schedule == "30 4 * * 1"
    assert defs.resources == {"pipeline": given, "another": 7}
