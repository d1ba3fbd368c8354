"""Rows held against objects: everything that can go wrong is found, and mended where nothing has to be guessed."""

import itertools
import json
import logging
import shutil
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo

from dawa_assets.datasets.build import build_dataset
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.maintenance.prune import prune
from dawa_assets.maintenance.verify import VerifyReport, verify
from dawa_assets.pipeline.leases import lease
from dawa_assets.tables.artists import Artist
from resources.bucket.base import StoredObject
from resources.bucket.folder import FolderBucket
from resources.compute.local import LocalCompute
from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.ports import Ports
from resources.prompt_writer.offline import OfflineWriter
from resources.settings import Settings
from tests.coexistence.dashboard import save
from tests.databases import GivenDatabase, KeptDatabase, create
from tests.databases import drop as drop_database
from tests.dawa_assets.intake.material import als, content, drop, items, keys, ledger, new_artist, rows, unguarded, wav
from tests.dawa_assets.maintenance.furnished import build, furnish
from tests.dawa_assets.maintenance.killing import Fuse, KilledError, fused, with_short_leases
from tests.dawa_assets.maintenance.typed import dawa

pytestmark = pytest.mark.usefixtures("nova")

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    def draw(live_set: object, target: Path) -> None:  # noqa: ARG001
        target.write_bytes(b"picture")

    if "timeline" not in request.node.name:
        monkeypatch.setattr("dawa_assets.ableton.timeline.draw_timeline", draw)


@dataclass(frozen=True)
class _Furnished:
    """An artist with everything: two sets with bounces, a rejected file, two datasets, a LoRA, a pair of theirs.

    Made once; each test begins with a copy of the database and of the home.
    """

    artist: Artist
    database: str
    home: Path


@pytest.fixture(scope="module")
def furnished(database_server: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Furnished]:
    url, name = database_server.url(), "verify"
    create(url, name, "dawa")
    settings = Settings(home=tmp_path_factory.mktemp("furnished") / "home")
    ports = Ports(
        settings=settings,
        database=GivenDatabase(make_conninfo(url, dbname=name)),
        bucket=FolderBucket(settings.home / "bucket"),
        prompt_writer=OfflineWriter(),
        compute=LocalCompute(settings.data_root),
    )
    yield _Furnished(furnish(ports), name, settings.home)
    drop_database(url, name)


@pytest.fixture
def database(database_server: EmbeddedDatabase, furnished: _Furnished) -> Iterator[KeptDatabase]:
    url, name = database_server.url(), f"verify_{next(_numbers)}"
    create(url, name, furnished.database)
    given = KeptDatabase(make_conninfo(url, dbname=name))
    yield given
    given.close()
    drop_database(url, name)


@pytest.fixture
def nova(furnished: _Furnished, settings: Settings) -> Artist:
    shutil.copytree(furnished.home, settings.home)
    return furnished.artist


def _verify(ports: Ports, *, deep: bool = False, fix: bool = False) -> VerifyReport:
    [report] = verify(ports, "nova", deep=deep, fix=fix)
    return report


def _found(report: VerifyReport) -> list[tuple[str, str, str]]:
    return [(finding.problem, finding.what, finding.outcome.state) for finding in report.findings]


def _key(ports: Ports, ending: str, within: str = "artists/nova") -> str:
    return next(key for key in keys(ports.bucket, within) if key.endswith(ending))


def _foreign(ports: Ports) -> str:
    return _key(ports, "dataset-1764000000000.zip")


@pytest.mark.parametrize("deep", [False, True])
def test_where_all_is_well_only_what_is_theirs_is_foreign(ports: Ports, deep: bool) -> None:
    report = _verify(ports, deep=deep)
    assert report.findings == []
    assert [key for key, _ in report.foreign] == [_foreign(ports)]
    assert report.objects == len(keys(ports.bucket, "artists/nova"))
    assert report.claims >= 20


# How each kind of file is lost, what is said of it, and what a repair does: what is mended is as it was before.
_ALL = [
    ("/one.als", "Live Set", "needs you"),
    ("/summary.json", "summary", "mended"),
    ("/timeline_visualizer.png", "timeline", "mended"),
    ("/audio.wav", "audio", "mended"),
    ("/prompt.txt", "prompt", "mended"),
    (".reason.txt", "reason", "mended"),
    ("/broken.als", "rejected upload", "needs you"),
    ("/adapter.safetensors", "adapter", "mended"),
]


@pytest.mark.parametrize(("ending", "what", "state"), _ALL)
def test_what_is_missing_is_found_and_fixed_where_it_can_be(ports: Ports, ending: str, what: str, state: str) -> None:
    key = _key(ports, ending)
    before = content(ports.bucket, key)
    ports.bucket.delete([key])
    [(problem, found, outlook)] = _found(_verify(ports))
    assert (problem, found, outlook) == ("missing", what, "can be mended" if state == "mended" else "needs you")
    assert _found(_verify(ports, fix=True)) == [("missing", what, state)]
    if state == "mended":
        assert _verify(ports, deep=True).findings == []
        now = content(ports.bucket, key)
        assert now == before or (what == "summary" and json.loads(now) == json.loads(before))
    elif what == "rejected upload":
        assert ledger(ports)["broken.als"] == (
            "rejected",
            "neither gzip nor XML; give the .als that Live saved; the copy that was kept is gone",
        )
        assert _verify(ports).findings == []  # the row says so now
        assert _verify(ports).foreign_count == 1
    else:
        assert _found(_verify(ports)) == [("missing", what, state)]


@pytest.mark.parametrize("damage", [b"", b"other bytes"])
def test_a_damaged_live_set_is_restored_by_a_new_upload(ports: Ports, damage: bytes) -> None:
    key = _key(ports, "/one.als")
    ports.bucket.put(key, damage)
    drop(ports, "nova", {"P/one.als": als(100)})
    build(ports)
    assert content(ports.bucket, key) == als(100)
    assert _verify(ports, deep=True).findings == []


@pytest.mark.parametrize(
    ("ending", "what", "state"),
    [
        ("/one.als", "Live Set", "needs you"),
        ("/summary.json", "summary", "mended"),
        ("/audio.wav", "audio", "needs you"),
        ("/prompt.txt", "prompt", "mended"),
        ("/broken.als", "rejected upload", "needs you"),
        ("/adapter.safetensors", "adapter", "mended"),
    ],
)
def test_wrong_bytes_of_the_right_size_are_found_by_reading(ports: Ports, ending: str, what: str, state: str) -> None:
    key = _key(ports, ending)
    altered = bytes(reversed(content(ports.bucket, key)))
    ports.bucket.put(key, altered)
    assert _verify(ports).findings == []
    assert [found[:2] for found in _found(_verify(ports, deep=True))] == [("wrong bytes", what)]
    assert _found(_verify(ports, deep=True, fix=True)) == [("wrong bytes", what, state)]
    if state == "mended":
        assert _verify(ports, deep=True).findings == []
    else:
        assert content(ports.bucket, key) == altered  # whose bytes are right is a person's to say


def test_missing_audio_fails_its_item_until_it_is_uploaded_again(ports: Ports) -> None:
    for key in [key for key in keys(ports.bucket, "artists/nova/datasets") if key.endswith(".zip")]:
        ports.bucket.delete([key])
    with ports.database.transaction() as connection:
        connection.execute("update datasets set pruned_at = now()")
    item = items(ports)["P/one"]
    ports.bucket.delete([item["audio_path"]])
    assert _found(_verify(ports, fix=True)) == [("missing", "audio", "needs you")]
    assert items(ports)["P/one"]["status"] == "failed"
    assert items(ports)["P/one"]["error"].endswith("is gone from the bucket; upload the bounce again")
    assert items(ports)["P/two"]["status"] == "exported"
    assert _verify(ports).findings == []  # the row says so now
    drop(ports, "nova", {"one.wav": wav(200)})
    build(ports)
    assert items(ports)["P/one"]["status"] == "exported"


def test_audio_comes_back_from_another_item_with_the_same(ports: Ports, nova: Artist) -> None:
    again = save(ports, nova, audio=wav(200))
    build(ports)
    key = f"artists/nova/training/{again}/audio.mp3"
    ports.bucket.delete([key])
    [finding] = _verify(ports, fix=True).findings
    assert finding.outcome.said == f"restored from {items(ports)['P/one']['audio_path']}"
    assert content(ports.bucket, key) == wav(200)


def test_a_missing_older_zip_is_pruned_and_the_current_rebuilt(ports: Ports) -> None:
    older, current = rows(ports, "select * from datasets order by finished_at")
    before, described = (content(ports.bucket, key) for key in (current["storage_path"], older["manifest_path"]))
    ports.bucket.delete([older["storage_path"], current["storage_path"], older["manifest_path"]])
    found = _verify(ports, fix=True)
    assert sorted(_found(found)) == [
        ("missing", "manifest", "mended"),
        ("missing", "zip", "mended"),
        ("missing", "zip", "next build"),
    ]
    build_dataset(ports, "nova")
    assert content(ports.bucket, current["storage_path"]) == before
    assert content(ports.bucket, older["manifest_path"]) == described
    assert _verify(ports, deep=True).findings == []
    with ports.database.transaction() as connection:
        connection.execute("delete from training_items where item_key = 'P/one'")
    ports.bucket.delete([older["manifest_path"]])
    assert ("missing", "manifest", "needs you") in _found(_verify(ports, fix=True))


@pytest.mark.parametrize("damage", ["shorter", "altered"])
def test_a_damaged_zip_is_made_again_or_recorded_as_pruned(ports: Ports, damage: str) -> None:
    older, current = rows(ports, "select * from datasets order by finished_at")
    before = content(ports.bucket, current["storage_path"])
    for row in (older, current):
        data = content(ports.bucket, row["storage_path"])
        ports.bucket.put(row["storage_path"], data[:-1] if damage == "shorter" else bytes(reversed(data)))
    problem = "wrong size" if damage == "shorter" else "wrong bytes"
    assert sorted(_found(_verify(ports, deep=True, fix=True))) == [
        (problem, "zip", "mended"),
        (problem, "zip", "next build"),
    ]
    build_dataset(ports, "nova")
    assert content(ports.bucket, current["storage_path"]) == before
    assert _verify(ports, deep=True).findings == []


@pytest.mark.parametrize("manifest", [b"{}", b"no json", b'{"zip": 3}', None])
def test_a_manifest_is_written_again_byte_for_byte(ports: Ports, manifest: bytes | None) -> None:
    older = rows(ports, "select * from datasets order by finished_at")[0]
    before = content(ports.bucket, older["manifest_path"])
    if manifest is None:
        ports.bucket.delete([older["manifest_path"]])
    else:
        ports.bucket.put(older["manifest_path"], manifest)
    [(_, what, state)] = _found(_verify(ports, deep=True, fix=True))
    assert (what, state, content(ports.bucket, older["manifest_path"])) == ("manifest", "mended", before)


def test_a_zip_that_a_killed_prune_left_is_removed(ports: Ports) -> None:
    prune(ports, keep=1)
    older = rows(ports, "select * from datasets order by finished_at")[0]
    ports.bucket.put(older["storage_path"], b"left")
    assert _found(_verify(ports)) == [("left over", "pruned zip", "can be mended")]
    assert _found(_verify(ports, fix=True)) == [("left over", "pruned zip", "mended")]
    assert ports.bucket.stat(older["storage_path"]) is None


def test_an_adapter_that_nobody_has_is_trained_again(ports: Ports) -> None:
    [run] = rows(ports, "select adapter_key from training_runs")
    (ports.settings.data_root / "runs" / run["adapter_key"].rpartition("/")[2] / "adapter.safetensors").unlink()
    ports.bucket.delete([f"{run['adapter_key']}/adapter.safetensors"])
    assert _found(_verify(ports, fix=True)) == [("missing", "adapter", "next build")]


def test_another_artists_file_is_reported_and_never_touched(ports: Ports) -> None:
    other = new_artist(ports, "Other")
    secret = f"artists/{other.slug}/training/{uuid4()}/audio.wav"
    ports.bucket.put(secret, wav(700))
    unguarded(ports, "update training_items set audio_path = %s where item_key = 'P/one'", secret)
    unguarded(ports, "update training_items set audio_path = 'artists/nova/../x' where item_key = 'P/two'")
    report = _verify(ports, deep=True, fix=True)
    outside = [finding for finding in report.findings if finding.problem == "outside"]
    assert {finding.name for finding in outside} == {secret, "artists/nova/../x"}
    assert all(finding.key.startswith("training_items.audio_path ") for finding in outside)
    assert content(ports.bucket, secret) == wav(700)


def test_a_human_text_in_an_overwritten_file_is_kept(ports: Ports) -> None:
    item = items(ports)["P/one"]
    ports.bucket.put(item["prompt_path"], b"By hand, in the bucket.\nBPM: 100")
    assert _found(_verify(ports, deep=True, fix=True)) == [("wrong bytes", "prompt", "mended")]
    assert content(ports.bucket, item["prompt_path"]) == item["prompt_text"].encode()
    assert rows(ports, "select from prompts where origin = 'human' and text = %s", "By hand, in the bucket.\nBPM: 100")


def test_a_text_edited_since_its_file_was_written_is_not_wrong(ports: Ports) -> None:
    item = items(ports)["P/one"]
    with ports.database.transaction() as connection:
        connection.execute("update training_items set prompt_text = 'Edited.' where id = %s", [item["id"]])
    ports.bucket.put(item["prompt_path"], b"An edit before that one, of an update that was overtaken.")
    assert _verify(ports, deep=True).findings == []
    update_training_items(ports, "nova")
    assert content(ports.bucket, item["prompt_path"]) == b"Edited."
    assert _verify(ports, deep=True).findings == []


def test_what_changes_while_it_is_looked_at_is_not_wrong(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    key = _key(ports, "/prompt.txt")
    data = content(ports.bucket, key)
    ports.bucket.delete([key])
    listed = ports.bucket.list

    def late(prefix: str = "") -> Any:
        yield from listed(prefix)
        ports.bucket.put(key, data)

    monkeypatch.setattr(ports.bucket, "list", late)
    assert _verify(ports).findings == []


def test_a_step_that_is_running_is_not_disturbed(ports: Ports, nova: Artist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dawa_assets.maintenance.artist_lock._PATIENCE_SECONDS", 0.1)
    key = _key(ports, "/prompt.txt")
    ports.bucket.delete([key])
    with lease(ports.database, nova.id, "items", seconds=60, wait_seconds=0):
        [finding] = _verify(ports, fix=True).findings
    assert (finding.outcome.state, ports.bucket.stat(key)) == ("needs you", None)
    assert finding.outcome.said == "skipped: the step 'items' is running; verify again when it is done"


def test_many_foreign_objects_are_counted_in_constant_memory(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    own, listings = list(ports.bucket.list("artists/nova")), []
    now = datetime.now(UTC)

    def many(prefix: str = "") -> Any:
        listings.append(prefix)
        yield from (one for one in own if one.key < "artists/nova/rejectee")
        for number in range(20_000):
            yield StoredObject(f"artists/nova/rejectee/{number:06}", 3, now)
        yield from (one for one in own if one.key > "artists/nova/rejectee")

    monkeypatch.setattr(ports.bucket, "list", many)
    logging.disable()
    tracemalloc.start()
    report = _verify(ports)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    logging.disable(logging.NOTSET)
    assert (report.findings, report.foreign_count, len(report.foreign)) == ([], 20_001, 1000)
    assert listings == ["artists/nova"]
    assert peak < 4 << 20


def test_the_command_reads_like_an_account(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dawa(monkeypatch, ports, "verify") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith(": all well")
    assert said[1:] == [f"  foreign: {_foreign(ports)} ({len(content(ports.bucket, _foreign(ports)))} bytes)"]
    prompt, live_set = items(ports)["P/one"]["prompt_path"], _key(ports, "/one.als")
    ports.bucket.delete([prompt, live_set])
    assert dawa(monkeypatch, ports, "verify", "--artist", "nova") == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1:3] == [
        f"  missing: {live_set} (Live Set of one.als); needs you: "
        "upload the Live Set again; its summary and its prompt stay",
        f"  missing: {prompt} (prompt of P/one); --repair writes it from its row",
    ]
    assert said[-1] == "Next: dawa verify --repair"
    assert dawa(monkeypatch, ports, "verify", "--repair", "--json") == 1
    [shown] = json.loads(capsys.readouterr().out)["artists"]
    assert (shown["still_wrong"], [finding["outcome"]["state"] for finding in shown["findings"]]) == (
        1,
        ["needs you", "mended"],
    )
    drop(ports, "nova", {"P/one.als": als(100)})
    take_in_live_sets(ports, "nova")
    assert dawa(monkeypatch, ports, "verify", "--deep") == 0
    assert dawa(monkeypatch, ports, "verify", "--artist", "nobody") == 2


def _damage(ports: Ports) -> list[str]:
    """One of each file gone that a repair can bring back, and an older zip that it can't."""
    older = rows(ports, "select * from datasets order by finished_at")[0]
    endings = ("/summary.json", "/audio.wav", "/prompt.txt", ".reason.txt", "/adapter.safetensors")
    gone = [_key(ports, ending) for ending in endings]
    ports.bucket.delete([*gone, older["storage_path"]])
    return gone


@pytest.mark.parametrize("stride", [15, pytest.param(1, marks=pytest.mark.slow)])
def test_a_repair_killed_after_any_change_is_ended_by_the_next(ports: Ports, stride: int) -> None:
    ports, changes, burnt = with_short_leases(ports), 0, 99
    while changes <= burnt:
        with ports.database.transaction() as connection:
            connection.execute("update datasets set pruned_at = null")
        ports.bucket.put(rows(ports, "select * from datasets order by finished_at")[0]["storage_path"], b"zip")
        gone = _damage(ports)
        fuse = Fuse(changes or None)
        try:
            list(verify(fused(ports, fuse), "nova", fix=True))
        except KilledError:
            list(verify(ports, "nova", fix=True))
        burnt = burnt if changes else fuse.burnt
        assert _verify(ports, deep=True).findings == [], f"killed after change {changes}"
        assert all(ports.bucket.stat(key) is not None for key in gone)
        changes += stride if changes else 1
    assert burnt >= 15
