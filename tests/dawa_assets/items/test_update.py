"""Training items: bounces find their sets, files lie in their places, statuses follow."""

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dawa_assets.intake.inbox import pending_uploads, upload
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import ItemsReport, update_training_items
from resources.bucket.folder import FolderBucket
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, content, drop, items, keys, ledger, new_artist, rows, unguarded, wav
from tests.shared_data import shared


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _build(ports: Ports) -> ItemsReport:
    take_in_live_sets(ports, "nova")
    return update_training_items(ports, "nova")


def _execute(ports: Ports, query: str, *parameters: object) -> None:
    with ports.database.transaction() as connection:
        connection.execute(query, parameters)


def _write_prompt(ports: Ports, text: str, key: str = "song/song") -> None:
    _execute(ports, "update training_items set prompt_text = %s where item_key = %s", text, key)


def _item(ports: Ports, key: str = "song/song") -> dict[str, Any]:
    return items(ports)[key]


def test_a_bounce_is_put_in_place_with_all_that_is_known_of_it(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.WAV": wav(seconds=1.5)})
    report = _build(ports)
    item = _item(ports)
    assert report.paired == [("song.WAV", "song/song")]
    assert item["audio_path"] == f"artists/nova/training/{item['id']}/audio.wav"
    assert (item["audio_hash"], item["audio_format"]) == (_sha(wav(seconds=1.5)), "wav")
    assert item["audio_duration_seconds"] == 1.5
    assert item["status"] == "needs_prompt"
    assert content(ports.bucket, item["audio_path"]) == wav(seconds=1.5)
    assert keys(ports.bucket, "inbox") == []
    assert ledger(ports)["song.WAV"] == ("taken", None)
    assert report.items == {"needs_prompt": 1}


def test_the_prompt_makes_an_item_ready_and_is_written_to_a_file(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als()})
    take_in_live_sets(ports, "nova")
    _write_prompt(ports, "Dense and dark.\nBPM: 120")
    assert update_training_items(ports, "nova").prompts_in_place == 1
    assert _item(ports)["status"] == "needs_audio"
    drop(ports, "nova", {"song.wav": wav()})
    report = update_training_items(ports, "nova")
    item = _item(ports)
    assert (item["status"], report.headline) == ("ready", "1/1 items ready, 1 bounces paired")
    assert item["prompt_path"] == f"artists/nova/training/{item['id']}/prompt.txt"
    assert content(ports.bucket, item["prompt_path"]) == b"Dense and dark.\nBPM: 120"
    assert item["prompt_file_hash"] == _sha(b"Dense and dark.\nBPM: 120")


def test_the_prompt_file_follows_the_row_and_is_restored(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als()})
    take_in_live_sets(ports, "nova")
    for text in ("One.", "Zwei: ä 夜"):
        _write_prompt(ports, text)
        assert update_training_items(ports, "nova").prompts_in_place == 1
        assert content(ports.bucket, _item(ports)["prompt_path"]).decode() == text
    assert update_training_items(ports, "nova").prompts_in_place == 0
    ports.bucket.delete([_item(ports)["prompt_path"]])
    assert update_training_items(ports, "nova").prompts_in_place == 1


def test_a_second_update_changes_nothing(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav(), "alone.wav": wav(1)})
    _build(ports)
    _write_prompt(ports, "x")
    update_training_items(ports, "nova")
    before = [rows(ports, f"select * from {table} order by id") for table in ("training_items", "uploads")]
    report = _build(ports)
    assert [rows(ports, f"select * from {table} order by id") for table in ("training_items", "uploads")] == before
    assert (report.paired, report.replaced, report.unchanged, report.moved) == ([], [], [], 0)
    assert [name for name, _ in report.waiting] == ["alone.wav"]


def test_a_replaced_bounce_makes_an_exported_item_ready(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav()})
    _build(ports)
    _write_prompt(ports, "x")
    _execute(ports, "update training_items set status = 'exported'")
    drop(ports, "nova", {"Song.flac": shared("audio", "sonicpi_loop_compus.flac").read_bytes()})
    report = update_training_items(ports, "nova")
    item = _item(ports)
    assert report.replaced == [("Song.flac", "song/song")]
    assert (item["status"], item["audio_format"]) == ("ready", "flac")
    folder = f"artists/nova/training/{item['id']}"
    assert keys(ports.bucket, folder) == [f"{folder}/audio.flac", f"{folder}/prompt.txt"]


def test_the_same_bounce_again_changes_nothing_and_is_reported(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav()})
    _build(ports)
    _write_prompt(ports, "x")
    _execute(ports, "update training_items set status = 'exported'")
    drop(ports, "nova", {"song.als": als(), "song.wav": wav()})
    report = _build(ports)
    assert report.unchanged == [("song.wav", "the same bytes as the audio of song/song")]
    assert _item(ports)["status"] == "exported"
    assert keys(ports.bucket, "inbox") == []


def test_undecodable_bounces_are_rejected_and_the_rest_continues(ports: Ports) -> None:
    new_artist(ports)
    files = {"a.als": als(100), "b.als": als(101), "a.mp3": b"no audio at all", "b.wav": wav(), "c.wav": b""}
    upload_id = drop(ports, "nova", files)
    report = _build(ports)
    assert report.paired == [("b.wav", "b/b")]
    assert sorted(name for name, _ in report.rejected) == ["a.mp3", "c.wav"]
    for name, reason in report.rejected:
        aside = f"artists/nova/rejected/{upload_id}/{name}"
        assert content(ports.bucket, aside) == files[name]
        assert content(ports.bucket, f"{aside}.reason.txt").decode() == f"{reason}\n"
    assert _item(ports, "a/a")["status"] == "needs_audio"
    assert keys(ports.bucket, "inbox") == []


def test_an_ambiguous_bounce_waits_until_its_set_arrives(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"A/song.als": als(100), "B/song.als": als(101)})
    drop(ports, "nova", {"song.wav": wav(), "later.wav": wav(1)})
    report = _build(ports)
    assert "several sets (A/song, B/song)" in dict(report.waiting)["song.wav"]
    assert "no Live Set has its name" in dict(report.waiting)["later.wav"]
    assert ledger(ports)["later.wav"][0] == "waiting"
    drop(ports, "nova", {"Late R.als": als(102)})
    report = _build(ports)
    assert report.paired == [("later.wav", "Late R/Late R")]
    assert [name for name, _ in report.waiting] == ["song.wav"]
    assert pending_uploads(ports) == []


def test_a_set_uploaded_under_another_name_is_found_by_that_name(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"P/old.als": als()})
    take_in_live_sets(ports, "nova")
    drop(ports, "nova", {"P/new.als": als()})
    take_in_live_sets(ports, "nova")
    drop(ports, "nova", {"New.wav": wav()})
    assert update_training_items(ports, "nova").paired == [("New.wav", "P/old")]


def test_a_name_belongs_to_the_set_that_had_it_last(ports: Ports) -> None:
    new_artist(ports)
    for files in ({"P/a.als": als()}, {"P/b.als": als()}, {"P/b.als": als(130)}):
        drop(ports, "nova", files)
        take_in_live_sets(ports, "nova")
    assert sorted(items(ports)) == ["P/a", "P/b"]
    drop(ports, "nova", {"b.wav": wav()})
    assert update_training_items(ports, "nova").paired == [("b.wav", "P/b")]


def test_a_project_folder_ends_as_one_ready_pair(ports: Ports, tmp_path: Path) -> None:
    project = tmp_path / "Night Project"
    (project / "Samples").mkdir(parents=True)
    (project / "Night.als").write_bytes(als())
    (project / "mixdown.wav").write_bytes(wav())
    (project / "Samples" / "kick.wav").write_bytes(wav(50))
    upload(ports, "Nova", [project])
    assert _build(ports).paired == [("mixdown.wav", "Night Project/Night")]


@pytest.mark.parametrize(
    ("live_set", "bounce"),
    [
        ("live11.3_alex7kom_plainxml.als", "vibe_ace_vbr_noxing.mp3"),
        ("live12.3_krahd_vst3.als", "sonicpi_loop_tabla.flac"),
        ("live8.1_dawtool_markers-auto.als", "solo_trumpet_f_90bpm.ogg"),
        ("live9.7_kinectmusic_m4l.als", "vibe_ace_aac.m4a"),
    ],
)
def test_real_sets_and_bounces_are_paired_by_their_stems(
    ports: Ports, tmp_path: Path, live_set: str, bounce: str
) -> None:
    audio = tmp_path / f"{Path(live_set).stem.upper()}{Path(bounce).suffix}"
    audio.write_bytes(shared("audio", bounce).read_bytes())
    upload(ports, "Nova", [audio])
    upload(ports, "Nova", [shared("als", live_set)])
    report = _build(ports)
    assert [name for name, _ in report.paired] == [audio.name]
    [item] = items(ports).values()
    assert (item["status"], item["audio_hash"]) == ("needs_prompt", _sha(audio.read_bytes()))
    assert item["audio_duration_seconds"] > 1


def test_audio_placed_by_the_dashboard_keeps_its_items_status(ports: Ports) -> None:
    artist = new_artist(ports)
    _execute(
        ports,
        "insert into training_items (artist_id, parse_id, prompt_text, status) values (%s, 'p', 'words', 'exported')",
        artist.id,
    )
    [row] = rows(ports, "select id from training_items")
    path = f"artists/nova/training/{row['id']}/audio.wav"
    ports.bucket.put(path, wav(seconds=2))
    _execute(ports, "update training_items set audio_path = %s", path)
    report = update_training_items(ports, "nova")
    [item] = rows(ports, "select * from training_items")
    assert (item["audio_hash"], item["audio_format"], item["audio_duration_seconds"]) == (
        _sha(wav(seconds=2)),
        "wav",
        2.0,
    )
    assert (item["status"], report.failed) == ("exported", [])
    assert content(ports.bucket, item["prompt_path"]) == b"words"


def test_an_item_whose_audio_is_gone_fails_until_it_returns(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav()})
    _build(ports)
    _write_prompt(ports, "x")
    update_training_items(ports, "nova")
    path = _item(ports)["audio_path"]
    ports.bucket.delete([path])
    for _ in range(2):
        report = update_training_items(ports, "nova")
        assert [name for name, _ in report.failed] == ["song/song"]
        item = _item(ports)
        assert item["status"] == "failed"
        assert "gone from the bucket" in item["error"]
    ports.bucket.put(path, wav())
    update_training_items(ports, "nova")
    assert (_item(ports)["status"], _item(ports)["error"]) == ("ready", None)
    ports.bucket.delete([path])
    update_training_items(ports, "nova")
    drop(ports, "nova", {"song.wav": wav()})
    update_training_items(ports, "nova")
    assert (_item(ports)["status"], _item(ports)["error"]) == ("ready", None)
    assert content(ports.bucket, path) == wav()


def test_audio_outside_of_the_artists_folder_is_not_read(ports: Ports) -> None:
    artist = new_artist(ports)
    ports.bucket.put("artists/other/training/x/audio.wav", wav())
    unguarded(
        ports,
        "insert into training_items (artist_id, parse_id, audio_path, item_key) "
        "values (%s, 'p', 'artists/other/training/x/audio.wav', 'k')",
        artist.id,
    )
    report = update_training_items(ports, "nova")
    assert "own folder" in dict(report.failed)["k"]
    assert _item(ports, "k")["audio_hash"] is None


def test_a_failure_of_another_cause_stays_until_new_audio_comes(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav()})
    _build(ports)
    _write_prompt(ports, "x")
    _execute(ports, "update training_items set status = 'failed', error = 'segments: too short'")
    update_training_items(ports, "nova")
    assert _item(ports)["status"] == "failed"
    drop(ports, "nova", {"song.wav": wav(seconds=2)})
    update_training_items(ports, "nova")
    assert (_item(ports)["status"], _item(ports)["error"]) == ("ready", None)


def test_a_failed_prompt_stays_told_when_audio_comes(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als()})
    take_in_live_sets(ports, "nova")
    _execute(ports, "update training_items set error = 'prompt: no words', prompt_text = ''")
    drop(ports, "nova", {"song.wav": wav()})
    update_training_items(ports, "nova")
    item = _item(ports)
    assert (item["status"], item["error"], item["prompt_path"]) == ("needs_prompt", "prompt: no words", None)


def test_an_excluded_item_is_left_alone(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav()})
    _build(ports)
    _execute(ports, "update training_items set excluded_at = now(), prompt_text = 'x'")
    before = _item(ports)
    report = update_training_items(ports, "nova")
    assert _item(ports) == before
    assert report.items == {}


class _Meanwhile(FolderBucket):
    """Does something at the moment when an object has just been fetched."""

    def __init__(self, folder: Path, key: str, act: Any) -> None:
        super().__init__(folder)
        self._key, self._act = key, act

    def fetch(self, key: str, target: Path) -> None:
        super().fetch(key, target)
        if key == self._key:
            self._key = ""
            time.sleep(0.02)
            self._act()


@pytest.mark.parametrize("replacement", [wav(440), wav(220)], ids=["other bytes", "the same bytes"])
def test_a_bounce_uploaded_again_during_the_update_is_not_lost(ports: Ports, replacement: bytes) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav(220)}, "fixed")
    take_in_live_sets(ports, "nova")
    key = "inbox/nova/fixed/song.wav"
    bucket = _Meanwhile(ports.settings.home / "bucket", key, lambda: ports.bucket.put(key, replacement))
    update_training_items(Ports(**{**vars(ports), "bucket": bucket}), "nova")
    for _ in range(2):
        update_training_items(ports, "nova")
    assert _item(ports)["audio_hash"] == _sha(replacement)
    assert content(ports.bucket, _item(ports)["audio_path"]) == replacement
    assert keys(ports.bucket, "inbox") == []
    assert [row["state"] for row in rows(ports, "select state from uploads")] == ["taken"] * len(
        rows(ports, "select 1 from uploads")
    )


def test_an_upload_during_the_update_is_left_for_the_next_one(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als(), "song.wav": wav()}, "first")
    take_in_live_sets(ports, "nova")
    bucket = _Meanwhile(
        ports.settings.home / "bucket",
        "inbox/nova/first/song.wav",
        lambda: drop(ports, "nova", {"song.wav": wav(440)}, "second"),
    )
    update_training_items(Ports(**{**vars(ports), "bucket": bucket}), "nova")
    assert [pending.upload_ids for pending in pending_uploads(ports)] == [["second"]]
    update_training_items(ports, "nova")
    assert _item(ports)["audio_hash"] == _sha(wav(440))


def test_a_prompt_written_during_the_update_is_not_yet_in_place(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"song.als": als()})
    take_in_live_sets(ports, "nova")
    _write_prompt(ports, "old")

    class Slow(FolderBucket):
        def put(self, key: str, source: Any, **more: Any) -> None:
            super().put(key, source, **more)
            _write_prompt(ports, "new")

    slow = Ports(**{**vars(ports), "bucket": Slow(ports.settings.home / "bucket")})
    assert update_training_items(slow, "nova").prompts_in_place == 0
    assert update_training_items(ports, "nova").prompts_in_place == 1
    assert content(ports.bucket, _item(ports)["prompt_path"]) == b"new"


def test_two_updates_at_once_pair_each_bounce_once(ports: Ports) -> None:
    new_artist(ports)
    drop(
        ports,
        "nova",
        {f"{n}.als": als(100 + n) for n in range(3)} | {f"{n}.wav": wav(100 + n) for n in range(3)},
    )
    take_in_live_sets(ports, "nova")
    reports: list[ItemsReport] = []
    threads = [threading.Thread(target=lambda: reports.append(update_training_items(ports, "nova"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for report in reports for name, _ in report.paired) == ["0.wav", "1.wav", "2.wav"]
    assert keys(ports.bucket, "inbox") == []
