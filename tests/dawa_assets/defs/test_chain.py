"""The whole chain through Dagster, on the example artist: what the demo does, and what a second run does not.

One run of all of it, in this process, is what the file's tests look at.
"""

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import dagster as dg
import pytest
from PIL import Image

from dawa_assets.artists.profile import set_profile
from dawa_assets.defs.run import BuildResult, run_job
from dawa_assets.defs.sensors.inbox import inbox_sensor
from dawa_assets.defs.sensors.retraining import retrain_sensor
from dawa_assets.intake.inbox import upload
from dawa_assets.maintenance.orphans import find_strays
from dawa_assets.maintenance.verify import verify
from dawa_assets.observability.assets import check_asset, consistency_of
from dawa_assets.observability.status import artist_statuses
from dawa_assets.plots import segment_plots, tag_histogram
from dawa_assets.tables.artists import Artist, ensure_artist
from resources.errors import BucketError
from tests.dawa_assets.automation.ticks import slugs, tick
from tests.dawa_assets.defs.test_definitions import CHAIN
from tests.given_pipeline import GivenPipeline
from tests.prepared import example_in

SERVED = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def instance(home: Path) -> dg.DagsterInstance:  # noqa: ARG001 - one instance for the module's one home
    return dg.DagsterInstance.ephemeral()


@pytest.fixture(scope="module")
def pipeline_here(pipeline_here: GivenPipeline) -> GivenPipeline:
    """The same where files are served, so that pages link to them."""
    ports = pipeline_here.ports()
    settings = ports.settings.model_copy(update={"serve_url": SERVED})
    return GivenPipeline(replace(ports, settings=settings))


@pytest.fixture(scope="module")
def artist(pipeline_here: GivenPipeline, home: Path) -> Artist:
    ports = pipeline_here.ports()
    example = example_in(home / "example")
    with ports.database.transaction() as connection:
        artist = ensure_artist(connection, example.artist_name)
    set_profile(ports, artist, json.loads(example.profile.read_text("utf-8")))
    upload(ports, artist, [example.folder])
    return artist


@pytest.fixture(scope="module")
def first(instance: dg.DagsterInstance, pipeline_here: GivenPipeline, artist: Artist) -> BuildResult:
    return run_job(instance, pipeline_here, "build_job", artist.slug)


def versions(instance: dg.DagsterInstance, slug: str) -> dict[str, str | None]:
    found = {}
    for name in CHAIN:
        record = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[slug]), limit=1
        ).records[0]
        found[name] = record.asset_materialization.tags["dagster/data_version"]  # type: ignore[union-attr, index]
    return found


def page(instance: dg.DagsterInstance, asset: str, slug: str) -> dict[str, dg.MetadataValue]:
    """What the asset's page shows of the artist's latest materialisation."""
    record = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[slug]), limit=1
    ).records[0]
    assert record.asset_materialization is not None
    return dict(record.asset_materialization.metadata)


def stored(pipeline_here: GivenPipeline) -> dict[str, tuple[int, float]]:
    return {each.key: (each.size, each.modified.timestamp()) for each in pipeline_here.ports().bucket.list()}


@pytest.fixture(scope="module")
def pages(first: BuildResult, instance: dg.DagsterInstance, artist: Artist) -> dict[str, dict[str, dg.MetadataValue]]:
    """What the pages show after the first run; whoever makes another one asks for this before."""
    assert first.success
    return {asset: page(instance, asset, artist.slug) for asset in CHAIN}


def test_one_run_takes_an_upload_to_a_lora(first: BuildResult, pipeline_here: GivenPipeline, artist: Artist) -> None:
    assert first.failures == []
    assert first.success
    assert first.materialised == CHAIN
    status = artist_statuses(pipeline_here.ports(), artist.slug)[0]
    assert (status.items, status.ready, status.by_status) == (3, 3, {"exported": 3})
    assert status.segments >= 6
    assert status.tagged == status.segments
    assert status.lora_is_current
    assert status.notices == []


def test_every_check_of_the_run_passed(first: BuildResult, instance: dg.DagsterInstance) -> None:
    evaluations = [
        record.event_log_entry.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        for run_id in first.run_ids
        for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    ]
    assert {each.asset_key.to_user_string() for each in evaluations} == set(CHAIN)
    assert all(each.passed for each in evaluations)
    looked = [each.metadata["checked"].value for each in evaluations if each.check_name.endswith("_hold_together")]
    assert len(looked) == len(CHAIN)
    assert min(looked) > 0


PICTURES = {
    "als_summaries": [
        "timeline of Glass Harbour Project/Glass Harbour.als",
        "timeline of Night Courier Project/Night Courier.als",
        "timeline of Paper Lanterns Project/Paper Lanterns.als",
    ],
    "preprocessed_segments": ["spectrogram", "waveforms"],
    "segment_tags": ["commonest words"],
    "lora_weights": ["loss curve"],
    "lora_evaluation": ["spectrograms of one prompt and seed; * is the one that is kept"],
}


@pytest.mark.parametrize("asset", PICTURES)
def test_a_page_shows_pictures_that_are_in_the_bucket(
    pages: dict[str, dict[str, dg.MetadataValue]], pipeline_here: GivenPipeline, asset: str
) -> None:
    pictures = {name: str(value.value) for name, value in pages[asset].items() if str(value.value).startswith("[![")}
    assert sorted(pictures) == PICTURES[asset]
    for content in pictures.values():
        assert len(content) < 1_000  # the UI shows no longer text in place
        whole = content.rpartition("](")[2].rstrip(")")
        assert f"]({whole}?width=" in content
        with pipeline_here.ports().bucket.open(unquote(whole.removeprefix(f"{SERVED}/files/"))) as png:
            assert Image.open(png).width >= 500


def test_pictures_of_pages_are_foreign_to_nobody(
    first: BuildResult, pipeline_here: GivenPipeline, artist: Artist
) -> None:
    assert first.success
    (report,) = verify(pipeline_here.ports(), artist.slug)
    assert (report.findings, report.foreign) == ([], [])
    assert find_strays(pipeline_here.ports()) == []


def test_nothing_is_asked_for_what_was_built(
    first: BuildResult, instance: dg.DagsterInstance, pipeline_here: GivenPipeline
) -> None:
    assert first.success
    ports = pipeline_here.ports()
    assert [slugs(tick(sensor, instance, ports)) for sensor in (inbox_sensor, retrain_sensor)] == [[], []]


def test_metadata_is_stored_with_the_asset_alone(first: BuildResult, instance: dg.DagsterInstance) -> None:
    events = [
        record.event_log_entry.get_dagster_event()
        for run_id in first.run_ids
        for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_OUTPUT).records
    ]
    assert {event.step_key for event in events} > set(CHAIN)
    assert [event.step_key for event in events if event.step_output_data.metadata] == []


@pytest.mark.parametrize("asset", CHAIN)
def test_a_page_begins_with_a_headline_and_ends_with_a_query(
    pages: dict[str, dict[str, dg.MetadataValue]], pipeline_here: GivenPipeline, asset: str
) -> None:
    shown = pages[asset]
    assert next(iter(shown)) == "headline"
    assert list(shown)[-1] == "rows"
    query = str(shown["rows"].value).removeprefix("```sql\n").removesuffix("\n```")
    with pipeline_here.ports().database.transaction() as connection:
        rows = connection.execute(query.encode()).fetchall()
    assert dg.MetadataValue.int(len(rows)) == shown["dagster/partition_row_count"]
    assert rows
    figures = {name for name, value in shown.items() if isinstance(value.value, int | float)}
    assert {"took, s", "dagster/partition_row_count"} < figures
    assert "_" not in "".join(name for name in shown if not name.startswith("dagster/"))
    assert str(pipeline_here.ports().settings.home) not in repr(shown)


@pytest.mark.parametrize(
    ("asset", "name", "says"),
    [
        ("als_summaries", "all there is now", 28),
        ("prompts", "before and after", "(missing)"),
        ("dataset_zip", "zip and manifest", ".zip), "),
        ("segment_tags", "words", "bass"),
        ("training_items", "listen", "/audio.flac), 0:40"),
        ("preprocessed_segments", "listen", "/audio.flac#t="),
        ("lora_evaluation", "listen", "/evaluation-lora.wav)"),
        ("lora_preview", "listen", "/preview-lora.wav)"),
        ("lora_weights", "all there is now", "candidate"),
        ("lora_weights", "all there is now", "ace_step, tiny, 8 steps"),
        ("lora_evaluation", "all there is now", "published"),
        ("lora_evaluation", "all there is now", "promoted: the first one that is not broken"),
        ("lora_preview", "files", "/preview-lora.wav), "),
    ],
)
def test_a_page_says_what_is_looked_for_there(
    pages: dict[str, dict[str, dg.MetadataValue]], asset: str, name: str, says: str | int
) -> None:
    value = pages[asset][name]
    if isinstance(value, dg.TableMetadataValue):
        assert says in {cell for record in value.records for cell in record.data.values()}
    else:
        assert str(says) in str(value.value)


def test_a_second_run_changes_nothing(
    pages: dict[str, dict[str, dg.MetadataValue]],
    instance: dg.DagsterInstance,
    pipeline_here: GivenPipeline,
    artist: Artist,
) -> None:
    before = (stored(pipeline_here), versions(instance, artist.slug))
    runs = [run.run_id for run in instance.get_runs()]
    second = run_job(instance, pipeline_here, "build_job", artist.slug)
    assert second.success
    assert (stored(pipeline_here), versions(instance, artist.slug)) == before

    looked_at = (dg.TableMetadataValue, dg.MarkdownMetadataValue)
    for asset, was in pages.items():
        now = page(instance, asset, artist.slug)
        assert {name for name, value in was.items() if isinstance(value, looked_at)} < set(now)
        assert str(now["last change"].value).partition("](/runs/")[2].rstrip(")") in runs
    change = page(instance, "prompts", artist.slug)["last change"]
    third = run_job(instance, pipeline_here, "prompts_job", artist.slug)
    assert third.success
    again = page(instance, "prompts", artist.slug)
    assert again["before and after"] == pages["prompts"]["before and after"]
    assert again["last change"] == change


def test_the_trainings_are_told_which_is_published(
    first: BuildResult, instance: dg.DagsterInstance, pipeline_here: GivenPipeline, artist: Artist
) -> None:
    assert first.success
    with pipeline_here.ports().database.transaction() as connection:
        (row,) = connection.execute("select id::text from training_runs where promoted").fetchall()
    asked = dg.AssetRecordsFilter(asset_key=dg.AssetKey("lora_weights"), asset_partitions=[artist.slug])
    told = instance.fetch_observations(asked, limit=1).records[0].asset_observation
    assert told is not None
    assert str(told.metadata["published now"].value).startswith(f"run {row['id'][:8]}; the candidate was promoted")


def test_a_picture_that_cannot_be_drawn_fails_nothing(
    pages: dict[str, dict[str, dg.MetadataValue]],
    instance: dg.DagsterInstance,
    pipeline_here: GivenPipeline,
    artist: Artist,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pages

    def broken(*_: object) -> dict[str, bytes]:
        raise RuntimeError("no fonts\non this machine")

    bucket, kept = pipeline_here.ports().bucket, {}
    for key in [each.key for each in bucket.list() if "/pages/" in each.key]:
        with bucket.open(key) as stream:
            kept[key] = stream.read()
    bucket.delete(kept)
    monkeypatch.setattr(segment_plots, "draw_segments", broken)
    monkeypatch.setattr(tag_histogram, "draw_words", broken)
    result = run_job(instance, pipeline_here, "dataset_job", artist.slug)
    assert result.failures == []
    for asset in ("preprocessed_segments", "segment_tags"):
        shown = page(instance, asset, artist.slug)
        assert shown["not shown"] == dg.MetadataValue.text("the pictures could not be made: no fonts on this machine")
        assert "segments" in shown
    for key, content in kept.items():
        bucket.put(key, content)


def test_a_build_goes_on_where_arrivals_cannot_be_listed(
    pages: dict[str, dict[str, dg.MetadataValue]],
    instance: dg.DagsterInstance,
    pipeline_here: GivenPipeline,
    artist: Artist,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pages

    def broken(*_: object) -> None:
        raise BucketError("the bucket can't be reached; check the network")

    monkeypatch.setattr("dawa_assets.defs.run.report_inputs", broken)
    assert run_job(instance, pipeline_here, "prompts_job", artist.slug).success


@pytest.mark.parametrize(
    ("asset", "ending"),
    [
        ("als_summaries", "timeline_visualizer.png"),
        ("training_items", "audio.mp3"),
        ("training_items", "prompt.txt"),
        ("dataset_zip", ".zip"),
        ("lora_weights", ".safetensors"),
        ("lora_evaluation", "evaluation-lora.wav"),
        ("lora_preview", "preview-lora.wav"),
    ],
)
def test_a_verdict_sees_what_is_gone_from_the_bucket(
    first: BuildResult, pipeline_here: GivenPipeline, artist: Artist, asset: str, ending: str
) -> None:
    assert first.success
    ports = pipeline_here.ports()
    kept = {}
    for each in list(ports.bucket.list(f"artists/{artist.slug}")):
        if each.key.endswith(ending):
            with ports.bucket.open(each.key) as stream:
                kept[each.key] = stream.read()
    assert kept
    assert consistency_of(ports, artist.slug, asset).problems == []
    ports.bucket.delete(kept)
    try:
        assert consistency_of(ports, artist.slug, asset).problems
    finally:
        for key, content in kept.items():
            ports.bucket.put(key, content)


@pytest.mark.parametrize(
    ("asset", "damage"),
    [
        ("als_summaries", "update als_summaries set summary = summary #- '{overview,tempo}'"),
        ("prompts", "update training_items set prompt_id = null, prompt_text = null, status = 'needs_prompt'"),
        ("preprocessed_segments", "delete from audio_segments where index = 1"),
        ("segment_tags", "delete from segment_tags"),
        ("lora_weights", "update training_runs set metrics = metrics - 'final_loss'"),
        ("lora_evaluation", "delete from lora_evaluations"),
        ("lora_evaluation", "update lora_promotions set published_at = null"),
    ],
)
def test_a_verdict_sees_what_is_wrong_in_the_database(
    first: BuildResult, pipeline_here: GivenPipeline, artist: Artist, asset: str, damage: str
) -> None:
    assert first.success
    ports = pipeline_here.ports()
    with ports.database.transaction() as connection:
        connection.execute(damage.encode())
        found = check_asset(ports, connection, artist, asset)
        connection.rollback()
    assert found.problems
    assert consistency_of(ports, artist.slug, asset).problems == []


def test_an_unknown_artist_is_one_clear_failure(instance: dg.DagsterInstance, pipeline_here: GivenPipeline) -> None:
    instance.add_dynamic_partitions("artist", ["nobody"])
    from dawa_assets.defs.code_location import build_defs

    job = build_defs(pipeline_here.ports().settings, {"pipeline": pipeline_here}).resolve_job_def("ingest_job")
    result = job.execute_in_process(instance=instance, partition_key="nobody", raise_on_error=False)
    assert not result.success
    failure = result.failure_data_for_node("als_summaries")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "'nobody': there is none of this slug" in (failure.user_failure_data.description or "")


def test_an_artist_with_nothing_to_do_is_a_success_that_says_so(
    instance: dg.DagsterInstance, pipeline_here: GivenPipeline
) -> None:
    with pipeline_here.ports().database.transaction() as connection:
        idle = ensure_artist(connection, "Idle Hands")
    result = run_job(instance, pipeline_here, "build_job", idle.slug)
    assert result.failures == []
    assert result.materialised == CHAIN
    assert set(versions(instance, idle.slug).values()) == {
        "empty",
    }
