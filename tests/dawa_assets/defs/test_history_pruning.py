"""History has an end: old runs go with all that is theirs, what pages show stays, and time bounds a pass."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from dawa_assets.defs.forgetting import forget_artist
from dawa_assets.defs.history_pruning import history_schedule, prune_history, prune_history_job
from dawa_assets.defs.resources import Pipeline
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.defs.test_forgetting import latest, report_on, stored, work_for
from tests.dawa_assets.maintenance.typed import dawa


def age(instance: dg.DagsterInstance, *run_ids: str, days: int = 100) -> None:
    """Make runs, or what sensors reported, as old as that."""
    home, moment = Path(instance.root_directory), datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
    with sqlite3.connect(home / "history" / "runs.db") as runs:
        for run_id in run_ids:
            set_ = "update runs set create_timestamp = ?, update_timestamp = ?, end_time = ? where run_id = ?"
            runs.execute(set_, [f"{moment:%F %T.%f}", f"{moment:%F %T.%f}", moment.timestamp(), run_id])
    if not run_ids:
        for name in ("index", ""):
            with sqlite3.connect(home / "history" / "runs" / f"{name}.db") as events:
                events.execute("update event_logs set timestamp = ? where run_id = ''", [f"{moment:%F %T.%f}"])
                set_ = "update asset_check_executions set evaluation_event_timestamp = ? where run_id = ''"
                events.execute(set_, [f"{moment:%F %T.%f}"])


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A home with old runs of two artists: one that was followed by another, a failed one, and two that pages show."""
    home = tmp_path_factory.mktemp("history") / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        old = [work_for(instance, "nova"), work_for(instance, "nova", fails="yes"), work_for(instance, "nova"),
               work_for(instance, "nova-two")]  # fmt: skip
        age(instance, *old)
        return home, [*old, work_for(instance, "nova-two", fails="yes")]


@pytest.fixture
def instance(aged: tuple[Path, list[str]], tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A copy of it for each test."""
    shutil.copytree(aged[0], tmp_path / "dagster")
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        yield instance


@pytest.fixture
def runs(aged: tuple[Path, list[str]]) -> list[str]:
    return aged[1]


def there(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_old_runs_go_and_what_pages_show_stays(instance: dg.DagsterInstance, runs: list[str]) -> None:
    shown = latest(instance, "prompts")
    planned = prune_history(instance, 90, dry_run=True)
    assert there(instance) == set(runs)
    report = prune_history(instance, 90)
    assert report == planned
    assert (report.runs, report.kept, report.is_all) == (2, 2, True)
    assert report.freed_bytes > 100_000
    assert there(instance) == set(runs[2:])
    assert stored(instance, *runs[:2]) == set()
    assert latest(instance, "prompts") == shown
    assert instance.get_materialized_partitions(dg.AssetKey("prompts")) == {"nova", "nova-two"}
    check = dg.AssetCheckKey(dg.AssetKey("prompts"), "holds")
    evaluation = instance.get_latest_asset_check_evaluation_record(check)
    assert evaluation is not None
    assert evaluation.run_id in runs[2:]
    assert prune_history(instance, 90).runs == 0


@pytest.mark.parametrize("bound", [{"max_runs": 1}, {"max_seconds": 0}])
def test_a_pass_is_bounded_and_the_next_goes_on(
    instance: dg.DagsterInstance, runs: list[str], bound: dict[str, int]
) -> None:
    report = prune_history(instance, 90, **bound)  # type: ignore[arg-type]
    assert report.runs <= 1
    assert not report.is_all
    assert "there is more" in report.headline
    assert prune_history(instance, 90).is_all
    assert there(instance) == set(runs[2:])


def test_reports_of_sensors_go_but_the_latest_of_each(instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        report_on(instance, "nova-two", "nova")
    age(instance)
    report_on(instance, "nova-two", "nova")
    assert prune_history(instance, 90).events == 3 * 4
    page = instance.fetch_materializations(dg.AssetKey("needs_attention"), limit=9).records
    assert len(page) == 1
    age(instance)
    assert prune_history(instance, 90).events == 0
    assert instance.get_latest_materialization_event(dg.AssetKey("needs_attention")) is not None
    check = dg.AssetCheckKey(dg.AssetKey("prompts"), "open")
    assert instance.get_latest_asset_check_evaluation_record(check) is not None


def test_a_database_that_no_run_knows_goes_when_it_is_old(instance: dg.DagsterInstance, runs: list[str]) -> None:
    instance.run_storage.delete_run(runs[0])
    assert stored(instance, runs[0]) != set()
    prune_history(instance, 90)
    assert Path(instance.root_directory, "history", "runs", f"{runs[0]}.db").exists()
    prune_history(instance, -1)
    assert not Path(instance.root_directory, "history", "runs", f"{runs[0]}.db").exists()


def test_the_space_of_what_went_is_given_back(instance: dg.DagsterInstance) -> None:
    index = Path(instance.root_directory, "history", "runs", "index.db")
    table = dg.MetadataValue.json({"artist": "gone", "what": "x" * 2_000_000})
    instance.report_runless_asset_event(dg.AssetMaterialization("needs_attention", metadata={"table": table}))
    forget_artist(instance, "gone")
    before = index.stat().st_size
    prune_history(instance, 90)
    assert index.stat().st_size < before / 2
    assert latest(instance, "prompts") is not None


def test_the_schedule_asks_for_a_run_only_if_there_is_something(
    instance: dg.DagsterInstance, runs: list[str], tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path / "home")

    def tick() -> object:
        with dg.build_schedule_context(instance=instance) as context:
            return history_schedule(settings)(context)

    assert isinstance(tick(), dg.RunRequest)
    result = prune_history_job.execute_in_process(
        instance=instance, resources={"pipeline": Pipeline(overrides={"home": str(settings.home)})}
    )
    assert result.success
    assert there(instance) == {*runs[2:], result.run_id}
    assert isinstance(tick(), dg.SkipReason)


def test_the_command_removes_history_alone(
    instance: dg.DagsterInstance,
    runs: list[str],
    ports: Ports,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", instance.root_directory)
    assert dawa(monkeypatch, ports, "prune", "--history-days", "90", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("history: would remove 2 runs (")
    assert there(instance) == set(runs)
    assert dawa(monkeypatch, ports, "prune", "--history-days", "90", "--json") == 0
    assert json.loads(capsys.readouterr().out)["history"]["runs"] == 2
    assert there(instance) == set(runs[2:])
    for words in ((), ("--history-days", "0"), ("--history-days", "90", "--artist", "nova")):
        assert dawa(monkeypatch, ports, "prune", *words) == 2
        assert capsys.readouterr().err.count("\n") == 1
