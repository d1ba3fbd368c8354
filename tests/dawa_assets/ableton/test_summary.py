from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.ableton.naming import unique_names
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary import AlsSummary
from dawa_assets.ableton.summary_builder import summarise
from tests.dawa_assets.ableton.als_factory import SetSpec, TrackSpec, plugin, sampler, write_als

# What the specification's interface asks for.
INTERFACE = {
    "als_stem",
    "als_filename",
    "project_name",
    "project_folder",
    "artist_name",
    "overview",
    "plugin_usage",
    "plugins_by_track",
    "sample_index",
    "track_breakdown",
    "track_hierarchy",
    "genre_indicators",
}
ADDED = {"live_version", "length_bars", "locators", "tempo_changes", "scale", "main_plugins"}


def _summary(folder: Path, spec: SetSpec, project_folder: str = "") -> AlsSummary:
    live_set = read_live_set(write_als(folder, spec))
    return summarise(live_set, als_filename="My Song.als", project_folder=project_folder, artist_name="Ada")


def test_every_field_of_the_interface_is_there(tmp_path: Path) -> None:
    fields = _summary(tmp_path, SetSpec()).model_dump(mode="json")
    assert set(fields) >= INTERFACE | ADDED
    assert set(fields["overview"]) == {
        "tempo",
        "time_signature",
        "midi_tracks",
        "audio_tracks",
        "group_tracks",
        "return_tracks",
        "total_tracks",
    }
    (details,) = fields["track_breakdown"].values()
    interface = {"type", "clips", "group", "devices", "plugins", "sample_files", "has_automation"}
    assert set(details) >= interface | {"muted", "sounding", "active_clips", "notes", "pads", "samples_in_use"}


@pytest.mark.parametrize(("folder", "project"), [("Summer Project", "Summer Project"), ("", "My Song")])
def test_the_project_is_the_folder_or_else_the_stem(tmp_path: Path, folder: str, project: str) -> None:
    summary = _summary(tmp_path, SetSpec(), project_folder=folder)
    assert (summary.project_name, summary.project_folder) == (project, folder)
    assert (summary.als_stem, summary.als_filename, summary.artist_name) == ("My Song", "My Song.als", "Ada")


@pytest.mark.parametrize(("written", "told"), [("120.000679", 120.0), ("86.2226257", 86.22), ("174", 174.0)])
def test_the_tempo_has_at_most_two_decimals(tmp_path: Path, written: str, told: float) -> None:
    assert _summary(tmp_path, SetSpec(tempo=written)).overview.tempo == told


def test_a_repeated_name_gets_a_number_wherever_it_is_a_key(tmp_path: Path) -> None:
    devices = [plugin("One"), sampler(12, "Kick.wav"), plugin("Two") + sampler(12, "Kick.wav")]
    tracks = [TrackSpec(id=str(i), name="Bass", devices=each) for i, each in enumerate(devices)]
    summary = _summary(tmp_path, SetSpec(tracks=tracks))
    assert list(summary.track_breakdown) == ["Bass", "Bass (2)", "Bass (3)"]
    assert summary.plugins_by_track == {"Bass": ["One"], "Bass (3)": ["Two"]}
    assert summary.sample_index["Kick.wav"].tracks == ["Bass (2)", "Bass (3)"]
    assert [entry.name for entry in summary.track_hierarchy] == ["Bass", "Bass (2)", "Bass (3)"]


def test_a_number_that_another_track_bears_is_not_free() -> None:
    assert unique_names(["a", "a", "a (2)", "a", "b"]) == ["a", "a (3)", "a (2)", "a (4)", "b"]


@given(st.lists(st.sampled_from(["a", "a (2)", "a (2) (2)", "b", ""])))
def test_names_become_unique_and_first_ones_stay(names: list[str]) -> None:
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    for index, name in enumerate(names):
        assert unique[index].startswith(name)
        assert unique[index] == name or name in names[:index]


def test_many_tracks_of_one_name_take_no_time() -> None:
    assert unique_names(["x"] * 50_000)[-1] == "x (50000)"


def test_the_hierarchy_lists_descendants_under_their_top_group(tmp_path: Path) -> None:
    tracks = [
        TrackSpec(tag="GroupTrack", id="1", name="Drums"),
        TrackSpec(tag="GroupTrack", id="2", name="Tops", group="1"),
        TrackSpec(tag="AudioTrack", id="3", name="Hat", group="2"),
        TrackSpec(id="4", name="Bass"),
        TrackSpec(tag="GroupTrack", id="5", name="Empty"),
        TrackSpec(tag="ReturnTrack", id="6", name="Reverb"),
    ]
    fields = _summary(tmp_path, SetSpec(tracks=tracks)).model_dump(mode="json")
    assert fields["track_hierarchy"] == [
        {
            "name": "Drums",
            "type": "Group",
            "index": 0,
            "level": 0,
            "children": [
                {"name": "Tops", "type": "Group", "index": 1, "level": 1},
                {"name": "Hat", "type": "Audio", "index": 2, "level": 2},
            ],
        },
        {"name": "Bass", "type": "MIDI", "index": 3, "level": 0},
        {"name": "Empty", "type": "Group", "index": 4, "level": 0, "children": []},
    ]
    assert {name: details["group"] for name, details in fields["track_breakdown"].items()} == {
        "Hat": "Tops",
        "Bass": None,
    }


def test_plugins_of_groups_returns_and_main_are_counted(tmp_path: Path) -> None:
    tracks = [
        TrackSpec(tag="GroupTrack", id="1", name="Bus", devices=plugin("Glue")),
        TrackSpec(id="2", name="Lead", group="1", devices=plugin("Synth") + plugin("Synth") + plugin("Glue")),
        TrackSpec(tag="ReturnTrack", id="3", name="Space", devices=plugin("Reverb")),
    ]
    summary = _summary(tmp_path, SetSpec(tracks=tracks, main_devices=plugin("Limiter")))
    assert summary.plugin_usage == {"Glue": 2, "Synth": 2, "Limiter": 1, "Reverb": 1}
    assert summary.plugins_by_track == {"Bus": ["Glue"], "Lead": ["Synth", "Synth", "Glue"], "Space": ["Reverb"]}
    assert summary.main_plugins == ["Limiter"]
    assert summary.track_breakdown["Lead"].plugins == ["Synth", "Synth", "Glue"]
    assert list(summary.track_breakdown) == ["Lead"]


def test_locators_come_in_order_with_their_bar(tmp_path: Path) -> None:
    summary = _summary(tmp_path, SetSpec(signature="303", locators=[(7, "Drop"), (0, "Intro")]))
    assert [(each.name, each.time, each.bar) for each in summary.locators] == [("Intro", 0, 1), ("Drop", 7, 3)]


@pytest.mark.parametrize(
    ("name", "indicators"),
    [
        ("Deep_House-Idea", ['deep house: track "Deep_House-Idea"', 'house: track "Deep_House-Idea"']),
        ("Deep_House-Chords", []),
        ("Jazz Guitar", []),
        ("House Piano 2", []),
        ("Techno Kick", []),
        ("DnB reese", ['drum and bass: track "DnB reese"']),
        ("Powerhouse", []),
        ("A-Reverb", []),
        ("Trapdoor FX", []),
    ],
)
def test_a_genre_is_only_named_with_its_evidence(tmp_path: Path, name: str, indicators: list[str]) -> None:
    assert _summary(tmp_path, SetSpec(tracks=[TrackSpec(name=name)])).genre_indicators == indicators
