import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.command_line import dawa
from tests.dawa_assets.ableton.als_factory import SetSpec, TrackSpec, plugin, write_als
from tests.shared_data import shared, shared_names


def _dawa_als(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return dawa("als", *arguments, cwd=folder, env=os.environ | {"COLUMNS": "160"})


@pytest.fixture
def als(tmp_path: Path) -> Path:
    folder = tmp_path / "Night Project"
    folder.mkdir()
    tracks = [
        TrackSpec(tag="GroupTrack", id="1", name="Drums [bold]"),
        TrackSpec(id="2", name="Kick", group="1", clips=[(0, 64, "a")], devices=plugin("Püncher")),
    ]
    return write_als(folder, SetSpec(tracks=tracks, locators=[(16, "Drop")]), "Night.als")


def test_json_is_the_summary(als: Path) -> None:
    done = _dawa_als(als, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["als_filename"], summary["project_folder"]) == ("Night.als", "Night Project")
    assert summary["plugin_usage"] == {"Püncher": 1}
    assert "Püncher" in done.stdout


def test_several_files_give_an_array(als: Path) -> None:
    done = _dawa_als(als, als, "--json")
    assert [each["als_stem"] for each in json.loads(done.stdout)] == ["Night", "Night"]


def test_the_table_shows_the_set_to_a_person(als: Path) -> None:
    done = _dawa_als(als)
    assert done.returncode == 0, done.stderr
    for words in ("Night.als", "120 BPM", "4/4", "16 bars", "Drums [bold]", "  Kick", "Püncher", "Drop (5)"):
        assert words in done.stdout


def test_png_draws_to_a_file_or_into_a_folder(als: Path, tmp_path: Path) -> None:
    assert _dawa_als(als, "--png", tmp_path / "one.png").returncode == 0
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    other = write_als(tmp_path, SetSpec(), "Night.als")
    assert _dawa_als(als, other, "--png", pictures, "--json").returncode == 0
    assert sorted(path.name for path in pictures.iterdir()) == ["Night (2).png", "Night.png"]
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_a_refused_file_is_one_line_and_the_others_go_on(als: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.als"
    bad.write_bytes(b"no set")
    done = _dawa_als(bad, als, tmp_path / "missing.als", "--json")
    assert done.returncode == 2
    assert [each["als_stem"] for each in json.loads(done.stdout)] == ["Night"]
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [["dawa", "bad.als"], ["dawa", "missing.als"]]


@pytest.mark.parametrize("out", ["nowhere/x.png", "pictures/none"])
def test_a_place_that_can_not_be_drawn_to_is_one_line(als: Path, out: str) -> None:
    done = _dawa_als(als, "--png", out, folder=als.parent)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_each_refused_file_of_the_manifest_exits_2_with_one_line() -> None:
    names = shared_names("als-bad", "*.als")
    done = _dawa_als(*(shared("als-bad", name) for name in names), "--json") if names else pytest.skip("no shared data")
    assert done.returncode == 2
    accepted = [each["als_stem"][:2] for each in json.loads(done.stdout)]
    assert accepted == ["25", "26", "27", "28", "31"]
    lines = [line for line in done.stderr.splitlines() if line.startswith("dawa: ")]
    assert [line.removeprefix("dawa: ")[:2] for line in lines] == [n[:2] for n in names if n[:2] not in accepted]
    assert "Traceback" not in done.stderr
