"""An intake killed after any change it makes, and run again, ends like one that nobody disturbed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dawa_assets.intake.inbox import pending_uploads
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.pipeline import batches
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, content, drop, new_artist, rows, wav
from tests.dawa_assets.maintenance.killing import Fuse, KilledError, fused, with_short_leases

_FIRST = {
    "P/song.als": als(100),
    "P/copy.als": als(100),
    "P/broken.als": b"no set",
    "P/song.wav": wav(200),
    "P/broken.mp3": b"no audio",
    "P/alone.wav": wav(300),
}
_SECOND = {"P/song.als": als(101), "P/Song_.wave": wav(400)}


def _build(ports: Ports, artist: Artist) -> None:
    take_in_live_sets(ports, artist.slug)
    with ports.database.transaction() as connection:
        connection.execute(
            "update training_items set prompt_text = 'words' where artist_id = %s and prompt_text is null", [artist.id]
        )
    update_training_items(ports, artist.slug)


def _state(ports: Ports, artist: Artist) -> dict[str, Any]:
    """Everything of an artist, without what differs between two artists who did the same."""
    found: dict[str, Any] = {
        table: rows(ports, f"select * from {table} where artist_id = %s", artist.id)
        for table in ("als_summaries", "training_items", "uploads")
    }
    found["objects"] = [
        (stored.key, "" if stored.key.endswith(".json") else str(content(ports.bucket, stored.key)[:100]))
        for top in (f"artists/{artist.slug}", f"inbox/{artist.slug}")
        for stored in ports.bucket.list(top)
    ]
    names = {str(row["id"]): f"<{table} {_label(row)}>" for table in list(found)[:3] for row in found[table]}
    names |= {row["parse_id"]: f"<parse {_label(row)}>" for row in found["als_summaries"]}
    text = json.dumps(found, default=str)
    for old, new in {**names, str(artist.id): "<artist>", artist.name: "<name>", artist.slug: "<slug>"}.items():
        text = text.replace(old, new)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?\+00:00", "<time>", text)
    return {key: sorted(map(str, value)) for key, value in json.loads(text).items()}


def _label(row: dict[str, Any]) -> str:
    tempo = row["summary"]["overview"]["tempo"] if "summary" in row else ""
    return str(row.get("name") or row.get("item_key") or f"{row['als_filename']} {tempo}") + str(
        row.get("upload_id", "")
    )


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(live_set: object, target: Path) -> None:  # noqa: ARG001
        target.write_bytes(b"picture")

    monkeypatch.setattr("dawa_assets.ableton.timeline.draw_timeline", draw)


def _both_uploads(ports: Ports, artist: Artist, first: Fuse, second: Fuse) -> None:
    for upload_id, files, fuse in (("u1", _FIRST, first), ("u2", _SECOND, second)):
        drop(ports, artist.slug, files, upload_id)
        try:
            _build(fused(ports, fuse), artist)
        except KilledError:
            _build(ports, artist)


@pytest.mark.parametrize(
    ("stride", "max_rows"),
    [(7, 2), pytest.param(1, 2, marks=pytest.mark.slow), pytest.param(1, 50, marks=pytest.mark.slow)],
)
def test_a_rerun_after_any_kill_ends_as_if_undisturbed(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, stride: int, max_rows: int
) -> None:
    monkeypatch.setattr(batches, "MAX_ROWS", max_rows)  # killed between batches too
    ports = with_short_leases(ports)
    undisturbed, fuses = new_artist(ports, "Undisturbed"), (Fuse(None), Fuse(None))
    _both_uploads(ports, undisturbed, *fuses)
    expected = _state(ports, undisturbed)
    assert len(expected["als_summaries"]) == 2
    assert len(expected["training_items"]) == 2
    assert sorted(row["state"] for row in rows(ports, "select state from uploads")) == [
        *["rejected"] * 2,
        *["taken"] * 5,
        "waiting",
    ]
    for changes in range(1, max(fuse.burnt for fuse in fuses) + 1, stride):
        artist = new_artist(ports, f"Killed {changes:03}")
        _both_uploads(ports, artist, Fuse(changes), Fuse(changes))
        assert _state(ports, artist) == expected, f"killed after change {changes}"
    assert pending_uploads(ports) == []
