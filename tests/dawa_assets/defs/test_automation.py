"""Sensors and the schedule, each tick on a real instance, database and inbox."""

from pathlib import Path

import dagster as dg
import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.datasets.build import build_dataset
from dawa_assets.defs.jobs import upload_job
from dawa_assets.defs.schedules import nightly_dataset_rebuild
from dawa_assets.defs.sensors import run_requests
from dawa_assets.defs.sensors.inbox import inbox_sensor
from dawa_assets.defs.sensors.retraining import retrain_sensor
from dawa_assets.defs.sensors.run_requests import ATTEMPTS
from dawa_assets.defs.sensors.stale_prompts import stale_prompts_sensor
from dawa_assets.intake.inbox import upload
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist, ensure_artist
from tests.campaigns.small_artist import compose
from tests.given_pipeline import GivenPipeline


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, pipeline: GivenPipeline) -> list[dg.RunRequest]:
    with dg.build_sensor_context(instance=instance, resources={"pipeline": pipeline}) as context:
        result = sensor(context)
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []


def nightly(instance: dg.DagsterInstance, pipeline: GivenPipeline) -> list[str]:
    import datetime

    schedule = nightly_dataset_rebuild(pipeline.ports().settings)
    with dg.build_schedule_context(
        instance=instance,
        resources={"pipeline": pipeline},
        scheduled_execution_time=datetime.datetime(2026, 11, 21, 3, tzinfo=datetime.UTC),
    ) as context:
        result = schedule(context)
    return sorted(each.partition_key or "" for each in result) if isinstance(result, list) else []


def launch(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    """Leave the record of a run for this request, as the daemon would."""
    tags = {**request.tags, "dawa/failure": "content"}
    instance.create_run_for_job(job_def=dg.job(name="stand_in")(lambda: None), tags=tags, status=status)


def ingest(pipeline: GivenPipeline, artist: Artist) -> None:
    """What the steps of `ingest_job` do, without a run."""
    ports = pipeline.ports()
    take_in_live_sets(ports, artist.slug)
    refresh_prompts(ports, artist.slug)
    update_training_items(ports, artist.slug)


@pytest.fixture
def artist(pipeline_here: GivenPipeline, request: pytest.FixtureRequest) -> Artist:
    with pipeline_here.ports().database.transaction() as connection:
        return ensure_artist(connection, request.node.name)


@pytest.fixture(scope="module")
def example(home: Path) -> Path:
    compose(home / "files")
    return home / "files"


def test_a_complete_upload_requests_one_run_and_adds_a_partition(
    pipeline_here: GivenPipeline, instance: dg.DagsterInstance, artist: Artist, example: Path
) -> None:
    upload(pipeline_here.ports(), artist, [next(example.rglob("*.als"))])
    requests = [each for each in tick(inbox_sensor, instance, pipeline_here) if each.partition_key == artist.slug]
    assert [each.job_name for each in requests] == [upload_job.name]
    assert artist.slug in instance.get_dynamic_partitions("artist")
    launch(instance, requests[0], dg.DagsterRunStatus.STARTED)
    assert not [each for each in tick(inbox_sensor, instance, pipeline_here) if each.partition_key == artist.slug]


def test_a_failing_upload_is_asked_for_a_bounded_number_of_times(
    pipeline_here: GivenPipeline,
    instance: dg.DagsterInstance,
    artist: Artist,
    example: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload(pipeline_here.ports(), artist, [next(example.rglob("*.als"))])
    monkeypatch.setattr(run_requests, "FIRST_PAUSE_SECONDS", 0.0)
    keys = []
    for _ in range(ATTEMPTS + 2):
        for each in tick(inbox_sensor, instance, pipeline_here):
            if each.partition_key == artist.slug:
                keys.append(each.run_key)
                launch(instance, each, dg.DagsterRunStatus.FAILURE)
    assert len(keys) == ATTEMPTS
    assert len(set(keys)) == ATTEMPTS


def test_a_changed_schema_version_requests_only_that_artists_run(
    pipeline_here: GivenPipeline, instance: dg.DagsterInstance, artist: Artist, example: Path
) -> None:
    ports = pipeline_here.ports()
    with ports.database.transaction() as connection:
        other = ensure_artist(connection, "An artist beside them")
    for each in (artist, other):
        upload(ports, each, [next(example.rglob("*.als"))])
        ingest(pipeline_here, each)
    settled = {each.partition_key for each in tick(stale_prompts_sensor, instance, pipeline_here)}
    assert not settled & {artist.slug, other.slug}
    set_profile(ports, artist, {"schema_version": "2.0"})
    requests = [
        each
        for each in tick(stale_prompts_sensor, instance, pipeline_here)
        if each.partition_key in (artist.slug, other.slug)
    ]
    assert [each.partition_key for each in requests] == [artist.slug]
    assert "dawa/backfill" in requests[0].tags
    refresh_prompts(ports, artist.slug)
    assert artist.slug not in {each.partition_key for each in tick(stale_prompts_sensor, instance, pipeline_here)}


def test_an_upload_ends_in_a_request_for_its_training(
    pipeline_here: GivenPipeline, instance: dg.DagsterInstance, artist: Artist, example: Path
) -> None:
    ports = pipeline_here.ports()
    upload(ports, artist, [example])
    ingest(pipeline_here, artist)
    assert artist.slug not in {each.partition_key for each in tick(retrain_sensor, instance, pipeline_here)}
    build_dataset(ports, artist.slug)
    (asked,) = [each for each in tick(retrain_sensor, instance, pipeline_here) if each.partition_key == artist.slug]
    assert asked.job_name == "training_job"


def test_the_nightly_run_requests_only_changed_datasets(
    pipeline_here: GivenPipeline, instance: dg.DagsterInstance, artist: Artist, example: Path
) -> None:
    ports = pipeline_here.ports()
    with ports.database.transaction() as connection:
        done = ensure_artist(connection, "Done before the night")
        without = ensure_artist(connection, "Without a bounce")
    for each in (artist, done):
        upload(ports, each, [example])
        ingest(pipeline_here, each)
    upload(ports, without, [next(example.rglob("*.als"))])
    ingest(pipeline_here, without)
    build_dataset(ports, done.slug)
    asked = nightly(instance, pipeline_here)
    assert artist.slug in asked
    assert done.slug not in asked
    assert without.slug not in asked
    with ports.database.transaction() as connection:
        connection.execute(
            "update training_items set prompt_text = 'A quiet evening.' || E'\\n' || 'BPM: 90' where artist_id = %s",
            [done.id],
        )
    assert done.slug in nightly(instance, pipeline_here)
