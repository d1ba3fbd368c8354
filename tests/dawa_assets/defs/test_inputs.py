"""What comes from outside shows on its own pages: an event when it changed, before the run that uses it, no other."""

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dawa_assets.artists.profile import set_profile
from dawa_assets.defs.code_location import build_defs
from dawa_assets.defs.inputs import report_inputs
from dawa_assets.defs.run import run_job
from dawa_assets.defs.sensors.inbox import inbox_sensor
from dawa_assets.defs.sensors.stale_prompts import stale_prompts_sensor
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, drop, new_artist, wav
from tests.given_pipeline import GivenPipeline

INPUTS = ["live_sets", "bounces", "artist_profiles"]


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def events(instance: dg.DagsterInstance, asset: str) -> list[dg.AssetMaterialization | dg.AssetObservation]:
    """The newest first."""
    found = [
        *instance.fetch_materializations(dg.AssetKey(asset), limit=50).records,
        *instance.fetch_observations(dg.AssetKey(asset), limit=50).records,
    ]
    return [each.asset_materialization or each.asset_observation for each in found]  # type: ignore[misc]


def counted(instance: dg.DagsterInstance) -> list[int]:
    return [len(events(instance, asset)) for asset in INPUTS]


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, ports: Ports) -> None:
    with dg.build_sensor_context(instance=instance, resources={"pipeline": GivenPipeline(ports)}) as context:
        sensor(context)


def test_an_upload_is_told_once_and_makes_nothing_look_outdated(instance: dg.DagsterInstance, ports: Ports) -> None:
    artist = new_artist(ports)
    drop(ports, "nova", {"Song/Song.als": als(), "Song/Song.wav": wav(), "Song/notes.txt": b"x"})
    set_profile(ports, artist, {"schema_version": "2"})
    tick(inbox_sensor, instance, ports)
    assert counted(instance) == [1, 1, 1]
    run_job(instance, GivenPipeline(ports), "ingest_job", "nova")
    tick(inbox_sensor, instance, ports)
    assert counted(instance) == [1, 1, 1]
    graph = build_defs(ports.settings).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    for asset in ("als_summaries", "prompts", "training_items"):
        assert resolver.get_status(dg.AssetKey(asset), "nova") is StaleStatus.FRESH, asset
    drop(ports, "nova", {"Other.als": als(90)})
    report_inputs(instance, ports, ["nova", "nobody"])
    assert counted(instance) == [2, 1, 1]
    latest = events(instance, "live_sets")[0]
    assert str(latest.metadata["headline"].value) == "2 Live Sets, the latest Other.als"
    assert latest.metadata["files (number)"] == dg.MetadataValue.int(2)
    assert latest.partition == "nova"


def test_a_profile_is_told_once_with_the_run_that_it_asks_for(instance: dg.DagsterInstance, ports: Ports) -> None:
    artist = new_artist(ports)
    drop(ports, "nova", {"Song.als": als()})
    run_job(instance, GivenPipeline(ports), "ingest_job", "nova")
    for version in ("2", "3"):
        set_profile(ports, artist, {"schema_version": version})
        tick(stale_prompts_sensor, instance, ports)
        tick(stale_prompts_sensor, instance, ports)
    told = events(instance, "artist_profiles")
    assert [str(each.metadata["headline"].value) for each in told] == [
        "profile of Nova, schema version 3",
        "profile of Nova, schema version 2",
    ]
    assert told[0].metadata["profile"] == dg.MetadataValue.json({"schema_version": "3"})


def test_an_observation_writes_what_was_asked_or_changed(instance: dg.DagsterInstance, ports: Ports) -> None:
    artists = [new_artist(ports, name) for name in ("Nova", "Lumen", "Vesper")]
    for artist in artists:
        set_profile(ports, artist, {"schema_version": "2"})
        instance.add_dynamic_partitions("artist", [artist.slug])
    job = build_defs(ports.settings, {"pipeline": GivenPipeline(ports)}).resolve_implicit_global_asset_job_def()

    def observed(partition: str | None) -> list[str | None]:
        before = len(events(instance, "artist_profiles"))
        asked = [dg.AssetKey("artist_profiles")]
        assert job.execute_in_process(instance=instance, asset_selection=asked, partition_key=partition).success
        after = events(instance, "artist_profiles")
        return sorted(each.partition or "" for each in after[: len(after) - before])

    assert observed("nova") == ["nova"]
    assert observed(None) == ["lumen", "vesper"]
    set_profile(ports, artists[1], {"schema_version": "3"})
    assert observed(None) == ["lumen"]
    assert observed(None) == []
