"""What the sensors' ticks cost where very much is there and nothing is to do: each of them under a second."""

import time
from pathlib import Path

from benchmarks import _artists, _home

WHAT = "one tick of each of the six sensors, 100,000 artists and 1,000,000 training items, nothing pending"
PEER = "listing every artist and every partition once"
FLOOR = "importing the code location and opening its instance"
FIGURE = "wall_seconds"

_ARTISTS = 100_000
_ITEMS_EACH = 10
_MAX_SECONDS = 1.0


def setup(folder: Path) -> None:
    """The artists, each of them a partition, as after the sensor's first ticks."""
    from dawa_assets.defs.partitions import add_new_artists

    _artists.fill(folder, _ARTISTS, _ITEMS_EACH)
    known = -1
    while known != (
        known := add_new_artists(_artists.instance(folder), _artists.ports(folder).database, max(known, 0))
    ):
        pass
    assert known == _ARTISTS


def teardown(folder: Path) -> None:
    """End the database."""
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """All ticks, one after the other; none may ask for anything, or take a second."""
    import json

    import dagster as dg

    from dawa_assets.defs.sensors.all_sensors import sensors

    pipeline, instance = _artists.pipeline(folder), _artists.instance(folder)
    pipeline.ports().database.url()
    cursors = {"inbox_sensor": json.dumps({"artists": _ARTISTS})}
    for sensor in sensors:
        started = time.perf_counter()
        with dg.build_sensor_context(
            instance=instance, resources={"pipeline": pipeline}, cursor=cursors.get(sensor.name)
        ) as context:
            result = sensor(context)
        seconds = time.perf_counter() - started
        assert not getattr(result, "run_requests", None), f"{sensor.name} asked for runs"
        assert seconds < _MAX_SECONDS, f"{sensor.name} took {seconds:.2f} s"
        print(f"{sensor.name}: {seconds:.3f} s")


def peer(folder: Path) -> None:
    """What a tick without memory would begin with."""
    from dawa_assets.tables.artists import list_artists

    instance = _artists.instance(folder)
    with _artists.ports(folder).database.transaction() as connection:
        artists = list_artists(connection)
    assert len(artists) == len(instance.get_dynamic_partitions("artist")) == _ARTISTS


def floor(folder: Path) -> None:
    """What any tick has paid before its first line, in a fresh process."""
    from dawa_assets.defs.sensors.all_sensors import sensors

    assert _artists.instance(folder)
    _artists.ports(folder).database.url()
    assert sensors
