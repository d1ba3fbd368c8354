"""Building datasets on a real database and bucket: what is made, when not, and after kills and changes."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dawa_assets.datasets.build import build_dataset
from dawa_assets.errors import BusyError, LostLeaseError, UnknownArtistError
from dawa_assets.tables.datasets import artists_whose_dataset_would_differ
from resources.ports import Ports
from tests.dawa_assets.training.catalogue import Catalogue, manifest, open_catalogue

PROMPT = "Warm house with a patient build.\nBPM: 122"


class Killed(BaseException):
    """Stands for a SIGKILL: nothing may catch it."""


@pytest.fixture
def catalogue(ports: Ports) -> Catalogue:
    return open_catalogue(ports, f"Artist {uuid4().hex[:8]}")


def zip_bytes(ports: Ports, key: str | None) -> bytes:
    assert key
    with ports.bucket.open(key) as stream:
        return stream.read()


def datasets(catalogue: Catalogue) -> list[dict[str, Any]]:
    return catalogue.sql("select * from datasets where artist_id = %s order by created_at", catalogue.artist.id)


def would_differ(catalogue: Catalogue) -> bool:
    with catalogue.ports.database.transaction() as connection:
        return catalogue.slug in artists_whose_dataset_would_differ(connection)


def objects(catalogue: Catalogue) -> set[str]:
    return {stored.key for stored in catalogue.ports.bucket.list(f"artists/{catalogue.slug}/datasets")}


def test_a_dataset_holds_pairs_in_order_and_marks_them_exported(catalogue: Catalogue) -> None:
    catalogue.add("one", b"first sound", PROMPT)
    catalogue.add("two", b"second sound", "Zwei — süß.\nBPM: 90")
    catalogue.add("waiting", b"no prompt yet", status="needs_prompt")
    assert would_differ(catalogue)
    report = build_dataset(catalogue.ports, catalogue.slug)
    assert (report.state, report.item_count, report.exported, report.failed) == ("built", 2, 2, [])
    content = zip_bytes(catalogue.ports, report.storage_path)
    assert hashlib.sha256(content).hexdigest() == report.sha256
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "dataset/track-0001.wav": b"first sound",
            "dataset/track-0001.txt": PROMPT.encode(),
            "dataset/track-0002.wav": b"second sound",
            "dataset/track-0002.txt": "Zwei — süß.\nBPM: 90".encode(),
        }
    assert catalogue.statuses() == {"one": "exported", "two": "exported", "waiting": "needs_prompt"}
    assert report.manifest_path
    described = manifest(catalogue.ports, report.manifest_path)
    assert described["zip"]["sha256"] == report.sha256
    assert [entry["audio_sha256"] for entry in described["entries"]] == [
        hashlib.sha256(sound).hexdigest() for sound in (b"first sound", b"second sound")
    ]
    assert not would_differ(catalogue)


def test_unchanged_content_makes_no_new_zip(catalogue: Catalogue) -> None:
    item = catalogue.add("one", b"sound", PROMPT)
    first = build_dataset(catalogue.ports, catalogue.slug)
    before = catalogue.ports.bucket.stat(first.storage_path or "")
    catalogue.set_prompt(item, PROMPT)  # written again, and the same
    second = build_dataset(catalogue.ports, catalogue.slug)
    assert (second.state, second.storage_path, second.exported) == ("unchanged", first.storage_path, 1)
    assert catalogue.ports.bucket.stat(first.storage_path or "") == before
    assert catalogue.statuses() == {"one": "exported"}
    assert len(datasets(catalogue)) == 1


def test_a_rebuild_includes_all_items_but_the_excluded(catalogue: Catalogue) -> None:
    first = catalogue.add("one", b"sound one", PROMPT)
    build_dataset(catalogue.ports, catalogue.slug)
    catalogue.add("two", b"sound two", PROMPT)
    assert build_dataset(catalogue.ports, catalogue.slug).item_count == 2
    catalogue.exclude(first)
    assert would_differ(catalogue)
    report = build_dataset(catalogue.ports, catalogue.slug)
    assert [track.item for track in report.tracks] == ["two"]


def test_restored_content_makes_its_old_dataset_current_again(catalogue: Catalogue) -> None:
    catalogue.add("one", b"sound one", PROMPT)
    extra = catalogue.add("two", b"sound two", PROMPT)
    whole = build_dataset(catalogue.ports, catalogue.slug)
    catalogue.exclude(extra)
    build_dataset(catalogue.ports, catalogue.slug)
    catalogue.exclude(extra, False)
    assert would_differ(catalogue)
    again = build_dataset(catalogue.ports, catalogue.slug)
    assert (again.state, again.storage_path) == ("current again", whole.storage_path)
    assert not would_differ(catalogue)
    assert len(datasets(catalogue)) == 2


def test_a_zip_that_is_gone_is_made_again_with_the_same_bytes(catalogue: Catalogue) -> None:
    catalogue.add("one", b"sound one", PROMPT)
    report = build_dataset(catalogue.ports, catalogue.slug)
    before = zip_bytes(catalogue.ports, report.storage_path)
    catalogue.ports.bucket.delete([report.storage_path or ""])
    again = build_dataset(catalogue.ports, catalogue.slug)
    assert (again.state, again.storage_path) == ("restored", report.storage_path)
    assert zip_bytes(catalogue.ports, again.storage_path) == before


def test_a_pruned_zip_is_rebuilt_only_when_it_becomes_current(catalogue: Catalogue) -> None:
    item = catalogue.add("one", b"sound one", PROMPT)
    old = build_dataset(catalogue.ports, catalogue.slug)
    catalogue.sql("update datasets set pruned_at = now() where id = %s", old.dataset_id)
    catalogue.ports.bucket.delete([old.storage_path or ""])
    assert build_dataset(catalogue.ports, catalogue.slug).state == "unchanged"
    assert catalogue.ports.bucket.stat(old.storage_path or "") is None
    catalogue.set_prompt(item, "Another.\nBPM: 100")
    build_dataset(catalogue.ports, catalogue.slug)
    catalogue.set_prompt(item, PROMPT)
    assert build_dataset(catalogue.ports, catalogue.slug).state == "restored"
    assert zip_bytes(catalogue.ports, old.storage_path)
    assert not would_differ(catalogue)


def test_nothing_ready_is_reported_and_is_no_failure(catalogue: Catalogue) -> None:
    catalogue.add("one", b"sound", status="needs_prompt")
    report = build_dataset(catalogue.ports, catalogue.slug)
    assert (report.state, report.dataset_id, report.item_count) == ("nothing ready", None, 0)
    assert "0/1" in report.headline
    assert not would_differ(catalogue)


def test_an_unknown_artist_is_refused(ports: Ports) -> None:
    with pytest.raises(UnknownArtistError):
        build_dataset(ports, "nobody-at-all")


def _missing(catalogue: Catalogue, path: str) -> None:
    catalogue.ports.bucket.delete([path])


def _altered(catalogue: Catalogue, path: str) -> None:
    catalogue.ports.bucket.put(path, b"other sound")


@pytest.mark.parametrize("damage", [_missing, _altered])
def test_an_item_whose_audio_is_wrong_fails_alone(
    catalogue: Catalogue, damage: Callable[[Catalogue, str], None]
) -> None:
    catalogue.add("good", b"sound one", PROMPT)
    bad = catalogue.add("bad", b"sound two", PROMPT)
    catalogue.add("also good", b"sound three", PROMPT)
    damage(catalogue, f"artists/{catalogue.slug}/training/{bad}/audio.wav")
    report = build_dataset(catalogue.ports, catalogue.slug)
    assert (report.state, report.item_count) == ("built", 2)
    assert [name for name, _ in report.failed] == ["bad"]
    assert catalogue.statuses() == {"good": "exported", "bad": "failed", "also good": "exported"}
    assert [row["state"] for row in datasets(catalogue)] == ["done"]
    assert not would_differ(catalogue)


def test_another_artists_file_is_never_packed(catalogue: Catalogue) -> None:
    other = open_catalogue(catalogue.ports, f"Victim {uuid4().hex[:8]}")
    secret = other.add("secret", b"unreleased", PROMPT)
    item = catalogue.add("thief", b"unreleased", PROMPT)
    with catalogue.ports.database.transaction() as connection:
        connection.execute("set local session_replication_role = replica")  # as if the trigger had been passed by
        connection.execute(
            "update training_items set audio_path = %s where id = %s",
            [f"artists/{other.slug}/training/{secret}/audio.wav", item],
        )
    report = build_dataset(catalogue.ports, catalogue.slug)
    assert report.state == "nothing ready"
    assert [name for name, _ in report.failed] == ["thief"]


def test_a_prompt_that_changed_meanwhile_leaves_its_item_ready(catalogue: Catalogue) -> None:
    item = catalogue.add("one", b"sound one", PROMPT)
    catalogue.add("two", b"sound two", PROMPT)

    class Slow(type(catalogue.ports.bucket)):  # type: ignore[misc]
        def put(self, key: str, *args: Any, **more: Any) -> None:
            super().put(key, *args, **more)
            if key.endswith(".zip"):
                catalogue.set_prompt(item, "Rewritten meanwhile.\nBPM: 99")

    bucket = Slow(catalogue.ports.settings.home / "bucket")
    report = build_dataset(replace(catalogue.ports, bucket=bucket), catalogue.slug)
    assert report.exported == 1
    assert catalogue.statuses() == {"one": "ready", "two": "exported"}
    assert would_differ(catalogue)


@pytest.mark.parametrize("moment", ["zip before", "zip after", "json before", "json after"])
def test_a_killed_build_is_finished_on_the_same_path(catalogue: Catalogue, moment: str) -> None:
    catalogue.add("one", b"sound one", PROMPT)
    catalogue.add("two", b"sound two", PROMPT)
    kind, when = moment.split()

    class Killing(type(catalogue.ports.bucket)):  # type: ignore[misc]
        def put(self, key: str, *args: Any, **more: Any) -> None:
            if key.endswith(kind) and when == "before":
                raise Killed
            super().put(key, *args, **more)
            if key.endswith(kind):
                raise Killed

    bucket = Killing(catalogue.ports.settings.home / "bucket")
    with pytest.raises(Killed):
        build_dataset(replace(catalogue.ports, bucket=bucket), catalogue.slug)
    (left,) = datasets(catalogue)
    assert left["state"] == "building"
    assert catalogue.statuses() == {"one": "ready", "two": "ready"}
    report = build_dataset(catalogue.ports, catalogue.slug)
    assert (report.state, report.storage_path) == ("built", left["storage_path"])
    assert objects(catalogue) == {report.storage_path, report.manifest_path}
    assert [row["state"] for row in datasets(catalogue)] == ["done"]


def test_a_killed_build_of_outdated_content_leaves_no_file(catalogue: Catalogue) -> None:
    item = catalogue.add("one", b"sound one", PROMPT)

    class Killing(type(catalogue.ports.bucket)):  # type: ignore[misc]
        def put(self, key: str, *args: Any, **more: Any) -> None:
            super().put(key, *args, **more)
            if key.endswith(".zip"):
                raise Killed

    with pytest.raises(Killed):
        build_dataset(
            replace(catalogue.ports, bucket=Killing(catalogue.ports.settings.home / "bucket")), catalogue.slug
        )
    catalogue.set_prompt(item, "Another.\nBPM: 100")
    report = build_dataset(catalogue.ports, catalogue.slug)
    assert objects(catalogue) == {report.storage_path, report.manifest_path}
    assert [row["state"] for row in datasets(catalogue)] == ["done"]


def test_two_builds_at_once_make_one_dataset(catalogue: Catalogue) -> None:
    for number in range(4):
        catalogue.add(f"song {number}", b"sound" * number + b"!", PROMPT)
    start = threading.Barrier(2)

    def build() -> str:
        start.wait()
        return build_dataset(catalogue.ports, catalogue.slug).state

    with ThreadPoolExecutor(2) as pool:
        states = [future.result() for future in (pool.submit(build), pool.submit(build))]
    assert sorted(states) == ["built", "unchanged"]
    assert len(datasets(catalogue)) == 1
    assert len(objects(catalogue)) == 2


def test_a_build_that_may_not_wait_says_that_another_is_working(catalogue: Catalogue) -> None:
    from dawa_assets.pipeline.leases import lease

    catalogue.add("one", b"sound", PROMPT)
    hasty = replace(catalogue.ports, settings=catalogue.ports.settings.model_copy(update={"lease_wait_seconds": 0.0}))
    with (
        lease(catalogue.ports.database, catalogue.artist.id, "dataset", seconds=30, wait_seconds=0),
        pytest.raises(BusyError),
    ):
        build_dataset(hasty, catalogue.slug)


def test_a_builder_that_lost_its_lease_overwrites_nothing(catalogue: Catalogue) -> None:
    catalogue.add("one", b"sound one", PROMPT)

    class Overtaken(type(catalogue.ports.bucket)):  # type: ignore[misc]
        def put(self, key: str, *args: Any, **more: Any) -> None:
            super().put(key, *args, **more)
            catalogue.sql("update leases set fence = fence + 1, holder = 'another' where step = 'dataset'")

    bucket = Overtaken(catalogue.ports.settings.home / "bucket")
    with pytest.raises(LostLeaseError):
        build_dataset(replace(catalogue.ports, bucket=bucket), catalogue.slug)
    assert catalogue.statuses() == {"one": "ready"}
    assert [row["state"] for row in datasets(catalogue)] == ["building"]


def test_an_item_replaced_during_the_build_is_packed_as_new(catalogue: Catalogue) -> None:
    from dawa_assets.pipeline.leases import lease

    item = catalogue.add("one", b"old sound", PROMPT)
    held, replaced = threading.Event(), threading.Event()

    def replace_slowly() -> None:
        with lease(catalogue.ports.database, catalogue.artist.id, "items", seconds=30, wait_seconds=5):
            catalogue.ports.bucket.put(f"artists/{catalogue.slug}/training/{item}/audio.wav", b"new sound")
            held.set()
            replaced.wait(1)  # the build meets the new bytes under the old row
            catalogue.replace_audio(item, b"new sound")

    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(replace_slowly)
        held.wait(240)
        report = build_dataset(catalogue.ports, catalogue.slug)
        replacing.result()
    assert report.failed == []
    with zipfile.ZipFile(io.BytesIO(zip_bytes(catalogue.ports, report.storage_path))) as archive:
        assert archive.read("dataset/track-0001.wav") == b"new sound"


def test_an_export_of_new_items_leaves_the_current_dataset_alone(catalogue: Catalogue) -> None:
    catalogue.add("old", b"sound one", PROMPT)
    whole = build_dataset(catalogue.ports, catalogue.slug)
    catalogue.add("new", b"sound two", PROMPT)
    export = build_dataset(catalogue.ports, catalogue.slug, new_items_only=True)
    assert [track.item for track in export.tracks] == ["new"]
    assert catalogue.statuses() == {"old": "exported", "new": "exported"}
    again = build_dataset(catalogue.ports, catalogue.slug, new_items_only=True)
    assert (again.state, again.storage_path) == ("unchanged", export.storage_path)
    current = catalogue.sql(
        "select storage_path from datasets where artist_id = %s and state = 'done'", catalogue.artist.id
    )
    assert [row["storage_path"] for row in current] == [whole.storage_path]
    assert would_differ(catalogue)
    assert build_dataset(catalogue.ports, catalogue.slug).item_count == 2


def test_the_nightly_query_returns_exactly_the_changed_datasets(ports: Ports) -> None:
    fresh, done, empty, changed = (open_catalogue(ports, f"Night {n} {uuid4().hex[:6]}") for n in range(4))
    for catalogue in (fresh, done, changed):
        catalogue.add("one", b"sound", PROMPT)
    empty.add("one", b"sound", PROMPT, status="needs_prompt")
    build_dataset(ports, done.slug)
    build_dataset(ports, changed.slug)
    changed.add("two", b"more", PROMPT)
    with ports.database.transaction() as connection:
        asked = set(artists_whose_dataset_would_differ(connection))
    assert asked & {c.slug for c in (fresh, done, empty, changed)} == {fresh.slug, changed.slug}


def test_no_temporary_file_is_left(catalogue: Catalogue) -> None:
    catalogue.add("one", b"sound", PROMPT)
    left = Path(catalogue.ports.settings.home) / "tmp" / "datasets" / catalogue.slug
    left.mkdir(parents=True)
    (left / "1.zip").write_bytes(b"of a killed run")
    build_dataset(catalogue.ports, catalogue.slug)
    assert not left.exists()
