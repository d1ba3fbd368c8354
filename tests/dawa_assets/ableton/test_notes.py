"""Notes: how often a clip's loop plays them, which pads they reach, and what is said of what can't be followed."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.ableton.live_set import Track
from dawa_assets.ableton.notes import Tally, Window
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.usage import pads_in_use
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
    sampler,
    switch,
    value,
    write_als,
)

_EIGHTHS = st.integers(0, 64).map(lambda number: Fraction(number, 8))


def _track(folder: Path, devices: str, *clips: str, version: int = 12, **more: str) -> Track:
    spec = TrackSpec(id="1", devices=devices, events="".join(clips), **more)  # type: ignore[arg-type]
    return read_live_set(write_als(folder, SetSpec(version=version, tracks=[spec]))).tracks[0]


def _hits(track: Track) -> dict[str, int]:
    return {each.name: each.played.notes for each in pads_in_use(track)}


@settings(deadline=None)
@given(time=_EIGHTHS, start=_EIGHTHS, length=_EIGHTHS, offset=_EIGHTHS, duration=_EIGHTHS, loops=st.booleans())
def test_note_counts_match_a_step_by_step_playback(
    time: Fraction, start: Fraction, length: Fraction, offset: Fraction, duration: Fraction, loops: bool
) -> None:
    if length == 0 or offset > length or (not loops and (offset or duration < length)):
        return
    end = start + length
    window = Window(float(start), float(end), float(start + offset), float(duration), loops=loops)
    step, met, here, gone = Fraction(1, 8), 0, start + offset, Fraction(0)
    if here == end and loops:
        here = start
    while gone < duration:
        met += here == time
        here, gone = here + step, gone + step
        if here == end:
            if not loops:
                break
            here = start
    assert window.plays(float(time)) == met


@every_version
def test_repetitions_count_and_notes_outside_of_the_loop_do_not(tmp_path: Path, version: int) -> None:
    looped = midi_clip([(36, 0), (36, 1), (38, 2), (40, 6)], end=16, loop=(0, 4))
    track = _track(tmp_path, "", looped, version=version)
    assert {pitch: played.notes for pitch, played in track.notes.items()} == {36: 8, 38: 4}
    assert track.notes[36].beats == 2


@pytest.mark.parametrize(
    "note",
    [
        '<MidiNoteEvent Time="0" Duration="1" IsEnabled="false" />',
        '<MidiNoteEvent Time="nan" Duration="1" />',
        '<MidiNoteEvent Time="0" Duration="-1" />',
        '<MidiNoteEvent Time="0" />',
        '<MidiNoteEvent Time="x" Duration="y" />',
        '<MidiNoteEvent Time="1e300" Duration="1e300" />',
    ],
)
def test_a_note_that_is_none_is_not_played(tmp_path: Path, note: str) -> None:
    clip = midi_clip([(36, 0)]).replace(
        '<MidiNoteEvent Time="0" Duration="0.25" Velocity="100" IsEnabled="true" />', note
    )
    assert _track(tmp_path, "", clip).notes == {}


def test_deactivated_clips_and_take_lanes_play_no_notes(tmp_path: Path) -> None:
    lane = f"<TakeLanes><TakeLanes><TakeLane>{midi_clip([(50, 0)])}</TakeLane></TakeLanes></TakeLanes>"
    track = _track(tmp_path, "", midi_clip([(36, 0)]), midi_clip([(40, 0)], disabled=True), extra=lane)
    assert list(track.notes) == [36]


KIT = [("Kick", 36), ("Hat", 42), ("Vox", 47)]


def _kit(version: int) -> list[str]:
    return [pad(name, note, sampler(version, f"{name} 1.wav")) for name, note in KIT]


@every_version
def test_only_the_pads_that_are_hit_are_in_use(tmp_path: Path, version: int) -> None:
    track = _track(tmp_path, drum_rack(*_kit(version)), midi_clip([(42, 0), (42, 1), (36, 0)]), version=version)
    assert _hits(track) == {"Hat": 2, "Kick": 1}
    assert [(d.kind, d.active) for d in track.devices] == [
        ("DrumGroupDevice", True),
        ("OriginalSimpler", True),
        ("OriginalSimpler", True),
        ("OriginalSimpler", False),
    ]


def _nested(version: int) -> str:
    inner = drum_rack(pad("Low", 36, sampler(version, "l.wav")), pad("High", 60, sampler(version, "h.wav")))
    return drum_rack(pad("All", None, inner), pad("One", 42, inner))


@every_version
def test_notes_go_on_into_racks_inside_of_racks(tmp_path: Path, version: int) -> None:
    """A pad for all notes hands them on as they are, a pad of one note plays its own pitch."""
    track = _track(tmp_path, rack(_nested(version)), midi_clip([(36, 0), (42, 0)]), version=version)
    assert [(each.name, each.level, each.played.notes) for each in pads_in_use(track)] == [
        ("Low", 1, 1),
        ("High", 1, 1),
    ]


def test_a_pad_may_play_another_pitch_than_it_listens_to(tmp_path: Path) -> None:
    inner = drum_rack(pad("A", 50, sampler(12, "a.wav")), pad("B", 60, sampler(12, "b.wav")))
    track = _track(tmp_path, drum_rack(pad("Outer", 36, inner, sends=50)), midi_clip([(36, 0)]))
    assert _hits(track) == {"A": 1}


def _pitch(semitones: int, version: int, on: bool = True) -> str:
    return f'<MidiPitcher Id="0">{switch("On", on, version)}<Pitch>{value("Manual", semitones)}</Pitch></MidiPitcher>'


@every_version
@pytest.mark.parametrize(("semitones", "on", "hit"), [(6, True, "Hat"), (6, False, "Kick"), (0, True, "Kick")])
def test_a_pitch_device_is_followed(tmp_path: Path, version: int, semitones: int, on: bool, hit: str) -> None:
    devices = _pitch(semitones, version, on) + drum_rack(*_kit(version))
    assert _hits(_track(tmp_path, devices, midi_clip([(36, 0)]), version=version)) == {hit: 1}


def test_a_pitch_device_in_a_midi_rack_is_followed_too(tmp_path: Path) -> None:
    devices = rack(_pitch(6, 12), "MidiEffectGroupDevice") + drum_rack(*_kit(12))
    assert _hits(_track(tmp_path, devices, midi_clip([(36, 0)]))) == {"Hat": 1}


@pytest.mark.parametrize("device", ['<MidiRandom Id="0" />', '<MidiChord Id="0" />', '<MxDeviceMidiEffect Id="0" />'])
def test_what_can_not_be_followed_is_said_as_unsure(tmp_path: Path, device: str) -> None:
    sure = _track(tmp_path, drum_rack(*_kit(12)), midi_clip([(36, 0)]))
    unsure = _track(tmp_path, device + drum_rack(*_kit(12)), midi_clip([(99, 0)]))
    assert (sure.notes_unsure, unsure.notes_unsure) == (False, True)
    assert _hits(unsure) == {"Kick": 0, "Hat": 0, "Vox": 0}
    assert all(each.active for each in unsure.devices)


def test_pads_without_a_receiving_note_all_count_as_hit(tmp_path: Path) -> None:
    bare = drum_rack(*_kit(12)).replace("BranchInfo", "OtherInfo")
    track = _track(tmp_path, bare, midi_clip([(36, 0)]))
    assert (set(_hits(track)), track.notes_unsure) == ({"Kick", "Hat", "Vox"}, True)


@every_version
@pytest.mark.parametrize("kind", ["muted", "soloed elsewhere"])
def test_a_pad_that_is_switched_off_is_not_heard(tmp_path: Path, version: int, kind: str) -> None:
    off = f"<MixerDevice>{switch('Speaker', False, version)}</MixerDevice>"
    kick = pad("Kick", 36, sampler(version, "k.wav"), extra=off if kind == "muted" else "")
    hat = pad("Hat", 42, sampler(version, "h.wav"), extra="" if kind == "muted" else value("IsSoloed", "true"))
    track = _track(tmp_path, drum_rack(kick, hat), midi_clip([(36, 0), (42, 0)]), version=version)
    assert _hits(track) == {"Hat": 1}


def _chain(inside: str, extra: str) -> str:
    return (
        f"<InstrumentBranch><DeviceChain><MidiToAudioDeviceChain><Devices>{inside}</Devices>"
        f"</MidiToAudioDeviceChain></DeviceChain>{extra}</InstrumentBranch>"
    )


def _range(tag: str, low: int, high: int) -> str:
    return f"<{tag}>{value('Min', low)}{value('Max', high)}</{tag}>"


def test_key_zones_and_the_chain_selector_choose_a_racks_chains(tmp_path: Path) -> None:
    chains = [
        _chain(plugin("Low"), f"<ZoneSettings>{_range('KeyRange', 0, 47)}</ZoneSettings>"),
        _chain(plugin("High"), f"<ZoneSettings>{_range('KeyRange', 48, 127)}</ZoneSettings>"),
        _chain(plugin("Not selected"), _range("BranchSelectorRange", 5, 9)),
    ]
    made = (
        '<InstrumentGroupDevice Id="0"><Branches>'
        + "".join(chains)
        + f"</Branches><ChainSelector>{value('Manual', 0)}</ChainSelector></InstrumentGroupDevice>"
    )
    track = _track(tmp_path, made, midi_clip([(60, 0)]))
    assert [each.plugin.name for each in track.active_devices if each.plugin] == ["High"]


@pytest.mark.parametrize("how", ["output", "input"])
def test_notes_that_another_track_sends_are_played_too(tmp_path: Path, how: str) -> None:
    to = f"<MidiOutputRouting>{value('Target', 'MidiOut/Track.2/DeviceIn.0')}</MidiOutputRouting>"
    of = f"<MidiInputRouting>{value('Target', 'MidiIn/Track.1/TrackOut')}</MidiInputRouting>"
    source = TrackSpec(id="1", events=midi_clip([(42, 0)]), routing=to if how == "output" else "")
    kit = TrackSpec(id="2", devices=drum_rack(*_kit(12)), routing=of if how == "input" else "")
    xml_path = write_als(tmp_path, SetSpec(tracks=[source, kit]))
    if how == "input":
        import gzip

        text = gzip.decompress(xml_path.read_bytes()).decode()
        xml_path.write_bytes(gzip.compress(text.replace("<ClipSlotList>", f"{value('MonitoringEnum', 0)}<ClipSlotList>").encode()))  # fmt: skip  # noqa: E501
    live_set = read_live_set(xml_path)
    assert _hits(live_set.tracks[1]) == {"Hat": 1}
    assert live_set.sounds(live_set.tracks[1])


def test_notes_from_another_tracks_max_sequencer_are_unsure(tmp_path: Path) -> None:
    to = f"<MidiOutputRouting>{value('Target', 'MidiOut/Track.2/TrackIn')}</MidiOutputRouting>"
    device = max_device(12, "Seq.amxd").replace("MxDeviceAudioEffect", "MxDeviceMidiEffect")
    source = TrackSpec(id="1", events=midi_clip([(0, 0)]), routing=to, devices=device)
    kit = TrackSpec(id="2", devices=drum_rack(*_kit(12)))
    track = read_live_set(write_als(tmp_path, SetSpec(tracks=[source, kit]))).tracks[1]
    assert (set(_hits(track)), track.notes_unsure) == ({"Kick", "Hat", "Vox"}, True)


def test_a_million_notes_keep_128_numbers() -> None:
    tally = Tally()
    for number in range(100_000):
        tally.add(number % 300, 1, 0.5)
    assert len(tally.by_pitch()) == 128
    assert tally.shifted(100).total().notes < tally.total().notes
