"""Uploads into the inbox, and what of it is pending."""

import time
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dawa_assets.intake.inbox import PendingUploads, check_artist_name, pending_uploads, upload
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from modal_app.errors import InputError
from resources.bucket.folder import FolderBucket
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.intake.material import als, content, drop, keys, new_artist, rows, wav


def _with(ports: Ports, **changed: Any) -> Ports:
    return Ports(**{**vars(ports), **changed})


def _song(folder: Path) -> Path:
    folder.mkdir()
    (folder / "Söng.als").write_bytes(als())
    (folder / "Söng.wav").write_bytes(wav())
    (folder / "notes.txt").write_text("hello")
    return folder


def test_an_upload_keeps_its_folders_and_is_closed_when_complete(ports: Ports, tmp_path: Path) -> None:
    receipt = upload(ports, "Nova", [_song(tmp_path / "Söng Project")])
    assert (receipt.artist_name, receipt.slug) == ("Nova", "nova")
    assert sorted(receipt.files) == ["Söng Project/Söng.als", "Söng Project/Söng.wav"]
    assert receipt.skipped == [("Söng Project/notes.txt", "neither a Live Set nor audio")]
    folder = f"inbox/nova/{receipt.upload_id}"
    assert keys(ports.bucket) == [f"{folder}/{name}" for name in sorted([*receipt.files, "_complete"])]
    assert content(ports.bucket, f"{folder}/Söng Project/Söng.wav") == wav()
    assert receipt.size_bytes == len(als()) + len(wav())
    assert pending_uploads(ports) == [PendingUploads("nova", [receipt.upload_id])]


def test_upload_ids_follow_time(ports: Ports, tmp_path: Path) -> None:
    folder = _song(tmp_path / "x")
    ids = [upload(ports, "Nova", [folder]).upload_id for _ in range(5)]
    assert ids == sorted(set(ids))


def test_an_artist_is_found_by_name_or_slug_and_created_if_new(ports: Ports, tmp_path: Path) -> None:
    folder = _song(tmp_path / "x")
    assert [upload(ports, name, [folder]).slug for name in ("Nova Ray", "nova-ray", " Nova Ray ", "Other")] == [
        "nova-ray",
        "nova-ray",
        "nova-ray",
        "other",
    ]


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", "a\0b", "\u202eabc", "\ud800"])
def test_a_name_that_can_not_be_an_artists_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="printable"):
        check_artist_name(name)


def test_nothing_usable_is_the_users_mistake_and_makes_no_artist(ports: Ports, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for paths in ([tmp_path / "notes.txt"], [tmp_path], [tmp_path / "nowhere.als"]):
        with pytest.raises(InputError):
            upload(ports, "Nova", paths)
    assert rows(ports, "select * from artists") == []
    assert keys(ports.bucket) == []


class _FailingBucket(FolderBucket):
    """Fails at the second object."""

    def put(self, key: str, source: Path | bytes | BinaryIO, **more: Any) -> None:
        if key.endswith(".wav"):
            raise KeyboardInterrupt
        super().put(key, source, **more)


def test_an_upload_that_is_interrupted_is_taken_back(ports: Ports, tmp_path: Path) -> None:
    bucket = _FailingBucket(tmp_path / "failing")
    with pytest.raises(KeyboardInterrupt):
        upload(_with(ports, bucket=bucket), "Nova", [_song(tmp_path / "x")])
    assert keys(bucket) == []


def test_a_file_that_grows_while_it_is_uploaded_is_left_out(ports: Ports, tmp_path: Path) -> None:
    folder = _song(tmp_path / "x")

    class Growing(FolderBucket):
        def put(self, key: str, source: Path | bytes | BinaryIO, **more: Any) -> None:
            super().put(key, source, **more)
            if key.endswith(".wav"):
                with (folder / "Söng.wav").open("ab") as file:
                    file.write(b"more")

    bucket = Growing(tmp_path / "growing")
    receipt = upload(_with(ports, bucket=bucket), "Nova", [folder])
    assert receipt.files == ["x/Söng.als"]
    assert "written to" in dict(receipt.skipped)["x/Söng.wav"]
    assert not any(key.endswith(".wav") for key in keys(bucket))


def test_a_drop_of_another_program_counts_once_it_has_been_quiet(ports: Ports) -> None:
    new_artist(ports)
    ports.bucket.put("inbox/nova/from-ftp/a.als", als())
    ports.bucket.put("inbox/nova/loose.als", als(90))
    assert pending_uploads(ports) == []
    quiet = _with(ports, settings=Settings(home=ports.settings.home, quiet_seconds=0.2))
    time.sleep(0.25)
    assert pending_uploads(quiet) == [PendingUploads("nova", ["from-ftp", "loose"])]
    assert sorted(take_in_live_sets(quiet, "nova").taken) == ["a.als", "loose.als"]
    assert keys(ports.bucket, "inbox") == []


def test_an_unfinished_upload_is_not_taken_in(ports: Ports) -> None:
    new_artist(ports)
    ports.bucket.put("inbox/nova/u1/a.als", als())
    assert take_in_live_sets(ports, "nova").taken == []
    ports.bucket.put("inbox/nova/u1/a.wav", wav())
    assert update_training_items(ports, "nova").waiting == []
    assert len(keys(ports.bucket, "inbox")) == 2


def test_an_inbox_of_nobody_is_reported_and_left(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    drop(ports, "stranger", {"a.als": als()})
    assert pending_uploads(ports) == []
    assert "stranger" in caplog.text


def test_what_waits_is_not_pending_until_something_new_arrives(ports: Ports) -> None:
    new_artist(ports)
    first = drop(ports, "nova", {"alone.wav": wav()})
    assert pending_uploads(ports) == [PendingUploads("nova", [first])]
    assert [name for name, _ in update_training_items(ports, "nova").waiting] == ["alone.wav"]
    assert pending_uploads(ports) == []
    second = drop(ports, "nova", {"Alone.als": als()})
    assert pending_uploads(ports) == [PendingUploads("nova", [second])]
    take_in_live_sets(ports, "nova")
    assert update_training_items(ports, "nova").paired == [("alone.wav", "Alone/Alone")]
    assert pending_uploads(ports) == []
    assert keys(ports.bucket, "inbox") == []


def test_a_waiting_file_that_is_replaced_is_pending_again(ports: Ports) -> None:
    new_artist(ports)
    upload_id = drop(ports, "nova", {"alone.wav": wav()})
    update_training_items(ports, "nova")
    time.sleep(0.02)
    ports.bucket.put(f"inbox/nova/{upload_id}/alone.wav", wav(440))
    assert pending_uploads(ports) == [PendingUploads("nova", [upload_id])]
    update_training_items(ports, "nova")
    assert pending_uploads(ports) == []
    assert len(rows(ports, "select * from uploads")) == 1


def test_a_waiting_file_that_somebody_takes_away_is_forgotten(ports: Ports) -> None:
    new_artist(ports)
    upload_id = drop(ports, "nova", {"alone.wav": wav()})
    update_training_items(ports, "nova")
    ports.bucket.delete([f"inbox/nova/{upload_id}/alone.wav"])
    assert update_training_items(ports, "nova").waiting == []
    assert keys(ports.bucket) == []
