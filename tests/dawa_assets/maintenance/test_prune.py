"""Old zips and leftovers go, rows and manifests stay, what may be somebody else's is left alone, killed anywhere."""

import json
import os
import time
from uuid import uuid4

import pytest

from dawa_assets.datasets.build import build_dataset
from dawa_assets.maintenance.prune import PruneReport, prune
from dawa_assets.pipeline.leases import lease
from modal_app.errors import InputError
from resources.ports import Ports
from tests.coexistence.dashboard import export, save
from tests.dawa_assets.intake.material import content, keys, wav
from tests.dawa_assets.maintenance.killing import Fuse, KilledError, fused, with_short_leases
from tests.dawa_assets.maintenance.typed import dawa
from tests.dawa_assets.training.catalogue import Catalogue, open_catalogue


@pytest.fixture
def catalogue(ports: Ports) -> Catalogue:
    return open_catalogue(ports, "Nova")


def _datasets(catalogue: Catalogue, count: int) -> list[str]:
    """So many datasets, each of one more item; their zips' keys, the oldest first."""
    made = []
    for number in range(count):
        catalogue.add(f"{number}-{uuid4().hex[:6]}", f"sound {number} {uuid4()}".encode())
        made.append(build_dataset(catalogue.ports, catalogue.slug).storage_path or "")
    return made


def _prune(catalogue: Catalogue, keep: int = 1, *, dry_run: bool = False, grace_hours: float = 24) -> PruneReport:
    [report] = prune(catalogue.ports, keep=keep, slug=catalogue.slug, dry_run=dry_run, grace_hours=grace_hours)
    return report


def _age(ports: Ports, key: str, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(ports.settings.home / "bucket" / key, (then, then))


def test_the_newest_zips_stay_and_of_the_others_row_and_manifest(catalogue: Catalogue) -> None:
    made = _datasets(catalogue, 4)
    report = _prune(catalogue, 2)
    assert [file.key for file in report.zips] == [made[1], made[0]]
    assert (report.zips_kept, report.freed_bytes > 0, report.leftovers, report.foreign) == (2, True, [], [])
    left = keys(catalogue.ports.bucket, "artists/nova/datasets")
    assert [key for key in left if key.endswith(".zip")] == made[2:]
    assert len([key for key in left if key.endswith(".json")]) == 4
    rows = catalogue.sql("select storage_path, pruned_at is not null as pruned from datasets order by created_at")
    pruned = {row["storage_path"]: row["pruned"] for row in rows}
    assert pruned == dict(zip(made, [True, True, False, False], strict=True))
    assert _prune(catalogue, 2).zips == []


def test_the_current_zip_stays_however_old_it_is(catalogue: Catalogue) -> None:
    [current] = _datasets(catalogue, 1)
    for number in range(3):
        catalogue.add(f"new {number}", f"other {number}".encode())
        build_dataset(catalogue.ports, "nova", new_items_only=True)
    report = _prune(catalogue, 1)
    assert len(report.zips) == 3
    assert [key for key in keys(catalogue.ports.bucket, "artists/nova/datasets") if key.endswith(".zip")] == [current]


def test_content_that_comes_back_is_zipped_again(catalogue: Catalogue) -> None:
    item = catalogue.add("one", b"sound", "One.\nBPM: 120")
    first = build_dataset(catalogue.ports, "nova")
    before = content(catalogue.ports.bucket, first.storage_path or "")
    catalogue.set_prompt(item, "Another.\nBPM: 120")
    build_dataset(catalogue.ports, "nova")
    assert [file.key for file in _prune(catalogue).zips] == [first.storage_path]
    catalogue.set_prompt(item, "One.\nBPM: 120")
    again = build_dataset(catalogue.ports, "nova")
    assert (again.state, content(catalogue.ports.bucket, first.storage_path or "")) == ("restored", before)
    assert [file.key for file in _prune(catalogue).zips] != [first.storage_path]


def test_a_dry_run_says_the_same_and_changes_nothing(catalogue: Catalogue) -> None:
    _datasets(catalogue, 3)
    orphan = f"artists/nova/loras/{uuid4()}/adapter.safetensors"
    catalogue.ports.bucket.put(orphan, b"left")
    _age(catalogue.ports, orphan, 48)
    objects, rows = keys(catalogue.ports.bucket), catalogue.sql("select * from datasets order by id")
    shown = _prune(catalogue, dry_run=True)
    assert (keys(catalogue.ports.bucket), catalogue.sql("select * from datasets order by id")) == (objects, rows)
    done = _prune(catalogue)
    assert (shown.zips, shown.leftovers) == (done.zips, done.leftovers)
    assert len(done.zips) == 2
    assert len(done.leftovers) == 1


def test_dashboard_and_unclaimed_files_are_foreign_and_stay(catalogue: Catalogue) -> None:
    ports, artist = catalogue.ports, catalogue.artist
    save(ports, artist, audio=wav(200))
    catalogue.sql("update training_items set status = 'exported'")
    theirs = export(ports, artist)
    _datasets(catalogue, 2)
    unsaved = f"artists/nova/training/{uuid4()}/audio.mp3"
    by_hand = "artists/nova/loras/my backup/adapter.safetensors"
    for key in (unsaved, by_hand):
        ports.bucket.put(key, b"x")
    for key in keys(ports.bucket):
        _age(ports, key, 1000)
    before = keys(ports.bucket)
    report = _prune(catalogue, grace_hours=0)
    assert {file.key for file in report.foreign} == {theirs, unsaved, by_hand}
    assert set(before) - set(keys(ports.bucket)) == {file.key for file in report.zips}


def _run(catalogue: Catalogue, state: str, *, promoted: bool = False, adapter: bool = False) -> str:
    [dataset] = catalogue.sql("select id from datasets")
    [row] = catalogue.sql(
        "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, state, "
        "promoted, adapter_key) values (%s, %s, %s, 'b', 'b', 'm', '{}', %s, %s, %s) returning id",
        catalogue.artist.id,
        dataset["id"],
        str(uuid4()),
        state,
        promoted,
        f"artists/nova/loras/{uuid4()}" if adapter else None,
    )
    key = f"artists/nova/loras/{row['id']}/adapter.safetensors"
    catalogue.ports.bucket.put(key, b"weights")
    _age(catalogue.ports, key, 48)
    return key


def test_files_of_runs_that_failed_go_and_those_of_others_stay(catalogue: Catalogue) -> None:
    _datasets(catalogue, 1)
    failed = _run(catalogue, "failed")
    stay = {
        _run(catalogue, "failed", promoted=True),
        _run(catalogue, "failed", adapter=True),
        _run(catalogue, "running"),
        _run(catalogue, "done"),
    }
    young = f"artists/nova/loras/{uuid4()}/adapter.safetensors"
    catalogue.ports.bucket.put(young, b"just written")
    report = _prune(catalogue)
    assert [(file.key, file.size) for file in report.leftovers] == [(failed, 7)]
    assert set(keys(catalogue.ports.bucket, "artists/nova/loras")) == stay | {young}


def test_leftovers_are_removed_after_the_grace_period(catalogue: Catalogue) -> None:
    ports = catalogue.ports
    item = catalogue.add("one", b"sound")
    old, mark = f"artists/nova/training/{item}/audio.mp3", "inbox/nova/u1/_complete"
    for key in (old, mark, "inbox/nova/u2/_complete", "inbox/nova/u2/song.wav"):
        ports.bucket.put(key, b"")
    scratch = ports.settings.home / "tmp" / "datasets" / "nova" / "1.zip"
    scratch.parent.mkdir(parents=True)
    scratch.write_bytes(b"unfinished")
    assert _prune(catalogue).leftovers == []
    for key in (old, mark, "inbox/nova/u2/_complete"):
        _age(ports, key, 25)
    os.utime(scratch, (0, 0))
    assert {file.key for file in _prune(catalogue).leftovers} == {old, mark, str(scratch.parent)}
    assert not scratch.parent.exists()
    assert keys(ports.bucket) == [
        f"artists/nova/training/{item}/audio.wav",
        "inbox/nova/u2/_complete",
        "inbox/nova/u2/song.wav",
    ]


@pytest.mark.parametrize("stride", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_prune_removes_no_zip_before_its_row_says_so(catalogue: Catalogue, stride: int) -> None:
    ports, changes, burnt = with_short_leases(catalogue.ports), 0, 99
    while changes <= burnt:
        mine = open_catalogue(ports, f"Killed {changes}")
        made = _datasets(mine, 3)
        orphan = f"artists/{mine.slug}/loras/{uuid4()}/adapter.safetensors"
        ports.bucket.put(orphan, b"left")
        _age(ports, orphan, 48)
        fuse = Fuse(changes or None)
        try:
            prune(fused(ports, fuse), keep=1, slug=mine.slug)
        except KilledError:
            rows = mine.sql("select storage_path, pruned_at from datasets where artist_id = %s", mine.artist.id)
            gone = [row for row in rows if ports.bucket.stat(row["storage_path"]) is None]
            assert all(row["pruned_at"] is not None for row in gone), f"killed after change {changes}"
            prune(ports, keep=1, slug=mine.slug)
        burnt = burnt if changes else fuse.burnt
        left = keys(ports.bucket, f"artists/{mine.slug}")
        assert [key for key in left if key.endswith(".zip")] == made[2:], f"killed after change {changes}"
        assert orphan not in left
        changes += stride if changes else 1
    assert burnt >= 8


def test_what_is_being_worked_on_is_skipped_and_reported(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dawa_assets.maintenance.artist_lock._PATIENCE_SECONDS", 0.1)
    made = _datasets(catalogue, 2)
    with lease(catalogue.ports.database, catalogue.artist.id, "training", seconds=60, wait_seconds=0):
        report = _prune(catalogue)
    assert [file.key for file in report.zips] == made[:1]
    assert report.busy == ["LoRAs: another process is working on them; run it again when that is done"]


@pytest.mark.parametrize(("keep", "grace"), [(0, 24), (-1, 24), (1, -1), (1, float("nan")), (1, float("inf"))])
def test_what_makes_no_sense_is_refused(catalogue: Catalogue, keep: int, grace: float) -> None:
    with pytest.raises(InputError):
        _prune(catalogue, keep, grace_hours=grace)


def test_the_command_reads_like_an_account(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, theirs = _datasets(catalogue, 2), export(catalogue.ports, catalogue.artist)
    size = len(content(catalogue.ports.bucket, made[0]))
    assert dawa(monkeypatch, catalogue.ports, "prune", "--keep", "1", "--dry-run") == 0
    said = capsys.readouterr().out
    assert said.splitlines() == [
        "nova: would remove 1 zip and 0 leftover files (0.0 MB); 1 zip kept",
        f"  would remove: {made[0]} ({size:,} bytes): older than those that are kept",
        f"  foreign, left alone: {theirs} ({len(content(catalogue.ports.bucket, theirs))} bytes): "
        "no dataset of the pipeline: the dashboard's export, or put there by hand",
    ]
    assert dawa(monkeypatch, catalogue.ports, "prune", "--keep", "1", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["dry_run"], shown["artists"][0]["freed_bytes"]) == (False, size)
    assert dawa(monkeypatch, catalogue.ports, "prune", "--keep", "0") == 2
    assert dawa(monkeypatch, catalogue.ports, "prune", "--keep", "1", "--artist", "nobody") == 2
