"""Pairs that the dashboard saves: taken in as they are, beside the pipeline's own."""

import hashlib
import io
import zipfile
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dawa_assets.datasets.build import DatasetReport, build_dataset
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import ItemsReport, update_training_items
from dawa_assets.observability.assets import consistency_of
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.datasets import artists_whose_dataset_would_differ
from resources.ports import Ports
from tests.coexistence.dashboard import TEXT, export, parsed_by_its_parser, save
from tests.dawa_assets.intake.material import als, content, drop, keys, new_artist, rows, wav


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


def _chain(ports: Ports) -> tuple[ItemsReport, DatasetReport]:
    take_in_live_sets(ports, "nova")
    refresh_prompts(ports, "nova")
    return update_training_items(ports, "nova"), build_dataset(ports, "nova")


def _item(ports: Ports, item: UUID) -> dict[str, Any]:
    return rows(ports, "select * from training_items where id = %s", item)[0]


def _tracks(ports: Ports, report: DatasetReport) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content(ports.bucket, report.storage_path or ""))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _objects(ports: Ports) -> dict[str, tuple[bytes, object]]:
    return {stored.key: (content(ports.bucket, stored.key), stored.modified) for stored in ports.bucket.list("")}


def test_several_saved_pairs_of_one_set_enter_the_dataset_as_is(ports: Ports, nova: Artist) -> None:
    summary = parsed_by_its_parser(ports, nova)
    first = save(ports, nova, summary, audio=wav(200, seconds=1.5), text=TEXT)
    second = save(ports, nova, summary, audio=wav(300), text="Another take.\nBPM: 124")
    theirs = _objects(ports)
    _, dataset = _chain(ports)
    assert [track.prompt for track in dataset.tracks] == [TEXT, "Another take.\nBPM: 124"]
    item = _item(ports, first)
    assert (item["status"], item["item_key"], item["als_filename"]) == ("exported", None, None)
    assert (item["audio_format"], item["audio_duration_seconds"]) == ("wav", 1.5)  # what its bytes say, not its name
    assert item["audio_hash"] == hashlib.sha256(wav(200, seconds=1.5)).hexdigest()
    origins = rows(ports, "select p.origin, p.text from training_items t join prompts p on p.id = t.prompt_id")
    assert {row["origin"] for row in origins} == {"human"}
    assert {item["id"] for item in rows(ports, "select id from training_items")} == {first, second}
    now = _objects(ports)
    assert {key: now[key] for key in theirs} == theirs  # not even written again


def test_a_pair_without_a_summary_is_built_into_the_dataset(ports: Ports, nova: Artist) -> None:
    saved = save(ports, nova)
    with ports.database.transaction() as connection:
        assert artists_whose_dataset_would_differ(connection) == ["nova"]
    assert build_dataset(ports, "nova").item_count == 1
    assert _item(ports, saved)["status"] == "exported"
    with ports.database.transaction() as connection:
        assert artists_whose_dataset_would_differ(connection) == []


@pytest.mark.parametrize("with_update", [True, False])
def test_a_pair_with_missing_or_wrong_audio_fails_alone(ports: Ports, nova: Artist, with_update: bool) -> None:
    good = save(ports, nova, audio=wav(200))
    gone, wrong = save(ports, nova, audio=wav(300)), save(ports, nova, audio=b"a picture, say")
    ports.bucket.delete([f"artists/nova/training/{gone}/audio.mp3"])
    if with_update:
        update_training_items(ports, "nova")
    dataset = build_dataset(ports, "nova")
    assert [track.item for track in dataset.tracks] == [str(good)]
    assert _item(ports, gone)["status"] == _item(ports, wrong)["status"] == "failed"
    assert _item(ports, gone)["error"].endswith("is gone from the bucket; upload the bounce again")
    assert "audio" in _item(ports, wrong)["error"]
    ports.bucket.put(f"artists/nova/training/{gone}/audio.mp3", wav(300))
    update_training_items(ports, "nova")
    assert build_dataset(ports, "nova").item_count == 2


def test_a_text_saved_only_in_the_file_counts_as_human(ports: Ports, nova: Artist) -> None:
    summary = parsed_by_its_parser(ports, nova)
    saved = save(ports, nova, summary, text=None, text_in_file="\ufeffFrom the file.\nBPM: 124\n")
    empty = save(ports, nova, summary, audio=wav(300), text=None)
    _, dataset = _chain(ports)
    item = _item(ports, saved)
    assert item["prompt_text"] == "From the file.\nBPM: 124"
    assert (item["model_name"], item["system_prompt_version"]) == ("gpt-4o-mini", "train-v1")  # as the dashboard said
    written = _item(ports, empty)["prompt_text"]
    assert written.endswith("BPM: 124")
    assert [track.prompt for track in dataset.tracks] == ["From the file.\nBPM: 124", written]
    origins = rows(ports, "select t.id, p.origin from training_items t join prompts p on p.id = t.prompt_id")
    assert {row["id"]: row["origin"] for row in origins} == {saved: "human", empty: "model"}


def test_the_row_overrides_the_file_whose_text_is_kept(ports: Ports, nova: Artist) -> None:
    saved = save(ports, nova, text="What the row says.\nBPM: 124", text_in_file="What the file said.\nBPM: 124")
    _chain(ports)
    assert content(ports.bucket, f"artists/nova/training/{saved}/prompt.txt") == b"What the row says.\nBPM: 124"
    texts = {row["text"] for row in rows(ports, "select text from prompts where origin = 'human'")}
    assert texts == {"What the row says.\nBPM: 124", "What the file said.\nBPM: 124"}


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_ready_pair_without_any_text_waits_for_one(ports: Ports, nova: Artist, text: str | None) -> None:
    saved = save(ports, nova, text=text)
    report, dataset = _chain(ports)
    assert (_item(ports, saved)["status"], report.items, dataset.state) == (
        "needs_prompt",
        {"needs_prompt": 1},
        "nothing ready",
    )


def test_ours_and_theirs_of_one_set_live_side_by_side(ports: Ports, nova: Artist) -> None:
    saved = save(ports, nova, parsed_by_its_parser(ports, nova, "song.als"), audio=wav(200))
    drop(ports, "nova", {"Song/song.als": als(124), "Song/song.wav": wav(300)})
    _, dataset = _chain(ports)
    assert {track.item for track in dataset.tracks} == {str(saved), "Song/song"}
    theirs = _item(ports, saved)
    assert (theirs["prompt_text"], theirs["audio_path"]) == (TEXT, f"artists/nova/training/{saved}/audio.mp3")


def test_a_bounce_never_takes_the_place_of_audio_that_they_saved(ports: Ports, nova: Artist) -> None:
    drop(ports, "nova", {"Song/song.als": als(124)})
    take_in_live_sets(ports, "nova")
    [summary] = rows(ports, "select id from als_summaries")
    saved = save(ports, nova, summary["id"], audio=wav(200))
    with ports.database.transaction() as connection:
        connection.execute("update training_items set als_filename = 'song.als' where id = %s", [saved])
    drop(ports, "nova", {"song.wav": wav(300)})
    report, _ = _chain(ports)
    assert report.paired == [("song.wav", "Song/song")]
    assert content(ports.bucket, f"artists/nova/training/{saved}/audio.mp3") == wav(200)


def test_uploading_a_set_adds_an_item_beside_its_saved_pair(ports: Ports, nova: Artist) -> None:
    drop(ports, "nova", {"Song/song.als": als(124)})
    take_in_live_sets(ports, "nova")
    [summary] = rows(ports, "select id from als_summaries")
    saved = save(ports, nova, summary["id"], audio=wav(200))
    with ports.database.transaction() as connection:
        connection.execute("delete from training_items where item_key is not null")
    drop(ports, "nova", {"Song/song.als": als(124), "Song/song.wav": wav(300)})
    report, dataset = _chain(ports)
    assert report.paired == [("song.wav", "Song/song")]
    assert {track.item for track in dataset.tracks} == {str(saved), "Song/song"}


def test_identical_audio_enters_once_with_the_latest_human_text(ports: Ports, nova: Artist) -> None:
    drop(ports, "nova", {"Song/song.als": als(124), "Song/song.wav": wav(200)})
    _, alone = _chain(ports)
    assert [track.item for track in alone.tracks] == ["Song/song"]
    saved = save(ports, nova, audio=wav(200))
    again = save(ports, nova, audio=wav(200), text="A later text.\nBPM: 124")
    _, dataset = _chain(ports)
    assert [(track.item, track.prompt) for track in dataset.tracks] == [(str(again), "A later text.\nBPM: 124")]
    assert [(each.item, each.by) for each in dataset.superseded] == [
        ("Song/song", str(again)),
        (str(saved), str(again)),
    ]
    assert [name for name in _tracks(ports, dataset) if name.endswith((".mp3", ".wav"))] == ["dataset/track-0001.wav"]
    with ports.database.transaction() as connection:
        assert artists_whose_dataset_would_differ(connection) == []
    assert build_dataset(ports, "nova", new_items_only=True).state == "nothing ready"


def test_the_dashboards_export_stays_and_its_items_are_included(ports: Ports, nova: Artist) -> None:
    saved = save(ports, nova)
    key = export(ports, nova)
    before = content(ports.bucket, key)
    _, dataset = _chain(ports)
    assert [track.item for track in dataset.tracks] == [str(saved)]
    assert _item(ports, saved)["status"] == "exported"
    assert content(ports.bucket, key) == before
    assert key in keys(ports.bucket)


def test_nothing_of_theirs_holds_up_the_chain(ports: Ports, nova: Artist) -> None:
    save(ports, nova, parsed_by_its_parser(ports, nova, "no tempo.als", summary={}))
    save(ports, nova, text="  ", audio=wav(300))
    save(ports, nova, audio=b"a picture, say")
    drop(ports, "nova", {"Song/song.als": als(124), "Song/song.wav": wav(300)})
    parsed_by_its_parser(ports, nova, "nor here.als", summary=[])
    export(ports, nova)
    _, dataset = _chain(ports)
    assert dataset.item_count == 2
    said = {asset: consistency_of(ports, "nova", asset) for asset in ("als_summaries", "prompts", "training_items")}
    assert [found.problems for found in said.values()] == [[], [], []]
    names = ("no tempo.als", "nor here.als")
    assert said["als_summaries"].warnings == [f"{name}: its summary has no tempo" for name in names]
    named = [line for line in said["training_items"].warnings if "it is called .mp3 and is WAV" in line]
    assert (len(named), len(said["training_items"].warnings)) == (2, 8)  # with what was found of the sound
    assert consistency_of(ports, "nova", "dataset_zip").problems == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example("Süß — 夜\nBPM: 1".encode())
@example(b"\xff\xfe\x00")
@example(b"a\x00b")
@example(b"x" * 70_000)
def test_whatever_their_file_holds_the_update_goes_on(ports: Ports, file: bytes) -> None:
    with ports.database.transaction() as connection:
        connection.execute("delete from artists")
    nova = new_artist(ports)
    saved = save(ports, nova, text=None)
    ports.bucket.put(f"artists/nova/training/{saved}/prompt.txt", file)
    refresh_prompts(ports, "nova")
    update_training_items(ports, "nova")
    item = _item(ports, saved)
    assert item["status"] == ("ready" if item["prompt_text"] else "needs_prompt")
    if item["prompt_text"]:
        assert item["prompt_text"] == file.decode("utf-8-sig").strip()
    else:
        assert content(ports.bucket, f"artists/nova/training/{saved}/prompt.txt") == file
