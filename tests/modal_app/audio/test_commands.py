"""`dawa segment` and `dawa tag` as a user meets them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.command_line import dawa
from tests.modal_app.audio.conftest import synthesise

Music = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("track") / "a [track].wav"
    soundfile.write(path, synthesise(48_000 * 36, 2, rate=48_000), 48_000)
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.mp3"
    path.write_text("no music\n" * 500)
    return path


def test_segment_writes_segments_and_prints_their_manifest(track: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    run = dawa("segment", track, "--out", out, "--json")
    assert run.returncode == 0, run.stderr
    manifest = json.loads(run.stdout)
    assert manifest == json.loads((out / "manifest.json").read_text())
    assert [part["samples"] for part in manifest["segments"]] == [661_500, 661_500, 6 * 44_100]
    assert {path.name for path in out.iterdir()} == {
        "manifest.json",
        "seg_0000.wav",
        "seg_0001.wav",
        "seg_0002.wav",
    }


def test_segment_replaces_its_own_files_and_no_others(track: Path, tmp_path: Path, music: Music) -> None:
    out = tmp_path / "out"
    dawa("segment", track, "--out", out)
    (out / "mine.wav").write_bytes(b"mine")
    first = (out / "seg_0000.wav").read_bytes()
    assert dawa("segment", track, "--out", out).returncode == 0
    assert (out / "seg_0000.wav").read_bytes() == first
    short = tmp_path / "short.wav"
    soundfile.write(short, music(44_100), 44_100)
    run = dawa("segment", short, "--out", out)
    assert "1 segment in" in run.stdout
    assert {path.name for path in out.iterdir()} == {"manifest.json", "mine.wav", "seg_0000.wav"}


def test_a_refused_file_changes_nothing_and_costs_one_line(track: Path, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    dawa("segment", track, "--out", out)
    before = sorted(path.name for path in out.iterdir())
    run = dawa("segment", text, "--out", out)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines() == [
        "dawa: text.mp3: it is in no audio format that can be read; export it again as WAV, AIFF, FLAC or MP3"
    ]
    assert sorted(path.name for path in out.iterdir()) == before
    blocked = dawa("segment", track, "--out", text)
    assert blocked.returncode == 2
    assert len(blocked.stderr.splitlines()) == 1
    assert not dawa("segment", text, "--out", tmp_path / "never made").stdout
    assert not (tmp_path / "never made").exists()


def test_tag_describes_every_segment_and_names_unreadable_files(track: Path, text: Path, tmp_path: Path) -> None:
    run = dawa("tag", track, text, tmp_path / "missing.wav", "--json", "--bpm", "124")
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert "text.mp3: " in run.stderr
    assert "missing.wav: " in run.stderr
    (described,) = json.loads(run.stdout)
    assert described["file"] == str(track)
    assert [part["start_seconds"] for part in described["segments"]] == [0, 15, 30]
    for part in described["segments"]:
        assert part["hint"] == "bpm=124"
        assert part["tags"]["tempo"] == "124 BPM, not confirmed by the audio"
        assert "\n" not in part["text"]


def test_tag_prints_a_line_for_each_segment(track: Path) -> None:
    run = dawa("tag", track)
    assert (run.returncode, run.stderr) == (0, "")
    assert len(run.stdout.splitlines()) == 4
    assert run.stdout.splitlines()[0] == "a [track].wav"


@pytest.mark.parametrize("bpm", ["0", "-3", "nan", "1e9", "fast"])
def test_an_impossible_tempo_is_refused(track: Path, bpm: str) -> None:
    assert dawa("tag", track, f"--bpm={bpm}").returncode == 2
