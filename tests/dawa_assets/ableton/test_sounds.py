"""Sets whose facts are right in the file and were once wrong in what was said of them: each stands for a kind."""

import json
from typing import Any

import pytest

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary import AlsSummary
from dawa_assets.ableton.summary_builder import summarise
from dawa_assets.errors import UnreadableLiveSetError
from tests.dawa_assets.prompting.material import message
from tests.shared_data import shared


def _summary(name: str) -> AlsSummary:
    path = shared("als-sounds", f"{name}.als")
    return summarise(read_live_set(path), als_filename=path.name, project_folder="", artist_name="")


def _track(summary: AlsSummary) -> dict[str, Any]:
    context = json.loads(message({}, summary.model_dump(mode="json")))
    return dict(context.get("track", {}))


def _instruments(summary: AlsSummary) -> list[str]:
    return [each for names in _track(summary).get("instruments", {}).values() for each in names]


@pytest.mark.parametrize("name", ["muted-track", "all-clips-of-a-track-deactivated"])
def test_what_is_muted_or_deactivated_is_not_said_to_play(name: str) -> None:
    summary = _summary(name)
    assert _instruments(summary) == ["piano"]
    assert (summary.layers, summary.length_bars, _track(summary)["bars"]) == (1, 16, 16)


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("drum-rack-only-the-hat-is-played", ["hi-hats"]),
        ("808-clap-is-no-bass", ["claps"]),
        ("effect-plugins-named-like-instruments", ["pads", "vocals"]),
        ("native-instrument-operator", ["synth"]),
    ],
)
def test_only_what_plays_is_named(name: str, heard: list[str]) -> None:
    assert _instruments(_summary(name)) == heard


def test_two_files_of_one_name_are_both_known() -> None:
    use = _summary("same-file-name-in-two-folders").sample_index["Kick.wav"]
    assert use.paths == ["../../Packs/A/Kick.wav", "../../Packs/B/Kick.wav"]
    assert use.path == use.paths[0]


def test_the_tempo_is_the_one_that_is_played() -> None:
    assert _summary("tempo-automation-flat-128-manual-120").overview.tempo == 128
    assert _summary("scene-tempo-174").overview.tempo == 174


def test_bars_and_locators_follow_changes_of_time_signature() -> None:
    summary = _summary("ts-changes-4-4_3-4_7-8")
    assert summary.length_bars == 24
    assert [locator.bar for locator in summary.locators] == [1, 9, 17, 25]
    assert [(each.time, each.bar, each.time_signature) for each in summary.time_signature_changes] == [
        (0, 1, "4/4"),
        (32, 9, "3/4"),
        (56, 17, "7/8"),
    ]


@pytest.mark.parametrize(("number", "name"), [(2, "Dorian"), (11, "Minor Pentatonic")])
def test_scales_that_live_numbers_have_their_names(number: int, name: str) -> None:
    summary = _summary(f"scale-live12-A-number-{number}")
    assert summary.scale is not None
    assert (summary.scale.root, summary.scale.name, _track(summary)["key"]) == ("A", name, f"A {name.lower()}")


def test_lives_own_instrument_is_named() -> None:
    assert [each["instruments"] for each in _track(_summary("native-instrument-operator"))["tracks"]] == [["Operator"]]


def test_a_max_device_on_the_main_track_is_listed() -> None:
    assert _summary("m4l-on-main").main_max_devices == ["Tape Wobble.amxd"]


def test_a_control_character_in_a_name_is_replaced_and_reported() -> None:
    summary = _summary("control-character-reference")
    assert "Bell \ufffdx" in summary.track_breakdown
    assert summary.warnings == ["2 unusable character references replaced"]


def test_a_git_lfs_pointer_says_what_it_is() -> None:
    with pytest.raises(UnreadableLiveSetError, match="Git LFS"):
        read_live_set(shared("als-sounds", "git-lfs-pointer.als"))
