"""The standing checks as the sensor reports them: what is news, what is not, failed runs, and what recovered."""

import json
from collections.abc import Callable
from dataclasses import replace

import dagster as dg
import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.defs.code_location import build_defs
from dawa_assets.defs.jobs import CHAIN, standing_check
from dawa_assets.defs.open_issues import ATTENTION, needs_attention, standing_checks_sensor
from dawa_assets.defs.run import run_job
from dawa_assets.tables.artists import Artist, ensure_artist
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.automation.ticks import leave
from tests.dawa_assets.prompting.material import execute, give_set, profile, summary
from tests.given_pipeline import GivenPipeline

Events = dict[str, dg.AssetCheckEvaluation | dg.AssetMaterialization]


class Watch:
    """The sensor, tick by tick, with its cursor, on an instance of its own."""

    def __init__(self, ports: Ports) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.pipeline = GivenPipeline(ports)
        self.cursor: str | None = None

    def tick(self) -> Events:
        """What is reported, by asset; the check of all beside the page of all by its own name."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"pipeline": self.pipeline}
        )
        with context:
            result = standing_checks_sensor(context)
        if isinstance(result, dg.SkipReason):
            return {}
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return {_name(event): event for event in result.asset_events}  # type: ignore[arg-type,misc]


def _name(event: dg.AssetCheckEvaluation | dg.AssetMaterialization) -> str:
    is_of_all = isinstance(event, dg.AssetCheckEvaluation) and event.check_name == ATTENTION.name
    return ATTENTION.name if is_of_all else event.asset_key.to_user_string()


@pytest.fixture
def watch(ports: Ports) -> Watch:
    return Watch(ports)


def evaluation(events: Events, asset: str) -> dg.AssetCheckEvaluation:
    event = events[asset]
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert event.check_name == standing_check(asset).name
    return event


def test_everything_is_reported_once_and_then_only_what_changed(watch: Watch, ports: Ports, artist: Artist) -> None:
    first = watch.tick()
    assert set(first) == {*CHAIN, needs_attention.key.to_user_string(), ATTENTION.name}
    assert first[ATTENTION.name].passed  # type: ignore[union-attr]
    assert all(evaluation(first, asset).passed for asset in CHAIN)
    assert watch.tick() == {}
    item = give_set(ports.database, artist, summary(100, "One"), "One", audio=False)
    found = watch.tick()
    assert set(found) == {"training_items", "needs_attention", ATTENTION.name}
    of_all = found[ATTENTION.name]
    assert isinstance(of_all, dg.AssetCheckEvaluation)
    assert (of_all.passed, of_all.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert of_all.description == "training_items: 1 waiting (1 artist)"
    link = f"/assets/training_items?view=partitions&partition={artist.slug}"
    (line,) = str(found["needs_attention"].metadata["items waiting: training_items"].value).splitlines()
    assert line.startswith(rf"- [**test-artist**]({link}) One/One: waits for its bounce *(")
    waits = evaluation(found, "training_items")
    assert (waits.passed, waits.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert waits.description == "1 waiting (1 artist)"
    table = waits.metadata["items waiting"]
    assert isinstance(table, dg.TableMetadataValue)
    row = dict(table.records[0].data)
    assert (row["artist"], row["what"], row["why"]) == (artist.slug, "One/One", "waits for its bounce")
    assert watch.tick() == {}
    execute(ports.database, "update training_items set status = 'failed', error = 'torn' where id = %s", item)
    torn = evaluation(watch.tick(), "training_items")
    assert (torn.description, torn.severity) == ("1 failed (1 artist)", dg.AssetCheckSeverity.WARN)
    execute(ports.database, "update training_items set status = 'exported', error = null where id = %s", item)
    assert evaluation(watch.tick(), "training_items").passed


def test_a_check_is_reported_again_after_its_asset_materializes(watch: Watch) -> None:
    watch.tick()
    watch.instance.report_runless_asset_event(dg.AssetMaterialization("prompts", partition="anyone"))
    assert set(watch.tick()) == {"prompts"}
    assert watch.tick() == {}


def test_a_lost_cursor_costs_one_extra_report_and_loses_nothing(watch: Watch) -> None:
    first = watch.tick()
    for lost in (None, "no json", "[1]", json.dumps({"page": 7, "prompts": ["x"]})):
        watch.cursor = lost
        assert set(watch.tick()) == set(first)
        assert watch.tick() == {}


def test_a_day_later_everything_is_said_again(watch: Watch) -> None:
    first = watch.tick()
    assert watch.cursor is not None
    watch.cursor = json.dumps({name: [digest, at - 86_400] for name, (digest, at) in json.loads(watch.cursor).items()})
    assert set(watch.tick()) == set(first)


def test_a_failed_run_is_open_until_its_asset_is_materialized(
    watch: Watch, ports: Ports, artist: Artist, make_artist: Callable[[str], Artist]
) -> None:
    set_profile(ports, artist, profile())
    give_set(ports.database, artist, summary(100, "One"), "One", audio=False)
    broken = replace(ports, settings=ports.settings.model_copy(update={"system_prompt_version": "none-such"}))
    runs = [run_job(watch.instance, GivenPipeline(broken), "prompts_job", artist.slug) for _ in range(2)]
    assert not any(run.success for run in runs)
    assert run_job(watch.instance, watch.pipeline, "prompts_job", make_artist("Another").slug).success
    found = watch.tick()
    failed = evaluation(found, "prompts")
    assert (failed.passed, failed.severity) == (False, dg.AssetCheckSeverity.ERROR)
    page = found["needs_attention"].metadata
    assert page["failed runs (number)"] == dg.MetadataValue.int(1)
    of_all = found[ATTENTION.name]
    assert isinstance(of_all, dg.AssetCheckEvaluation)
    assert of_all.severity == dg.AssetCheckSeverity.ERROR
    for shown in (failed.metadata, page):
        (line,) = str(shown["failed runs"].value).splitlines()
        assert line.startswith(rf"- [**test-artist**](/runs/{runs[-1].run_id}) prompts: ")
        assert r"none\-such" in line
        assert ", tried 2 times *(" in line
    assert run_job(watch.instance, watch.pipeline, "prompts_job", artist.slug).success
    recovered = watch.tick()
    assert evaluation(recovered, "prompts").passed
    assert "failed runs (number)" not in recovered["needs_attention"].metadata
    assert recovered["needs_attention"].metadata["all that stands open (number)"] == dg.MetadataValue.int(1)


def test_failed_runs_of_who_was_deleted_stand_open_no_more(watch: Watch, artist: Artist) -> None:
    for slug in (artist.slug, "deleted-since"):
        leave(watch.instance, "prompts_job", {"dagster/partition": slug}, dg.DagsterRunStatus.FAILURE)
    assert watch.tick()["needs_attention"].metadata["failed runs (number)"] == dg.MetadataValue.int(1)


def test_the_checks_run_by_hand_and_in_no_artists_run(watch: Watch, settings: Settings) -> None:
    definitions = build_defs(settings, {"pipeline": watch.pipeline})
    for job in ("ingest_job", "prompts_job", "dataset_job", "training_job", "build_job"):
        assert "standing_checks" not in definitions.resolve_job_def(job).graph.node_dict
    only = dg.define_asset_job("by_hand", selection=dg.AssetSelection.checks(standing_check("prompts")))
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[only]))
    result = merged.resolve_job_def("by_hand").execute_in_process(instance=watch.instance)
    assert [each.check_name for each in result.get_asset_check_evaluations()] == ["prompts_nothing_open"]
    assert result.get_asset_check_evaluations()[0].passed


def test_uploads_of_nobody_are_on_the_page_of_all(ports: Ports, watch: Watch) -> None:
    watch.tick()
    ports.bucket.put("inbox/nobody/u/song.als", b"theirs")
    page = watch.tick()["needs_attention"]
    assert isinstance(page, dg.AssetMaterialization)
    assert "1 upload of nobody in the inbox" in str(page.metadata["headline"].value)
    assert str(page.metadata["uploads of nobody"].value).startswith("- **inbox/nobody/**, 1 file: ")
    ports.bucket.delete(["inbox/nobody/u/song.als"])
    page = watch.tick()["needs_attention"]
    assert isinstance(page, dg.AssetMaterialization)
    assert "uploads of nobody" not in page.metadata


def test_more_trouble_than_a_page_has_lines_for_is_in_a_table(ports: Ports, watch: Watch) -> None:
    for number in range(20):
        artist = ensure(ports, f"Artist {number:02d}")
        give_set(ports.database, artist, summary(100, "A long name of a song"), "A long name", audio=False)
    page = watch.tick()["needs_attention"].metadata
    shown = str(page["items waiting: training_items"].value)
    assert len(shown) < 1_000  # the UI shows no longer text in place
    lines = shown.splitlines()
    assert lines[-1] == f"- … and {21 - len(lines)} more, in the table below"
    everything = page["items waiting: training_items, all"]
    assert isinstance(everything, dg.TableMetadataValue)
    assert len(everything.records) == 20
    assert [column.name for column in everything.schema.columns] == ["asset", "artist", "what", "why", "since (UTC)"]


def ensure(ports: Ports, name: str) -> Artist:
    with ports.database.transaction() as connection:
        return ensure_artist(connection, name)
