"""Kinds of sets that were once described wrongly, each in several shapes: other versions of Live, nesting, order.

`test_sounds.py` has one real-looking file of each kind; these are generated. What else is asked of mutes and routing,
of notes and pads, and of scales is in files of their own.
"""

import itertools
import json
from pathlib import Path

import pytest

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary import AlsSummary
from dawa_assets.ableton.summary_builder import summarise
from tests.dawa_assets.ableton.als_factory import (
    SetSpec,
    TrackSpec,
    drum_rack,
    every_version,
    max_device,
    midi_clip,
    pad,
    plugin,
    rack,
    sample_ref,
    sampler,
    switch,
    value,
    write_als,
)
from tests.dawa_assets.prompting.material import message

_LONG = [(0, 64, "")]


def _summary(folder: Path, tracks: list[TrackSpec], version: int = 12, **more: object) -> AlsSummary:
    spec = SetSpec(version=version, tracks=tracks, **more)  # type: ignore[arg-type]
    return summarise(read_live_set(write_als(folder, spec)), als_filename="a.als", project_folder="", artist_name="")


def _instruments(summary: AlsSummary) -> set[str]:
    context = json.loads(message({}, summary.model_dump(mode="json")))
    return {each for names in context.get("track", {}).get("instruments", {}).values() for each in names}


@every_version
@pytest.mark.parametrize("points", [[(0, 128)], [(16, 128)], [(64, 128), (0, 128)], [(-4, 90), (0, 90), (0, 128)]])
def test_automation_holds_against_the_manual_tempo(
    tmp_path: Path, version: int, points: list[tuple[float, float]]
) -> None:
    summary = _summary(tmp_path, [TrackSpec(clips=_LONG)], version, tempo_points=points)
    assert (summary.overview.tempo, summary.manual_tempo) == (128, 120)
    assert summary.duration_seconds == 30


@every_version
def test_bars_and_locators_follow_the_changes_of_metre(tmp_path: Path, version: int) -> None:
    summary = _summary(
        tmp_path,
        [TrackSpec(clips=[(0, 84, "")])],
        version,
        signature_points=[(32, 200), (56, 303)],
        locators=[(84, "End"), (0, "A"), (56, "C"), (32, "B")],
    )
    assert (summary.length_bars, [each.bar for each in summary.locators]) == (24, [1, 9, 17, 25])
    assert [each.time_signature for each in summary.time_signature_changes] == ["4/4", "3/4", "7/8"]
    assert summary.overview.time_signature == "4/4"


@every_version
@pytest.mark.parametrize(
    ("points", "bars"), [([(34, 200)], 9 + 50 / 3), ([(32, 200), (33, 201)], 8 + 1 + 51 / 4), ([(0, 200)], 28)]
)
def test_a_metre_that_changes_within_a_bar_cuts_that_bar_short(
    tmp_path: Path, version: int, points: list[tuple[float, int]], bars: float
) -> None:
    summary = _summary(tmp_path, [TrackSpec(clips=[(0, 84, "")])], version, signature_points=points)
    assert summary.length_bars == pytest.approx(bars, abs=1e-4)


@every_version
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("view", ["arrangement", "session"])
def test_a_track_whose_clips_are_all_deactivated_plays_nothing(
    tmp_path: Path, version: int, view: str, order: int
) -> None:
    def track(number: int, name: str, disabled: bool) -> TrackSpec:
        clips = [midi_clip([(60, 0)], disabled=disabled), midi_clip([(64, 1)], 4, 8, disabled=disabled)]
        if view == "session":
            return TrackSpec(id=str(number), name=name, slot_clips=clips)
        return TrackSpec(id=str(number), name=name, events="".join(clips))

    tracks = [track(1, "Piano", False), track(2, "Saxophone", True), track(3, "Sax 2", True)]
    summary = _summary(tmp_path, tracks[::order], version)
    assert (_instruments(summary), summary.layers, summary.active_clips) == ({"piano"}, 1, 2)
    assert summary.track_breakdown["Saxophone"].clips == 2


_EFFECTS = ("RVox", "Noise Gate", "Guitar Rig 6", "Vocal Rider", "RBass", "Z-Noise")


@pytest.mark.parametrize("kind", ["VST2", "VST3", "AU"])
@pytest.mark.parametrize("where", ["track", "rack", "group", "return", "main"])
def test_effects_named_like_instruments_name_none(tmp_path: Path, kind: str, where: str) -> None:
    effects = "".join(plugin(name, kind) for name in _EFFECTS)
    effects = rack(effects, "AudioEffectGroupDevice") if where == "rack" else effects
    on_track = effects if where in ("track", "rack") else ""
    tracks = [
        TrackSpec("GroupTrack", id="1", name="All", devices=effects if where == "group" else ""),
        TrackSpec("AudioTrack", id="2", name="Lead Vocal", group="1", clips=_LONG, devices=on_track),
        TrackSpec(id="3", name="Warm Pad", group="1", clips=_LONG, devices=on_track),
        TrackSpec("ReturnTrack", id="4", name="A", devices=effects if where == "return" else ""),
    ]
    summary = _summary(tmp_path, tracks, main_devices=effects if where == "main" else "")
    assert _instruments(summary) == {"vocals", "pads"}
    assert set(summary.plugin_usage) == set(_EFFECTS)


@every_version
@pytest.mark.parametrize("name", ["Clap-808.aif", "808 Clap 03.wav", "TR-808_CLAP.wav"])
@pytest.mark.parametrize("where", ["clip", "session clip", "simpler", "pad"])
def test_an_808_clap_is_a_clap_and_no_bass(tmp_path: Path, version: int, name: str, where: str) -> None:
    clip = (
        f'<AudioClip Time="0">{value("CurrentStart", 0)}{value("CurrentEnd", 4)}{sample_ref(version, name)}</AudioClip>'
    )
    track = {
        "clip": TrackSpec("AudioTrack", events=clip),
        "session clip": TrackSpec("AudioTrack", slot_clips=[clip]),
        "simpler": TrackSpec(events=midi_clip([(60, 0)]), devices=sampler(version, name)),
        "pad": TrackSpec(events=midi_clip([(39, 0)]), devices=drum_rack(pad("", 39, sampler(version, name)))),
    }[where]
    heard = _instruments(_summary(tmp_path, [track], version))
    assert (heard & {"claps", "808", "bass"}, heard & {"vocals", "kick"}) == ({"claps"}, set())


_LIVES = {"Operator": "synth", "UltraAnalog": "synth", "InstrumentVector": "synth", "LoungeLizard": "electric piano"}


@every_version
@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("tag", list(_LIVES))
def test_lives_own_instruments_are_heard_at_any_depth_of_racks(
    tmp_path: Path, version: int, depth: int, tag: str
) -> None:
    device = f'<{tag} Id="0">{switch("On", True, version)}</{tag}><Eq8 Id="1" />'
    for _ in range(depth):
        device = rack(device)
    track = TrackSpec(events=midi_clip([(60, 0)]), devices=device)
    assert _instruments(_summary(tmp_path, [track], version)) == {_LIVES[tag]}
    off = TrackSpec(events=midi_clip([(60, 0)]), devices=device.replace('"true"', '"false"'))
    assert _instruments(_summary(tmp_path, [off], version)) == set()


@every_version
@pytest.mark.parametrize("depth", [0, 2])
def test_max_devices_of_the_main_track_are_listed_in_order(tmp_path: Path, version: int, depth: int) -> None:
    devices = max_device(version, "Tape Wobble.amxd") + plugin("Limiter") + max_device(version, "Meter.amxd")
    for _ in range(depth):
        devices = rack(devices, "AudioEffectGroupDevice")
    summary = _summary(tmp_path, [TrackSpec(clips=_LONG)], version, main_devices=devices)
    assert summary.main_max_devices == ["Tape Wobble.amxd", "Meter.amxd"]
    assert (summary.max_devices_by_track, summary.main_plugins) == ({}, ["Limiter"])


@every_version
@pytest.mark.parametrize("folders", list(itertools.permutations(["Packs/A", "Packs/B", "C"])))
def test_files_with_the_same_name_are_all_listed_in_order(
    tmp_path: Path, version: int, folders: tuple[str, ...]
) -> None:
    paths = [f"{folder}/Kick.wav" for folder in folders]
    tracks = [
        TrackSpec(id="1", name="One", devices=sampler(version, paths[0], paths[1], paths[0])),
        TrackSpec(id="2", name="Two", devices=rack(sampler(version, paths[1], paths[2]))),
    ]
    use = _summary(tmp_path, tracks, version).sample_index["Kick.wav"]
    assert (use.path, use.paths, use.tracks) == (paths[0], paths, ["One", "Two"])


@pytest.mark.parametrize(
    ("version", "by_name"), [(8, True), (9, True), (10, True), (11, True), (11, False), (12, True), (12, False)]
)
def test_a_session_plays_at_the_tempo_of_its_scenes(tmp_path: Path, version: int, by_name: bool) -> None:
    names = ["174 BPM", "Break 174bpm", ""] if by_name else []
    scene = f"<Scene>{value('Name', '')}{value('Tempo', 174)}{value('IsTempoEnabled', 'true')}</Scene>"
    extra = "" if by_name else f"<Scenes>{scene * 3}</Scenes>"
    track = TrackSpec(slots=["a", "b", None])
    summary = _summary(tmp_path, [track], version, scenes=names, extra=extra)
    assert (summary.overview.tempo, summary.manual_tempo) == (174, 120)
