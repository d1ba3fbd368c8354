"""Which tracks and clips are heard: mutes, solos, faders, routing, deactivated clips; in every version of Live."""

from dataclasses import replace
from pathlib import Path

import pytest

from dawa_assets.ableton.live_set import LiveSet
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary_builder import summarise
from tests.dawa_assets.ableton.als_factory import (
    SetSpec,
    TrackSpec,
    every_version,
    max_device,
    midi_clip,
    plugin,
    rack,
    sample_ref,
    switch,
    value,
    write_als,
)

LONG, SHORT = [(0, 128, "")], [(0, 64, "")]


def _read(folder: Path, tracks: list[TrackSpec], version: int = 12) -> LiveSet:
    return read_live_set(write_als(folder, SetSpec(version=version, tracks=tracks)))


def _heard(live_set: LiveSet) -> list[str]:
    return [track.id for track in live_set.sounding_tracks]


def _routed(target: str) -> str:
    return f"<AudioOutputRouting>{value('Target', target)}</AudioOutputRouting>"


@every_version
def test_a_muted_track_is_not_heard_and_not_lost(tmp_path: Path, version: int) -> None:
    muted = TrackSpec(id="1", name="Sax", clips=LONG, mixer=switch("Speaker", False, version))
    live_set = _read(tmp_path, [muted, TrackSpec(id="2", name="Piano", clips=SHORT)], version)
    assert (_heard(live_set), live_set.length_beats, live_set.arrangement_beats) == (["2"], 64, 128)
    summary = summarise(live_set, als_filename="a.als", project_folder="", artist_name="")
    assert (summary.layers, summary.length_bars) == (1, 16)
    sax = summary.track_breakdown["Sax"]
    assert (sax.muted, sax.sounding, sax.clips) == (True, False, 1)


@pytest.mark.parametrize("version", [8, 9])
def test_a_mute_that_automation_lifts_for_a_while_is_none(tmp_path: Path, version: int) -> None:
    never = switch("Speaker", False, version, points=[(8, False)])
    lifted = switch("Speaker", False, version, points=[(8, True), (16, False)])
    tracks = [TrackSpec(id="1", clips=SHORT, mixer=never), TrackSpec(id="2", clips=SHORT, mixer=lifted)]
    assert _heard(_read(tmp_path, tracks, version)) == ["2"]


@pytest.mark.parametrize("version", [10, 11, 12])
@pytest.mark.parametrize(("points", "heard"), [("false", []), ("true", ["1"])])
def test_a_mute_is_automated_under_its_id_from_live_10(
    tmp_path: Path, version: int, points: str, heard: list[str]
) -> None:
    envelope = (
        f"<AutomationEnvelope><EnvelopeTarget>{value('PointeeId', 55)}</EnvelopeTarget><Automation><Events>"
        f'<BoolEvent Time="-63072000" Value="false" /><BoolEvent Time="8" Value="{points}" />'
        "</Events></Automation></AutomationEnvelope>"
    )
    track = TrackSpec(id="1", clips=SHORT, mixer=switch("Speaker", False, version, "55"), envelopes=envelope)
    assert _heard(_read(tmp_path, [track], version)) == heard


@every_version
@pytest.mark.parametrize(("muted", "heard"), [("1", []), ("2", ["4"]), ("3", ["4"])])
def test_a_muted_group_mutes_what_it_holds_at_any_depth(
    tmp_path: Path, version: int, muted: str, heard: list[str]
) -> None:
    out = _routed("AudioOut/GroupTrack")
    tracks = [
        TrackSpec(tag="GroupTrack", id="1"),
        TrackSpec(tag="GroupTrack", id="2", group="1", routing=out),
        TrackSpec(id="3", group="2", clips=SHORT, routing=out),
        TrackSpec(id="4", group="1", clips=SHORT, routing=out),
    ]
    off = switch("Speaker", False, version)
    tracks = [replace(track, mixer=off) if track.id == muted else track for track in tracks]
    assert _heard(_read(tmp_path, tracks, version)) == heard


def test_a_track_routed_out_of_its_muted_group_is_audible(tmp_path: Path) -> None:
    tracks = [
        TrackSpec(tag="GroupTrack", id="1", mixer=switch("Speaker", False)),
        TrackSpec(id="2", group="1", clips=SHORT, routing=_routed("AudioOut/Main")),
    ]
    assert _heard(_read(tmp_path, tracks)) == ["2"]


@every_version
def test_where_any_is_soloed_only_those_are_heard(tmp_path: Path, version: int) -> None:
    solo = value("SoloSink", "true")
    tracks = [
        TrackSpec(id="1", clips=SHORT),
        TrackSpec(id="2", clips=SHORT, mixer=solo),
        TrackSpec(tag="GroupTrack", id="3", mixer=solo),
        TrackSpec(id="4", group="3", clips=SHORT, routing=_routed("AudioOut/GroupTrack")),
        TrackSpec(id="5", group="3", clips=SHORT, mixer=switch("Speaker", False, version)),
    ]
    assert _heard(_read(tmp_path, tracks, version)) == ["2", "4"]


@every_version
def test_a_fader_at_minimum_silences_unless_it_is_automated(tmp_path: Path, version: int) -> None:
    def volume(*events: tuple[float, float]) -> str:
        points = "".join(f'<FloatEvent Time="{time}" Value="{level}" />' for time, level in events)
        manual = value("Manual", events[0][1]) if version > 8 else ""
        own = f"<ArrangerAutomation><Events>{points}</Events></ArrangerAutomation>" if version < 10 else ""
        return f'<Volume>{own}{manual}<AutomationTarget Id="77" /></Volume>'

    down, moving = volume((-63072000, 0.0003162277571)), volume((-63072000, 0.0003162277571), (4, 1))
    envelope = (
        f"<AutomationEnvelope><EnvelopeTarget>{value('PointeeId', 77)}</EnvelopeTarget><Automation><Events>"
        '<FloatEvent Time="4" Value="1" /></Events></Automation></AutomationEnvelope>'
    )
    tracks = [
        TrackSpec(id="1", clips=SHORT, mixer=down),
        TrackSpec(id="2", clips=SHORT, mixer=moving, envelopes=envelope),
    ]
    assert _heard(_read(tmp_path, tracks, version)) == ["2"]


_SEND = f"<Sends><TrackSendHolder><Send>{value('Manual', 0.5)}</Send></TrackSendHolder></Sends>"


@pytest.mark.parametrize(
    ("first", "rest", "heard"),
    [
        (TrackSpec(routing=_routed("AudioOut/None")), [], []),
        (TrackSpec(routing=_routed("AudioOut/None"), mixer=_SEND), [], []),
        (TrackSpec(routing=_routed("AudioOut/None"), mixer=_SEND), [TrackSpec(tag="ReturnTrack", id="9")], ["1"]),
        (
            TrackSpec(routing=_routed("AudioOut/None"), mixer=_SEND),
            [TrackSpec(tag="ReturnTrack", id="9", mixer=switch("Speaker", False))],
            [],
        ),
        (TrackSpec(routing=_routed("AudioOut/External/S0")), [], ["1"]),
        (TrackSpec(routing=_routed("AudioOut/Track.9/TrackIn")), [TrackSpec(tag="AudioTrack", id="9")], ["1"]),
        (
            TrackSpec(routing=_routed("AudioOut/Track.9/TrackIn")),
            [TrackSpec(tag="AudioTrack", id="9", mixer=switch("Speaker", False))],
            [],
        ),
        (
            TrackSpec(routing=_routed("AudioOut/Track.9/TrackIn")),
            [TrackSpec(tag="AudioTrack", id="9", routing=_routed("AudioOut/Track.1/TrackIn"))],
            [],
        ),
        (TrackSpec(routing=_routed("AudioOut/Track.404/TrackIn")), [], ["1"]),
    ],
    ids=["nowhere", "sends", "return", "muted return", "hardware", "bus", "muted bus", "ring", "gone"],
)
def test_sound_is_followed_to_where_it_comes_out(
    tmp_path: Path, first: TrackSpec, rest: list[TrackSpec], heard: list[str]
) -> None:
    assert _heard(_read(tmp_path, [replace(first, id="1", clips=SHORT), *rest])) == heard


@every_version
def test_deactivated_and_silent_clips_are_not_played(tmp_path: Path, version: int) -> None:
    def audio(end: int, extra: str) -> str:
        return (
            f'<AudioClip Time="0">{value("CurrentStart", 0)}{value("CurrentEnd", end)}{value("Name", "")}{extra}'
            f"{sample_ref(version, f'{end}.wav')}</AudioClip>"
        )

    events = [
        audio(16, value("Disabled", "false") + value("SampleVolume", 1)),
        audio(32, value("Disabled", "true")),
        audio(64, value("SampleVolume", 0)),
    ]
    for order in (events, events[::-1]):
        live_set = _read(tmp_path, [TrackSpec(tag="AudioTrack", name="A", events="".join(order))], version)
        assert (live_set.length_beats, live_set.arrangement_beats) == (16, 64)
        details = summarise(live_set, als_filename="a", project_folder="", artist_name="").track_breakdown["A"]
        assert (details.clips, details.active_clips, details.samples_in_use) == (3, 1, {"16.wav": 16})
        assert sorted(details.sample_files) == ["16.wav", "32.wav", "64.wav"]


def test_a_clip_without_notes_is_not_audible(tmp_path: Path) -> None:
    empty = TrackSpec(id="1", events=midi_clip(end=32))
    assert _heard(_read(tmp_path, [empty])) == []
    assert _read(tmp_path, [empty]).length_beats == 32
    played = TrackSpec(id="2", events=midi_clip([(60, 0)], end=8))
    assert _read(tmp_path, [empty, played]).length_beats == 8


def test_session_clips_beside_an_arrangement_are_no_layers(tmp_path: Path) -> None:
    session = TrackSpec(id="1", slots=["loop"])
    both = _read(tmp_path, [session, TrackSpec(id="2", clips=SHORT)])
    assert _heard(both) == ["2"]
    assert _heard(_read(tmp_path, [session, TrackSpec(id="2", clips=SHORT, mixer=switch("Speaker", False))])) == ["1"]


@every_version
def test_devices_that_are_off_are_held_but_not_in_use(tmp_path: Path, version: int) -> None:
    def on(name: str, is_on: bool) -> str:
        made = plugin(name)
        return made.replace("<PluginDesc>", switch("On", is_on, version) + "<PluginDesc>", 1)

    off_rack = rack(on("Inside", True)).replace("<Branches>", switch("On", False, version) + "<Branches>", 1)
    off_chain = rack(on("In a muted chain", True)).replace(
        "<InstrumentBranch>", f"<InstrumentBranch><MixerDevice>{switch('Speaker', False, version)}</MixerDevice>"
    )
    devices = on("On", True) + on("Off", False) + off_rack + off_chain + max_device(version, "Wob.amxd")
    muted = TrackSpec(id="2", name="B", devices=on("Muted", True), clips=SHORT, mixer=switch("Speaker", False, version))
    live_set = _read(tmp_path, [TrackSpec(name="A", clips=SHORT, devices=devices), muted], version)
    summary = summarise(live_set, als_filename="a", project_folder="", artist_name="")
    assert set(summary.plugin_usage) == {"On", "Off", "Inside", "In a muted chain", "Muted"}
    assert summary.plugins_in_use == {"On": 1}
    assert summary.track_breakdown["A"].plugins_in_use == ["On"]


def test_five_thousand_tracks_that_feed_each_other_take_no_time(tmp_path: Path) -> None:
    tracks = [
        TrackSpec(id=str(number), clips=SHORT, routing=_routed(f"AudioOut/Track.{number + 1}/TrackIn"))
        for number in range(4_000)
    ]
    assert len(_read(tmp_path, tracks).sounding_tracks) == 4_000
