"""Many Live Sets and bounces at once: few statements, and what is wrong with one of them is its own affair."""

import json
import logging
import math
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from dawa_assets.intake import set_files
from dawa_assets.intake.inbox import pending_uploads
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.pipeline import batches
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, drop, identity, items, keys, ledger, new_artist, rows, wav


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(live_set: object, target: Path) -> None:  # noqa: ARG001
        target.write_bytes(b"picture")

    monkeypatch.setattr("dawa_assets.ableton.timeline.draw_timeline", draw)


class _Statements:
    """Counts what the main thread asks the database; the renewal of leases goes by the clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for name in ("execute", "executemany"):
            patch.setattr(psycopg.Cursor, name, self._counted(getattr(psycopg.Cursor, name)))

    def _counted(self, real: Any) -> Any:
        def counted(*args: Any, **more: Any) -> Any:
            self.count += threading.current_thread() is threading.main_thread()
            return real(*args, **more)

        return counted


def test_many_files_need_the_statements_of_one(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_SECONDS", math.inf)
    taken: list[int] = []
    for name, songs in (("Nova", 2), ("Vega", 20)):
        artist = new_artist(ports, name)
        files: dict[str, bytes] = {}
        for number in range(songs):
            files |= {f"P{number}/song.als": als(60 + number), f"P{number}/song.wav": wav(100 + number, seconds=0.05)}
        drop(ports, artist.slug, files)
        with monkeypatch.context() as patch:
            statements = _Statements(patch)
            assert len(take_in_live_sets(ports, artist.slug).taken) == songs
            report = update_training_items(ports, artist.slug)
        assert len(report.paired) == len(report.newly_aligned) == songs
        taken.append(statements.count)
    assert taken[1] <= taken[0]


def test_rows_of_one_batch_keep_the_order_of_files(ports: Ports) -> None:
    new_artist(ports)
    names = [f"P/{number}.als" for number in range(9)]
    drop(ports, "nova", {name: als(100 + number) for number, name in enumerate(names)})
    assert take_in_live_sets(ports, "nova").taken == names
    for table, column in (
        ("als_summaries", "als_filename"),
        ("training_items", "als_filename"),
        ("uploads", "name"),
    ):
        found = rows(ports, f"select {column} as name, created_at from {table} order by created_at")
        assert [f"P/{row['name']}" for row in found] == names
        assert len({row["created_at"] for row in found}) == len(names)


@pytest.mark.parametrize("max_rows", [2, 50])
def test_bad_files_in_the_middle_end_alone(ports: Ports, monkeypatch: pytest.MonkeyPatch, max_rows: int) -> None:
    monkeypatch.setattr(batches, "MAX_ROWS", max_rows)
    new_artist(ports)
    good = [f"P/{number}" for number in range(5)]
    sets = {f"{name}.als": als(100 + number) for number, name in enumerate(good)}
    bounces = {f"{name}.wav": wav(100 + number, seconds=0.05) for number, name in enumerate(good)}
    bad = {"P/2 bad.als": b"no set", "P/2 bad.wav": b"no audio"}
    drop(ports, "nova", sets | bounces | bad)
    report, done = take_in_live_sets(ports, "nova"), update_training_items(ports, "nova")
    assert report.taken == list(sets)
    assert [name for name, _ in report.rejected + done.rejected] == ["P/2 bad.als", "2 bad.wav"]
    assert [item for _, item in done.paired] == good
    assert keys(ports.bucket, "inbox") == []


def test_a_set_whose_summary_no_row_takes_waits_alone(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    new_artist(ports)
    drop(ports, "nova", {f"P/{number}.als": als(100 + number) for number in range(3)})

    def dumps(content: Any, **more: Any) -> str:
        text = json.dumps(content, **more)
        return text.replace('"tempo": 101', '"tempo": NaN')

    with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL):
        patch.setattr(set_files, "json", SimpleNamespace(dumps=dumps))
        report = take_in_live_sets(ports, "nova")
    assert report.taken == ["P/0.als", "P/2.als"]
    [(name, reason)] = report.waiting
    assert name == "P/1.als"
    assert "fault of the program (InvalidTextRepresentation: " in reason
    assert len(reason.splitlines()) == 1
    assert pending_uploads(ports) == []
    assert take_in_live_sets(ports, "nova").taken == ["P/1.als"]
    assert len(items(ports)) == len(rows(ports, "select from als_summaries")) == 3


def test_sets_of_one_batch_that_concern_each_other(ports: Ports) -> None:
    artist = new_artist(ports)
    # Two saves of one item, then the bytes of the first once more under another name.
    drop(ports, "nova", {"P/song.ALS": als(100), "P/song.als": als(101), "Q/again.als": als(100)})
    report = take_in_live_sets(ports, "nova")
    assert report.taken == ["P/song.ALS", "P/song.als"]
    assert report.unchanged == [("Q/again.als", "the same bytes as P/song.ALS")]
    assert {key: row["parse_id"] for key, row in items(ports).items()} == {
        "P/song": identity(artist, als(101)),
        "Q/again": identity(artist, als(100)),
    }
    assert {state for state, _ in ledger(ports).values()} == {"taken"}


def test_of_two_bounces_in_one_batch_the_later_counts(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"P/song.als": als()})
    take_in_live_sets(ports, "nova")
    for upload_id, hertz in (("u1", 200), ("u2", 300)):
        drop(ports, "nova", {"P/song.wav": wav(hertz)}, upload_id)
    report = update_training_items(ports, "nova")
    assert [name for name, _ in report.paired + report.replaced] == ["song.wav", "song.wav"]
    [placed] = [key for key in keys(ports.bucket, "artists/nova/training") if key.endswith(".wav")]
    with ports.bucket.open(placed) as stream:
        assert stream.read() == wav(300)
    assert keys(ports.bucket, "inbox") == []
