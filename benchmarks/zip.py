"""What a dataset's zip costs: read from the bucket, each track held against its hash, written, hashed, put in place."""

import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks import _home
from benchmarks.goals import Goal

WHAT = "the zip of 200 tracks, 2 GB, from the bucket into the bucket, each track held against its hash, the zip hashed"
PEER = "Info-ZIP's `zip -0` of the same files, which holds nothing against anything"
FLOOR = "copying the same bytes into one file, flushed to disk"
FIGURE = "wall_seconds"
ROUNDS = 3
GOALS = (
    Goal("ours / floor", at_most=1.3),
    Goal("peak MB", at_most=60),
    Goal("unchanged s", at_most=0.2),
)

_TRACKS = 200
_BYTES = 10_000_000
_CHUNK = 1 << 20


def setup(folder: Path) -> None:
    """Put the tracks into the bucket, and their rows into the database."""
    import psycopg

    ports = _home.ports(folder)
    with psycopg.connect(ports.database.url(), autocommit=True) as connection:
        connection.execute("insert into artists (name, slug, number) values ('Zip', 'zip', 1)")
    _home.add_tracks(ports, "zip", _TRACKS, _BYTES)


def teardown(folder: Path) -> None:
    """End the database."""
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """Build the dataset as if it had never been."""
    import psycopg

    from dawa_assets.datasets.build import build_dataset

    ports = _home.ports(folder)
    with psycopg.connect(ports.database.url(), autocommit=True) as connection:
        connection.execute("update training_items set status = 'ready'")
        connection.execute("delete from dataset_items")
        connection.execute("delete from datasets")
    report = build_dataset(ports, "zip")
    assert (report.state, report.item_count) == ("built", _TRACKS), report.headline
    assert report.size_bytes > _TRACKS * _BYTES


def peer(folder: Path) -> None:
    """Run the usual program over the bucket's folder."""
    program = shutil.which("zip")
    assert program, "there is no zip here (apt-get install zip)"
    target = folder / "peer.zip"
    target.unlink(missing_ok=True)
    subprocess.run([program, "-0", "-q", "-r", str(target), "."], cwd=_training(folder), check=True)
    assert target.stat().st_size > _TRACKS * _BYTES
    target.unlink()


def floor(folder: Path) -> None:
    """Copy them one after the other."""
    target = folder / "copy"
    with target.open("wb") as sink:
        for path in sorted(_training(folder).rglob("audio*")):
            with path.open("rb") as source:
                shutil.copyfileobj(source, sink, _CHUNK)
        sink.flush()
        os.fsync(sink.fileno())
    assert target.stat().st_size == _TRACKS * _BYTES
    target.unlink()


def figures(folder: Path) -> dict[str, float]:
    """How long a build takes that finds nothing changed, in a process that has built already: the median of seven."""
    from dawa_assets.datasets.build import build_dataset

    ports = _home.ports(folder)
    build_dataset(ports, "zip")
    taken = []
    for _ in range(7):
        started = time.perf_counter()
        assert build_dataset(ports, "zip").state == "unchanged"
        taken.append(time.perf_counter() - started)
    return {"unchanged s": round(statistics.median(taken), 3)}


def _training(folder: Path) -> Path:
    return folder / "home" / "bucket" / "artists" / "zip" / "training"
