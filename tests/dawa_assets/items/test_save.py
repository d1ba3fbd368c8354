"""Pairs saved at once: whole items with a person's text, whatever is cut off or done again."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from dawa_assets.datasets.build import build_dataset
from dawa_assets.items.save import NewPair, is_saved_pairs_id, save_pair
from dawa_assets.items.update import update_training_items
from dawa_assets.maintenance.prune import prune
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.prompting.single_prompt import write_single_prompt
from dawa_assets.tables.artists import Artist
from modal_app.errors import InputError, UnreadableAudioError
from resources.bucket.folder import FolderBucket
from resources.errors import BucketError
from resources.ports import Ports
from tests.dawa_assets.intake.material import content, keys, new_artist, rows, wav
from tests.dawa_assets.prompting.material import give_set, summary

TEXT = "Warm deep house with a rolling bass.\nBPM: 122"


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(wav(200, seconds=1.5))
    return path


def _pair(parse_id: str = "0123456789ab", text: str = TEXT) -> NewPair:
    return NewPair(parse_id, "Song.als", "Song", text)


def _row(ports: Ports, item: UUID) -> dict[str, Any]:
    return rows(ports, "select * from training_items where id = %s", item)[0]


def test_a_saved_pair_is_a_ready_item_with_nothing_left_to_do(ports: Ports, nova: Artist, audio: Path) -> None:
    give_set(ports.database, nova, summary(), "Song", audio=False)
    [made] = rows(ports, "select id, parse_id from als_summaries")
    item = save_pair(ports, nova, _pair(made["parse_id"]), audio)
    saved = _row(ports, item)
    folder = f"artists/nova/training/{item}"
    assert (saved["status"], saved["item_key"], saved["als_summary_id"]) == ("ready", None, made["id"])
    assert (saved["audio_path"], saved["audio_format"]) == (f"{folder}/audio.wav", "wav")
    assert (saved["audio_duration_seconds"], saved["prompt_text"]) == (1.5, TEXT)
    assert content(ports.bucket, saved["audio_path"]) == audio.read_bytes()
    assert content(ports.bucket, saved["prompt_path"]) == TEXT.encode()
    refresh_prompts(ports, "nova")
    update_training_items(ports, "nova")
    assert _row(ports, item) == saved
    assert build_dataset(ports, "nova").item_count == 1


def test_a_models_text_saved_unchanged_counts_as_human(ports: Ports, nova: Artist, audio: Path) -> None:
    give_set(ports.database, nova, summary(), "Song", audio=False)
    [made] = rows(ports, "select parse_id from als_summaries")
    asked = write_single_prompt(ports, nova, made["parse_id"])
    item = _row(ports, save_pair(ports, nova, _pair(made["parse_id"], asked.text), audio))
    assert (item["model_name"], item["system_prompt_version"]) == ("offline-v1", "train-v1")
    [prompt] = rows(ports, "select origin from prompts where id = %s", item["prompt_id"])
    assert prompt["origin"] == "human"


def test_a_repeated_pair_is_one_item_and_a_new_text_is_another(ports: Ports, nova: Artist, audio: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        first = set(pool.map(lambda _: save_pair(ports, nova, _pair(), audio), range(4)))
    other = save_pair(ports, nova, _pair(text="Another take.\nBPM: 122"), audio)
    assert len(first) == 1
    assert {row["id"] for row in rows(ports, "select id from training_items")} == {*first, other}


def test_a_pair_that_was_edited_since_is_not_taken_for_the_same(ports: Ports, nova: Artist, audio: Path) -> None:
    first = save_pair(ports, nova, _pair(), audio)
    with ports.database.transaction() as connection:
        connection.execute("update training_items set prompt_text = 'Edited since then.'")
    second = save_pair(ports, nova, _pair(), audio)
    assert second != first
    assert _row(ports, first)["prompt_text"] == "Edited since then."


@pytest.mark.parametrize("text", ["", " \n ", "a \x00 b", "word " * 200, "x" * 4000])
def test_a_text_invalid_as_a_caption_is_refused_before_writing(
    ports: Ports, nova: Artist, audio: Path, text: str
) -> None:
    with pytest.raises(InputError, match=r"^promptText: the text .+; mend it$"):
        save_pair(ports, nova, _pair(text=text), audio)
    assert keys(ports.bucket) == []


def test_undecodable_audio_is_refused_before_anything_is_written(ports: Ports, nova: Artist, tmp_path: Path) -> None:
    picture = tmp_path / "upload"
    picture.write_bytes(b"\x89PNG\r\n and so on")
    with pytest.raises(UnreadableAudioError, match=r"^the audio: it is in no audio format"):
        save_pair(ports, nova, _pair(), picture)
    assert keys(ports.bucket) == []


class _Broken(FolderBucket):
    """Takes so many objects and no more."""

    def __init__(self, folder: Path, left: int) -> None:
        super().__init__(folder)
        self._left = left

    def put(self, key: str, source: Any, **more: Any) -> None:
        self._left -= 1
        if self._left < 0:
            raise BucketError(f"{key}: cut off")
        super().put(key, source, **more)


@pytest.mark.parametrize("written", [0, 1])
def test_an_interrupted_saves_files_are_reused_or_pruned(ports: Ports, nova: Artist, audio: Path, written: int) -> None:
    with pytest.raises(BucketError):
        save_pair(replace(ports, bucket=_Broken(ports.settings.home / "bucket", written)), nova, _pair(), audio)
    assert rows(ports, "select id from training_items") == []
    assert len(keys(ports.bucket)) == written
    [report] = prune(ports, keep=1, grace_hours=24)
    assert (len(keys(ports.bucket)), report.foreign) == (written, [])
    [report] = prune(ports, keep=1, grace_hours=0)
    assert (keys(ports.bucket), len(report.leftovers)) == ([], written)
    item = save_pair(ports, nova, _pair(), audio)
    prune(ports, keep=1, grace_hours=0)
    assert len(keys(ports.bucket)) == 2
    assert _row(ports, item)["status"] == "ready"


def test_ids_of_saved_pairs_are_told_from_everybody_else_s(ports: Ports, nova: Artist, audio: Path) -> None:
    item = save_pair(ports, nova, _pair(), audio)
    assert (item.version, item.variant) == (8, uuid.RFC_4122)
    assert is_saved_pairs_id(item)
    assert not is_saved_pairs_id(uuid.uuid4())
    assert datetime.now(UTC) - _row(ports, item)["created_at"] < timedelta(minutes=5)
