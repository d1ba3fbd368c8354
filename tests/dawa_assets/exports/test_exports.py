"""Datasets for other trainers: what their files say, on real datasets, and that a folder is whole or not there."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.datasets.build import build_dataset
from dawa_assets.errors import UnknownArtistError
from dawa_assets.exports.export import export_dataset
from dawa_assets.exports.formats import (
    Described,
    ace_step_manifest,
    audiocraft_info,
    audiocraft_line,
    audiofolder_line,
    sidecars,
)
from dawa_assets.segments.tag import tag_segments
from dawa_assets.tables.datasets import ExportedTrack
from modal_app.errors import DawaError, InputError
from resources.ports import Ports
from tests.dawa_assets.training.catalogue import Catalogue, open_catalogue, tone

AUDIO = {"Night": tone(16, 220), "Dawn": tone(5, 330, rate=44_100)}


@pytest.fixture
def catalogue(ports: Ports) -> Catalogue:
    made = open_catalogue(ports, f"Ärtist {uuid4().hex[:8]}")
    made.add("Night Project/Night", AUDIO["Night"], "Dark dub — süß.\nBPM: 120")
    made.add("Dawn Project/Dawn", AUDIO["Dawn"], "Bright house.", bpm=124.5)
    build_dataset(ports, made.slug)
    return made


def folders(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def test_ace_step_gets_one_manifest_and_no_stray_text_files(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.sql(
        "update als_summaries set summary = jsonb_set(summary, '{overview,time_signature}', '\"3/4\"') "
        "where artist_id = %s and als_filename like 'Night%%'",
        catalogue.artist.id,
    )
    report = export_dataset(catalogue.ports, catalogue.slug, "ace-step", tmp_path / "out")

    assert folders(tmp_path / "out") == ["audio", "dataset.json"]
    assert folders(tmp_path / "out" / "audio") == ["track-0001.wav", "track-0002.wav"]
    content = json.loads(report.manifest.read_text("utf-8"))
    assert content["metadata"]["num_samples"] == report.tracks == 2
    by_caption = {sample["caption"]: sample for sample in content["samples"]}
    night, dawn = by_caption["Dark dub — süß."], by_caption["Bright house."]
    assert (night["bpm"], night["timesignature"], night["duration"]) == (120, "3", 16.0)
    assert (dawn["bpm"], dawn["timesignature"], dawn["duration"]) == (124, "", 5.0)
    for sample, audio in ((night, AUDIO["Night"]), (dawn, AUDIO["Dawn"])):
        assert Path(sample["audio_path"]).read_bytes() == audio
        assert (sample["lyrics"], sample["is_instrumental"], sample["labeled"]) == ("[Instrumental]", True, True)


def test_audiocraft_reads_a_line_and_a_file_for_each_track(catalogue: Catalogue, tmp_path: Path) -> None:
    tag_segments(catalogue.ports, catalogue.slug)
    report = export_dataset(catalogue.ports, catalogue.artist.name, "audiocraft", tmp_path / "out")

    lines = [json.loads(line) for line in report.manifest.read_text("utf-8").splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert set(line) == {"path", "duration", "sample_rate", "amplitude", "weight", "info_path"}
        found = soundfile.info(line["path"])
        assert (line["duration"], line["sample_rate"]) == (found.duration, found.samplerate)
        info = json.loads(Path(line["path"]).with_suffix(".json").read_text("utf-8"))
        required = {"title", "artist", "name", "description", "key", "bpm", "genre", "moods", "instrument"}
        assert required <= set(info)
        assert info["artist"] == catalogue.artist.name
        assert info["title"] in AUDIO
        assert "BPM" not in info["description"]
        assert info["keywords"]


def test_audiofolder_has_a_line_of_one_shape_for_each_track(catalogue: Catalogue, tmp_path: Path) -> None:
    report = export_dataset(catalogue.ports, catalogue.slug, "audiofolder", tmp_path / "out")
    moved = (tmp_path / "out").rename(tmp_path / "elsewhere")  # nothing in it names where it lies

    assert (report.manifest.name, folders(moved)) == ("metadata.jsonl", ["audio", "metadata.jsonl"])
    lines = [json.loads(line) for line in (moved / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert {(moved / line["file_name"]).read_bytes() for line in lines} == set(AUDIO.values())
    (keys,) = {tuple(line) for line in lines}
    assert keys[:2] == ("file_name", "text")
    assert {(line["title"], line["text"], line["bpm"], line["duration"]) for line in lines} == {
        ("Night", "Dark dub — süß.", 120.0, 16.0),
        ("Dawn", "Bright house.", 124.5, 5.0),
    }
    assert all(isinstance(line[name], float) for line in lines for name in ("bpm", "duration"))


def test_sidecars_are_three_files_beside_each_track(catalogue: Catalogue, tmp_path: Path) -> None:
    report = export_dataset(catalogue.ports, catalogue.slug, "sidecar", tmp_path / "out")

    assert (report.manifest, folders(tmp_path / "out")) == (tmp_path / "out" / "audio", ["audio"])
    assert report.audio_bytes == sum(map(len, AUDIO.values()))
    assert len(folders(report.manifest)) == 2 * 4
    known = {}
    for track in ("track-0001", "track-0002"):
        content = json.loads((report.manifest / f"{track}.json").read_text("utf-8"))
        known[content["title"]] = content
        assert (report.manifest / f"{track}.txt").read_text("utf-8") == content["caption"] + "\n"
        assert (report.manifest / f"{track}.lyrics.txt").read_text("utf-8") == "[Instrumental]\n"
        assert (report.manifest / f"{track}.wav").read_bytes() == AUDIO[content["title"]]
    assert (known["Night"]["bpm"], known["Dawn"]["bpm"], known["Dawn"]["caption"]) == (120, 124, "Bright house.")


def test_the_dataset_is_exported_whatever_was_uploaded_since(catalogue: Catalogue, tmp_path: Path) -> None:
    (item,) = catalogue.sql("select id from training_items where item_key = 'Dawn Project/Dawn'")
    catalogue.replace_audio(item["id"], tone(3, 440))
    export_dataset(catalogue.ports, catalogue.slug, "ace-step", tmp_path / "out")
    exported = {hashlib.sha256(path.read_bytes()).digest() for path in (tmp_path / "out" / "audio").iterdir()}
    assert exported == {hashlib.sha256(audio).digest() for audio in AUDIO.values()}


def test_a_track_that_is_no_audio_is_left_out_and_named(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.add("Broken/Broken", b"no sound")
    build_dataset(catalogue.ports, catalogue.slug)
    report = export_dataset(catalogue.ports, catalogue.slug, "ace-step", tmp_path / "out")
    assert (report.tracks, [name for name, _ in report.left_out]) == (2, ["Broken"])
    assert str(tmp_path) not in report.left_out[0][1]
    assert len(folders(tmp_path / "out" / "audio")) == 2


def test_what_can_t_be_exported_is_one_line_and_leaves_nothing(catalogue: Catalogue, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        export_dataset(catalogue.ports, catalogue.slug, "ace-step", full)
    with pytest.raises(UnknownArtistError):
        export_dataset(catalogue.ports, "nobody", "ace-step", tmp_path / "out")
    empty = open_catalogue(catalogue.ports, f"Artist {uuid4().hex[:8]}")
    with pytest.raises(InputError, match="has no dataset yet"):
        export_dataset(catalogue.ports, empty.slug, "ace-step", tmp_path / "out")
    (row,) = catalogue.sql("select storage_path from datasets where artist_id = %s", catalogue.artist.id)
    catalogue.ports.bucket.delete([row["storage_path"]])
    with pytest.raises(InputError, match="not there any more"):
        export_dataset(catalogue.ports, catalogue.slug, "ace-step", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        export_dataset(catalogue.ports, catalogue.slug, "ace-step", tmp_path / "file" / "out")
    assert folders(tmp_path) == sorted({"file", "full", *(each for each in ("home",) if (tmp_path / each).exists())})
    assert folders(full) == ["mine.txt"]


def test_an_export_that_is_stopped_halfway_leaves_no_folder(catalogue: Catalogue, tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    class Bucket:
        def __getattr__(self, name: str) -> Any:
            if name == "fetch":
                raise Stopped
            return getattr(catalogue.ports.bucket, name)

    with pytest.raises(Stopped):
        export_dataset(replace(catalogue.ports, bucket=Bucket()), catalogue.slug, "ace-step", tmp_path / "out")  # type: ignore[arg-type]
    assert not [name for name in folders(tmp_path) if "out" in name]


def test_a_zip_with_another_track_is_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.sql("update dataset_items set audio_hash = repeat('0', 64) where position = 2")
    with pytest.raises(DawaError, match="track 2"):
        export_dataset(catalogue.ports, catalogue.slug, "audiocraft", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@given(
    st.text(), st.text(), st.none() | st.text(max_size=8), st.lists(st.text(), max_size=4),
    st.none() | st.floats(1, 1000),
)  # fmt: skip
def test_any_text_makes_files_that_can_be_read(
    prompt: str, key: str, signature: str | None, texts: list[str], bpm: float | None
) -> None:
    prompt = prompt.encode("utf-8", "replace").decode()
    track = ExportedTrack(1, key.encode("utf-8", "replace").decode(), "0" * 64, "mp3", prompt, bpm, signature)
    described = Described(track, Path("/out/audio/track-0001.mp3"), 1.5, 44_100, texts)

    (sample,) = json.loads(ace_step_manifest("artist", [described]))["samples"]
    line = audiocraft_line(described)

    assert sample["audio_path"] == json.loads(line)["path"] == "/out/audio/track-0001.mp3"
    assert sample["timesignature"] in ("", "2", "3", "4", "6")
    assert line.count("\n") == 1
    assert json.loads(audiocraft_info("artist", described))["bpm"] in ("", bpm, described.bpm)
    folder_line = audiofolder_line(described)
    assert folder_line.count("\n") == 1
    assert json.loads(folder_line)["file_name"] == "audio/track-0001.mp3"
    assert json.loads(sidecars(described)[".json"])["caption"] == described.caption


def test_key_and_keywords_are_those_that_most_segments_have() -> None:
    texts = ["driving, 122 BPM, A minor, bright", "driving, A minor", "driving, C major, dark", "calm"]
    track = ExportedTrack(1, "Night", "0" * 64, "mp3", "Dub.", None, None)
    described = Described(track, Path("/x/track-0001.mp3"), 1.0, 44_100, texts)
    assert described.key == "A minor"
    assert described.keywords == ["driving"]
    assert replace(described, texts=texts[1:3]).key is None
    assert replace(described, texts=[]).keywords == []
