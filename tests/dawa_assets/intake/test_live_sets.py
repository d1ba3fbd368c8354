"""Live Sets on their way from the inbox to summaries and items."""

import json
import logging
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dawa_assets.errors import UnknownArtistError
from dawa_assets.intake import live_sets, set_files
from dawa_assets.intake.inbox import pending_uploads, upload
from dawa_assets.intake.layout import fitted
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.tables.uploads import latest_timelines
from resources.bucket.base import Bucket
from resources.bucket.folder import FolderBucket
from resources.bucket.keys import encode_segment
from resources.errors import InvalidKeyError
from resources.ports import Ports
from tests.dawa_assets.ableton.test_oracle import PLAYED
from tests.dawa_assets.intake.material import (
    als,
    content,
    drop,
    identity,
    items,
    keys,
    ledger,
    new_artist,
    rows,
    unguarded,
    wav,
)
from tests.shared_data import shared, shared_names


def test_a_live_set_gives_a_summary_and_an_item_that_needs_audio(ports: Ports) -> None:
    artist = new_artist(ports)
    drop(ports, "nova", {"Deep Project/Söng.als": als(93)})
    report = take_in_live_sets(ports, "nova")
    assert (report.taken, report.rejected, report.unchanged) == (["Deep Project/Söng.als"], [], [])
    [row] = rows(ports, "select * from als_summaries")
    parse = identity(artist, als(93))
    folder = f"artists/nova/daw-data/Deep Project/Söng/{parse}"
    assert (row["parse_id"], row["als_filename"], row["project_name"]) == (parse, "Söng.als", "Deep Project")
    assert (row["export_path"], row["source_key"]) == (folder, f"{folder}/Söng.als")
    assert row["summary"]["overview"]["tempo"] == 93
    assert row["summary"]["project_folder"] == "Deep Project"
    assert keys(ports.bucket) == [
        f"{folder}/{name}" for name in ("Söng.als", "summary.json", "timeline_visualizer.png")
    ]
    assert content(ports.bucket, row["source_key"]) == als(93)
    assert json.loads(content(ports.bucket, f"{folder}/summary.json")) == row["summary"]
    [item] = items(ports).values()
    assert (item["item_key"], item["status"]) == ("Deep Project/Söng", "needs_audio")
    assert (item["als_summary_id"], item["parse_id"]) == (row["id"], parse)
    [entry] = rows(ports, "select * from uploads")
    assert (entry["state"], entry["final_key"]) == ("taken", row["source_key"])
    assert (entry["als_summary_id"], entry["training_item_id"]) == (row["id"], item["id"])
    with ports.database.transaction() as connection:
        assert latest_timelines(connection, "nova", 3) == [
            ("Deep Project/Söng.als", f"{folder}/timeline_visualizer.png")
        ]


def test_a_set_outside_of_a_folder_is_its_own_project(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"a.b.ALS": als()})
    take_in_live_sets(ports, "nova")
    [row] = rows(ports, "select * from als_summaries")
    assert (row["project_name"], row["summary"]["project_folder"]) == ("a.b", "")
    assert list(items(ports)) == ["a.b/a.b"]


def test_an_empty_inbox_changes_nothing_and_says_so(ports: Ports) -> None:
    new_artist(ports)
    report = take_in_live_sets(ports, "nova")
    assert report.headline == "nothing new in the inbox"
    with pytest.raises(UnknownArtistError):
        take_in_live_sets(ports, "nobody")


def test_the_same_bytes_twice_are_one_summary_and_that_is_said(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"P/one.als": als(), "P/two.als": als()})
    report = take_in_live_sets(ports, "nova")
    assert report.taken == ["P/one.als"]
    assert report.unchanged == [("P/two.als", "the same bytes as P/one.als")]
    drop(ports, "nova", {"P/one.als": als()})
    assert take_in_live_sets(ports, "nova").unchanged == [("P/one.als", "the same bytes as P/one.als")]
    assert len(rows(ports, "select * from als_summaries")) == 1
    assert list(items(ports)) == ["P/one"]
    assert keys(ports.bucket, "inbox") == []


def test_two_artists_with_the_same_bytes_have_a_summary_each(ports: Ports) -> None:
    for name in ("Nova", "Other"):
        new_artist(ports, name)
        drop(ports, name.lower(), {"a.als": als()})
        take_in_live_sets(ports, name.lower())
    assert len({row["parse_id"] for row in rows(ports, "select * from als_summaries")}) == 2


def test_an_item_follows_its_sets_version_forward_and_back(ports: Ports) -> None:
    artist = new_artist(ports)
    for tempo in (100, 110, 100):
        drop(ports, "nova", {"P/song.als": als(tempo)})
        take_in_live_sets(ports, "nova")
        [item] = items(ports).values()
        assert item["parse_id"] == identity(artist, als(tempo))
    assert len(rows(ports, "select * from als_summaries")) == 2
    assert take_in_live_sets(ports, "nova").adopted == 0


def test_sets_of_one_name_in_different_projects_are_two_items(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"A/song.als": als(100), "B/song.als": als(101)})
    take_in_live_sets(ports, "nova")
    assert sorted(items(ports)) == ["A/song", "B/song"]


def test_a_file_that_is_neither_set_nor_audio_is_rejected(ports: Ports) -> None:
    new_artist(ports)
    upload_id = drop(ports, "nova", {"P/._song.als": b"junk", "P/cover.jpg": b"jpeg", "P/song.als": als()})
    report = take_in_live_sets(ports, "nova")
    assert [name for name, _ in report.rejected] == ["._song.als", "cover.jpg"]
    assert report.taken == ["P/song.als"]
    assert keys(ports.bucket, "artists/nova/rejected") == [
        f"artists/nova/rejected/{upload_id}/P/{name}"
        for name in ("._song.als", "._song.als.reason.txt", "cover.jpg", "cover.jpg.reason.txt")
    ]
    assert keys(ports.bucket, "inbox") == []


def test_a_set_too_large_to_be_one_is_rejected_unread(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_sets, "_MAX_BYTES", 100)
    new_artist(ports)
    drop(ports, "nova", {"huge.als": als()})
    assert "too many" in dict(take_in_live_sets(ports, "nova").rejected)["huge.als"]


@pytest.mark.skipif(not shared_names("als-bad", "*.als"), reason="the shared test data is absent")
def test_hostile_files_are_rejected_and_the_rest_continues(ports: Ports) -> None:
    new_artist(ports)
    # Each file's own time and memory are held in ableton/test_hostile.py; here the slowest bombs are left out.
    names = [name for name in shared_names("als-bad", "*.als") if name[:2] not in ("34", "35", "36")]
    bad = {name: shared("als-bad", name).read_bytes() for name in names}
    upload_id = drop(ports, "nova", {**bad, "zz good.als": als()})
    report = take_in_live_sets(ports, "nova")
    accepted = {"26", "27", "28", "31"}
    rejected = {name[:2]: reason for name, reason in report.rejected}
    assert accepted.isdisjoint(rejected)
    assert set(rejected) >= {name[:2] for name in names} - accepted - {"25", "29", "30", "32"}
    assert "DOCTYPE" in rejected["17"]
    assert "truncated" in rejected["04"]
    assert "zz good.als" in report.taken
    assert report.waiting == []
    for name, reason in report.rejected:
        aside = f"artists/nova/rejected/{upload_id}/{name}"
        assert content(ports.bucket, aside) == bad[name]
        assert content(ports.bucket, f"{aside}.reason.txt").decode() == f"{reason}\n"
        assert ledger(ports)[name] == ("rejected", reason)
    assert keys(ports.bucket, "inbox") == []
    assert pending_uploads(ports) == []


@pytest.mark.parametrize("name", shared_names("als", "*.als"))
def test_real_sets_are_taken_in(ports: Ports, name: str) -> None:
    new_artist(ports)
    receipt = upload(ports, "Nova", [shared("als", name)])
    assert receipt.files == [name]
    assert take_in_live_sets(ports, "nova").taken == [name]
    [row] = rows(ports, "select * from als_summaries")
    oracle = json.loads(shared("als", "oracle", f"{Path(name).stem}.json").read_text())
    tempo = PLAYED.get(Path(name).stem, oracle["tempo"])
    assert row["summary"]["overview"]["tempo"] == pytest.approx(tempo, abs=0.005)
    assert content(ports.bucket, row["source_key"]) == shared("als", name).read_bytes()


def test_a_fault_in_the_reader_blocks_and_loses_nothing(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    new_artist(ports)
    drop(ports, "nova", {"a.als": als(100), "b.als": als(101)})
    real = set_files.read_live_set

    def faulty(path: Path) -> object:
        if path.name == "a.als":
            raise ZeroDivisionError("division by zero")
        return real(path)

    monkeypatch.setattr(set_files, "read_live_set", faulty)
    with caplog.at_level(logging.CRITICAL):
        report = take_in_live_sets(ports, "nova")
    assert report.taken == ["b.als"]
    assert "fault of the program" in dict(report.waiting)["a.als"]
    assert pending_uploads(ports) == []
    monkeypatch.undo()
    assert take_in_live_sets(ports, "nova").taken == ["a.als"]
    assert keys(ports.bucket, "inbox") == []


def test_sets_parsed_by_another_reader_version_are_read_again(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    new_artist(ports)
    drop(ports, "nova", {"P/a.als": als(100), "P/b.als": als(101)})
    take_in_live_sets(ports, "nova")
    before = {row["id"]: row for row in rows(ports, "select * from als_summaries")}
    broken = next(row for row in before.values() if row["als_filename"] == "b.als")
    ports.bucket.put(broken["source_key"], b"not what was taken in")
    monkeypatch.setattr(live_sets, "PARSER_VERSION", "als-next")
    with ports.database.transaction() as connection:
        connection.execute("update als_summaries set summary = '{}'")
    report = take_in_live_sets(ports, "nova")
    assert report.parsed_again == ["a.als"]
    assert "is not the file that was taken in" in dict(report.failed)["b.als"]
    after = {row["als_filename"]: row for row in rows(ports, "select * from als_summaries")}
    assert after["a.als"]["parser_version"] == "als-next"
    assert after["a.als"]["summary"] == before[after["a.als"]["id"]]["summary"]
    assert after["a.als"]["parse_timestamp"] == before[after["a.als"]["id"]]["parse_timestamp"]
    assert after["b.als"]["summary"] == {}


def test_a_kept_set_outside_of_the_artists_folder_is_not_read(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"P/a.als": als()})
    take_in_live_sets(ports, "nova")
    unguarded(ports, "update als_summaries set parser_version = 'old', source_key = 'artists/other/secret.als'")
    assert "own folder" in dict(take_in_live_sets(ports, "nova").failed)["a.als"]


def test_summaries_older_than_the_pipeline_get_one_item_per_set(ports: Ports) -> None:
    artist = new_artist(ports)
    with ports.database.transaction() as connection:
        for number, (project, name) in enumerate(
            [
                ("A", "song.als"),
                ("A", "song.als"),
                ("B", "song.als"),
                (None, "x.y.als"),
                ("", "z.als"),
                ("A", "has.als"),
            ]
        ):
            connection.execute(
                "insert into als_summaries (artist_id, project_name, als_filename, parse_id, summary, parse_timestamp) "
                "values (%s, %s, %s, %s, '{}', now() + make_interval(secs => %s))",
                [artist.id, project, name, f"p{number}", number],
            )
        connection.execute(
            "insert into training_items (artist_id, als_summary_id, parse_id) "
            "select artist_id, id, parse_id from als_summaries where als_filename = 'has.als'"
        )
    assert take_in_live_sets(ports, "nova").adopted == 4
    assert {key: row["parse_id"] for key, row in items(ports).items() if key} == {
        "A/song": "p1",
        "B/song": "p2",
        "x.y/x.y": "p3",
        "z/z": "p4",
    }
    assert take_in_live_sets(ports, "nova").adopted == 0


def test_a_row_without_its_artist_does_not_block_the_same_parse(ports: Ports) -> None:
    artist = new_artist(ports)
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into als_summaries (als_filename, parse_id, summary) values ('a.als', %s, '{}')",
            [identity(artist, als())],
        )
    drop(ports, "nova", {"a.als": als()})
    take_in_live_sets(ports, "nova")
    [row] = rows(ports, "select * from als_summaries")
    assert (row["artist_id"], row["summary"]["overview"]["tempo"]) == (artist.id, 120)


def test_names_of_any_script_and_length_find_a_place(ports: Ports, tmp_path: Path) -> None:
    name = "夜明け" * 20
    project = tmp_path / ("長い名" * 9)
    project.mkdir()
    (project / f"{name}.als").write_bytes(als())
    (project / f"{name}.wav").write_bytes(wav())
    receipt = upload(ports, "Nova", [project])
    assert len(receipt.files) == 2, receipt.skipped
    report = take_in_live_sets(ports, "nova")
    assert len(report.taken) == 1
    [row] = rows(ports, "select * from als_summaries")
    assert row["als_filename"] == f"{name}.als"
    assert content(ports.bucket, row["source_key"]) == als()


@pytest.mark.parametrize("name", ["x" * 200, "x" * 201, "ä" * 33, "ä" * 34, "🎹" * 85, "y" * 5000])
def test_a_name_too_long_for_a_key_is_cut_and_told_apart(name: str) -> None:
    assert len(encode_segment(fitted(name))) <= 200
    assert (fitted(name) == name) == (len(encode_segment(name)) <= 200)
    assert fitted(name + "1") != fitted(name + "2")


_ODD = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(folder=st.lists(_ODD, max_size=2), stem=_ODD, bad=st.booleans())
@example(folder=["AC\\DC"], stem="a\\b", bad=False)
@example(folder=["new\nline"], stem="\u2028\x85\u200d", bad=True)
@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_with_any_character_hold_up_nothing(ports: Ports, folder: list[str], stem: str, bad: bool) -> None:
    artist = new_artist(ports)
    key = "/".join(["inbox/nova/u1", *folder, f"{stem}.als"])
    try:
        ports.bucket.put(key, b"junk" if bad else als())
    except InvalidKeyError:
        return
    drop(ports, "nova", {"good/one.als": als(99)}, "u1")
    report = take_in_live_sets(ports, "nova")
    assert len(report.taken) + len(report.unchanged) + len(report.rejected) == 2
    assert keys(ports.bucket, "inbox") == []
    with ports.database.transaction() as connection:
        connection.execute("delete from uploads where artist_id = %s", [artist.id])


class _Meanwhile(FolderBucket):
    """Replaces an object in the inbox at the moment when it has just been fetched."""

    def __init__(self, folder: Path, key: str, replacement: bytes) -> None:
        super().__init__(folder)
        self._key, self._replacement = key, replacement

    def fetch(self, key: str, target: Path) -> None:
        super().fetch(key, target)
        if key == self._key:
            self._key = ""
            time.sleep(0.02)
            self.put(key, self._replacement)


@pytest.mark.parametrize("replacement", [als(140), als(120)], ids=["other bytes", "the same bytes"])
def test_a_set_uploaded_again_during_the_intake_is_not_lost(ports: Ports, replacement: bytes) -> None:
    artist = new_artist(ports)
    drop(ports, "nova", {"P/song.als": als(120)}, "fixed")
    meanwhile: Bucket = _Meanwhile(ports.settings.home / "bucket", "inbox/nova/fixed/P/song.als", replacement)
    take_in_live_sets(Ports(**{**vars(ports), "bucket": meanwhile}), "nova")
    assert content(ports.bucket, "inbox/nova/fixed/P/song.als") == replacement
    take_in_live_sets(ports, "nova")
    [item] = items(ports).values()
    assert item["parse_id"] == identity(artist, replacement)
    assert keys(ports.bucket, "inbox") == []


def test_one_key_can_bring_new_versions_and_an_old_one_again(ports: Ports) -> None:
    artist = new_artist(ports)
    for tempo in (100, 101, 100):
        drop(ports, "nova", {"P/song.als": als(tempo)}, "fixed")
        take_in_live_sets(ports, "nova")
        time.sleep(0.02)
        [item] = items(ports).values()
        assert item["parse_id"] == identity(artist, als(tempo))


def test_two_intakes_at_once_take_each_set_in_once(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {f"P/{number}.als": als(100 + number) for number in range(4)})
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(take_in_live_sets(ports, "nova"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for report in reports for name in report.taken) == [f"P/{number}.als" for number in range(4)]
    assert len(rows(ports, "select * from als_summaries")) == len(items(ports)) == 4
