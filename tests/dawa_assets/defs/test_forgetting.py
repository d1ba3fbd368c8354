"""A deleted artist is out of Dagster too: no file of a real instance has their texts, and others' history stays."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import psycopg
import pytest
import yaml
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from dagster._core.storage.compute_log_manager import ComputeIOType
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from dawa_assets.artists.delete import delete_artist, plan_deletion
from dawa_assets.defs.attention_page import issues_shown
from dawa_assets.defs.forgetting import RunHistory, forget_artist
from dawa_assets.defs.partitions import artists, ensure_partitions
from dawa_assets.defs.preview_features import accepted_as_new
from dawa_assets.defs.sensors.forgetting import forget_deleted_artists
from dawa_assets.tables.artists import Artist, ensure_artist
from dawa_assets.tables.backlog import OpenIssue
from resources.ports import Ports
from tests.dawa_assets.maintenance.killing import KilledError
from tests.given_pipeline import GivenPipeline

SECRET = "a hushed choir over vinyl"


@dg.asset(partitions_def=artists)
def prompts(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """A stand-in that says what its artist's text is, everywhere where that can be said."""
    text = f"{SECRET} by {context.partition_key}"
    context.log.info(text)
    sys.stdout.write(f"{text}\n")
    if context.run.tags.get("fails"):
        raise dg.Failure(text)
    return dg.MaterializeResult(metadata={"text": text})


@dg.asset_check(asset=prompts)
def standing(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Name an artist in the run of another, as a check for all of them does."""
    named = "nova" if "names" in context.run.tags else "nobody"
    return dg.AssetCheckResult(passed=True, metadata={"who": dg.MetadataValue.json([named, f"{SECRET} by {named}"])})


with accepted_as_new():

    @dg.asset_check(asset=prompts, partitions_def=artists)
    def holds(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        """Say it too."""
        return dg.AssetCheckResult(passed=True, description=f"{SECRET} by {context.partition_key}")


job = dg.define_asset_job("prompts_job", dg.AssetSelection.assets("prompts"), executor_def=dg.in_process_executor)
DEFS = dg.Definitions(assets=[prompts], asset_checks=[holds, standing], jobs=[job])


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """SQLite as `dagster dev` has it: a database for each run, and files of what runs print."""
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        yield instance


def work_for(instance: dg.DagsterInstance, slug: str, **tags: str) -> str:
    ensure_partitions(instance, [slug])
    built = DEFS.resolve_job_def("prompts_job")
    return built.execute_in_process(
        instance=instance, partition_key=slug, raise_on_error=False, tags={"dagster/partition": slug, **tags}
    ).run_id


def report_on(instance: dg.DagsterInstance, *slugs: str) -> None:
    """What sensors leave without a run: evaluations and a page with artists, and ticks that name them."""
    rows = [dg.TableRecord({"artist": slug, "what": f"{SECRET} by {slug}"}) for slug in slugs]
    schema = dg.TableSchema([dg.TableColumn("artist"), dg.TableColumn("what")])
    table = {"failed": dg.MetadataValue.table(rows, schema)}
    issues = [OpenIssue("prompts", "failed", slug, 1, f"{SECRET} by {slug}", "torn", None) for slug in slugs]
    for event in (
        dg.AssetCheckEvaluation(asset_key=dg.AssetKey("prompts"), check_name="open", passed=False, metadata=table),
        dg.AssetMaterialization("needs_attention", metadata=issues_shown("failed", issues, len(issues))),
        *(dg.AssetObservation("profiles", partition=slug, metadata={"text": f"{SECRET} by {slug}"}) for slug in slugs),
    ):
        instance.report_runless_asset_event(event)
    log_key = ["repo", "sensor", f"tick-of-{len(slugs)}-{slugs[-1]}"]
    with instance.compute_log_manager.open_log_stream(log_key, ComputeIOType.STDERR) as log:
        assert log is not None
        log.write(f"{slugs[-1]}: {SECRET}")
    for key, reason in ((log_key, None), (None, f"standing: {slugs[-1]}: {SECRET}"), (None, "nothing new")):
        tick = TickData("origin", "sensor", InstigatorType.SENSOR, TickStatus.SKIPPED, 1.0, skip_reason=reason)
        instance.create_tick(tick if key is None else tick._replace(log_key=key))


def stored(instance: dg.DagsterInstance, *words: str) -> set[str]:
    """The files of the instance in which any of these words is."""
    home = Path(instance.root_directory)
    files = [path for path in home.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(home))
        for path in files
        if any(word.encode() in path.read_bytes() or word in path.name for word in words)
    }


def latest(instance: dg.DagsterInstance, asset: str) -> object:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    return event and event.asset_materialization and next(iter(event.asset_materialization.metadata.values())).value


def furnish(instance: dg.DagsterInstance) -> list[str]:
    """Two artists with runs of each kind and reports; gives the runs of the first."""
    report_on(instance, "nova-two")
    work_for(instance, "nova-two", names="yes")
    runs = [work_for(instance, "nova"), work_for(instance, "nova", fails="yes")]
    report_on(instance, "nova-two", "nova")
    return runs


def test_no_file_of_the_instance_tells_of_a_forgotten_artist(instance: dg.DagsterInstance) -> None:
    runs = furnish(instance)
    assert len(stored(instance, f'{SECRET} by nova"', f"{SECRET} by nova\n")) >= 5
    counted = RunHistory(instance).count("nova")
    forgotten = forget_artist(instance, "nova")
    RunHistory(instance).forget("nova", None)
    assert forgotten.is_all
    assert forgotten.counts == counted
    assert (counted["runs"], counted["ticks"]) == (2, 2)
    assert counted["events"] > 20
    assert stored(instance, *runs, "**nova**", 'by nova"', "by nova\n", 'nova"', "nova:", f"nova: {SECRET}") == set()
    assert instance.get_dynamic_partitions("artist") == ["nova-two"]
    assert RunHistory(instance).count("nova") == {}

    assert instance.get_runs_count() == 1
    assert latest(instance, "prompts") == f"{SECRET} by nova-two"
    assert instance.get_latest_materialization_event(dg.AssetKey("needs_attention")) is not None
    status = instance.get_materialized_partitions(dg.AssetKey("prompts"))
    assert status == {"nova-two"}
    assert len(stored(instance, f"{SECRET} by nova-two")) >= 3
    assert len(instance.get_ticks("origin", "sensor")) == 4


def test_it_is_the_same_where_the_history_is_in_postgres(tmp_path: Path, empty_database_url: str) -> None:
    config = {"telemetry": {"enabled": False}, "storage": {"postgres": {"postgres_url": _url(empty_database_url)}}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        furnish(instance)
        counted = RunHistory(instance).count("nova")
        assert forget_artist(instance, "nova").counts == counted
        assert latest(instance, "prompts") == f"{SECRET} by nova-two"
    with psycopg.connect(empty_database_url) as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        query = "select t::text from {} t"
        rows = [row for (name,) in tables for row in connection.execute(SQL(query).format(Identifier(name)))]
    assert counted["runs"] == 2
    assert [row for row in rows if 'by nova"' in row[0] or "nova:" in row[0]] == []
    assert [row for row in rows if "by nova-two" in row[0]] != []


def _url(conninfo: str) -> str:
    """Return a connection string as SQLAlchemy reads it, which has sockets behind the question mark."""
    parts = {name: quote(str(value), safe="") for name, value in conninfo_to_dict(conninfo).items()}
    login = f"{parts['user']}:{parts.get('password', '')}"
    return f"postgresql+psycopg2://{login}@/{parts['dbname']}?host={parts['host']}&port={parts.get('port', 5432)}"


def test_forgetting_that_is_killed_anywhere_goes_on(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = furnish(instance)
    for place, name in (
        (instance.compute_log_manager, "delete_logs"),
        (instance.run_storage, "delete_run"),
        (instance.event_log_storage, "delete_events_for_run"),
        (instance, "wipe_asset_cached_status"),
    ):

        def killed(*_: object, **__: object) -> None:
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(place, name, killed)
            with pytest.raises(KilledError):
                forget_artist(instance, "nova")
    assert forget_artist(instance, "nova").is_all
    RunHistory(instance).forget("nova", None)
    assert stored(instance, *runs, 'nova"', "by nova\n", "nova:") == set()


def test_a_run_under_way_is_left_until_it_has_ended(instance: dg.DagsterInstance) -> None:
    ensure_partitions(instance, ["nova"])
    built = DEFS.resolve_job_def("prompts_job")
    run = instance.create_run_for_job(built, tags={"dagster/partition": "nova"}, status=dg.DagsterRunStatus.STARTED)
    assert not forget_artist(instance, "nova").is_all
    assert instance.has_run(run.run_id)
    instance.report_run_failed(run)
    assert forget_artist(instance, "nova").is_all
    assert not instance.has_run(run.run_id)
    assert stored(instance, run.run_id) == set()


def test_the_receipt_counts_what_went_from_the_history(
    instance: dg.DagsterInstance, ports: Ports, artist: Artist
) -> None:
    work_for(instance, artist.slug)
    history = RunHistory(instance)
    planned = plan_deletion(ports, artist.slug, history).history
    receipt = delete_artist(ports, artist.slug, author="me", history=history).receipt
    assert receipt["history"] == planned
    assert planned["runs"] == 1
    assert history.count(artist.slug) == {}
    assert instance.get_dynamic_partitions("artist") == []


def test_the_sensor_forgets_who_was_deleted_elsewhere(
    instance: dg.DagsterInstance, ports: Ports, artist: Artist
) -> None:
    old = work_for(instance, artist.slug)
    assert delete_artist(ports, artist.slug, author="me").receipt["history"] == {}
    assert instance.has_run(old)
    with ports.database.transaction() as connection:
        again = ensure_artist(connection, artist.name)
    assert again.slug == artist.slug

    def tick(cursor: str | None) -> tuple[str, str | None]:
        with dg.build_sensor_context(
            instance=instance, resources={"pipeline": GivenPipeline(ports)}, cursor=cursor
        ) as context:
            result = forget_deleted_artists(context)
        assert isinstance(result, dg.SensorResult)
        return result.skip_reason.skip_message or "" if result.skip_reason else "", result.cursor

    told, cursor = tick(None)
    assert told.startswith("removed 1 runs, ")
    assert not instance.has_run(old)
    new = work_for(instance, artist.slug)
    assert len(json.loads(cursor or "")["done"]) == 1
    for given in (cursor, None, "no cursor"):
        assert tick(given)[0] == "no history of a deleted artist is left"
    assert instance.has_run(new)
    assert latest(instance, "prompts") == f"{SECRET} by {artist.slug}"
