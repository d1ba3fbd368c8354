"""Every real set against the facts that were established about it in two independent ways."""

import json
from pathlib import Path
from typing import Any

import pytest

from dawa_assets.ableton.live_set import LiveSet, Scale
from dawa_assets.ableton.naming import unique_names
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary import AlsSummary
from dawa_assets.ableton.summary_builder import summarise
from tests.shared_data import shared, shared_names

pytestmark = pytest.mark.skipif(not shared_names("als", "*.als"), reason="the shared test data is absent")

# Where automation moves the tempo: what it is for most of the time that anything sounds, as against the manual one.
PLAYED = {"live9.7_dawtool_patch-2-0point": 175.0, "live8.1_dawtool_markers-auto": 160.0}
TYPES = {"midi_tracks": "MIDI", "audio_tracks": "Audio", "group_tracks": "Group", "return_tracks": "Return"}


@pytest.fixture(scope="module", params=shared_names("als/oracle", "*.json"))
def case(request: pytest.FixtureRequest) -> tuple[dict[str, Any], LiveSet, AlsSummary]:
    oracle = json.loads(shared("als", "oracle", request.param).read_text(encoding="utf-8"))
    path = shared("als", oracle["file"])
    live_set = read_live_set(path)
    summary = summarise(live_set, als_filename=path.name, project_folder="A Project", artist_name="An Artist")
    return oracle, live_set, summary


def test_the_overview_agrees(case: tuple[dict[str, Any], LiveSet, AlsSummary]) -> None:
    oracle, live_set, summary = case
    assert live_set.tempo == oracle["tempo"]
    assert summary.overview.model_dump() == {
        "tempo": PLAYED.get(Path(oracle["file"]).stem, round(oracle["tempo"], 2)),
        **{key: oracle[key] for key in ("time_signature", *TYPES, "total_tracks")},
    }
    assert summary.live_version == oracle["live_version"]


def test_all_track_properties_agree_with_the_oracle(
    case: tuple[dict[str, Any], LiveSet, AlsSummary],
) -> None:
    oracle, live_set, _ = case
    assert len(live_set.tracks) == len(oracle["tracks"])
    for track, known in zip(live_set.tracks, oracle["tracks"], strict=True):
        assert (track.id, track.type, track.level) == (known["id"], known["type"], known["level"])
        assert track.name == known["name"] or not known["name"]
        group = None if track.group is None else live_set.tracks[track.group].name
        assert (group is None) == (known["group"] is None)
        assert group == known["group"] or not (known["group"] or "").strip()
        assert (len(track.arrangement_clips), len(track.session_clips)) == (known["arr"], known["ses"])
        assert sum(device.level == 0 for device in track.devices) == known["devices_top"]
        assert len(track.devices) == known["devices_all"]
        assert [[plugin.format, plugin.name] for plugin in track.plugins] == known["plugins"]
        assert list(track.max_patches) == known["m4l"]
        assert sorted({sample.name for sample in track.samples}) == sorted(set(known["samples"]))
        assert track.automated_parameters == known["automation_envelopes"]


def test_plugins_samples_clips_locators_and_length_agree(
    case: tuple[dict[str, Any], LiveSet, AlsSummary],
) -> None:
    oracle, live_set, summary = case
    assert summary.plugin_usage == oracle["plugin_usage"]
    assert summary.main_plugins == [name for _, name in oracle["main_plugins"]]
    assert sorted(summary.sample_index) == sorted(oracle["sample_names"])
    assert (summary.arrangement_clips, summary.session_clips) == (oracle["arrangement_clips"], oracle["session_clips"])
    assert [{"time": each.time, "name": each.name} for each in live_set.locators] == oracle["locators"]
    assert live_set.arrangement_beats == oracle["arrangement_end_beats"]
    assert live_set.length_beats <= live_set.arrangement_beats
    assert len(summary.tempo_changes) == oracle["tempo_points"]
    assert len(summary.scenes) == oracle["scenes"]


def test_no_track_is_lost_where_its_name_is_a_key(case: tuple[dict[str, Any], LiveSet, AlsSummary]) -> None:
    oracle, live_set, summary = case
    names = unique_names([track.name for track in live_set.tracks])
    assert len(set(names)) == oracle["total_tracks"]
    assert len(summary.track_breakdown) == oracle["midi_tracks"] + oracle["audio_tracks"]
    listed = [entry.name for entry in summary.track_hierarchy]
    listed += [child.name for entry in summary.track_hierarchy for child in entry.children or ()]
    assert sorted(listed) == sorted(
        name for name, track in zip(names, live_set.tracks, strict=True) if track.type != "Return"
    )
    users = {name for use in summary.sample_index.values() for name in use.tracks}
    assert users | set(summary.plugins_by_track) <= set(names)


def test_the_summary_is_json_without_nan(case: tuple[dict[str, Any], LiveSet, AlsSummary]) -> None:
    _, _, summary = case
    again = json.loads(json.dumps(summary.model_dump(mode="json"), allow_nan=False))
    assert AlsSummary.model_validate(again) == summary


def test_the_scale_is_the_one_that_was_chosen(case: tuple[dict[str, Any], LiveSet, AlsSummary]) -> None:
    oracle, live_set, summary = case
    chosen = {
        "live12.2_owenbush_broombap": (Scale("B", "Minor"), "in key"),
        "live11.3_owenbush_fascination": (Scale("C#", "Minor"), "chosen"),
    }
    scale, origin = chosen.get(Path(oracle["file"]).stem, (None, "notes"))
    assert live_set.scale == scale
    assert summary.scale is None or summary.scale.origin == origin
