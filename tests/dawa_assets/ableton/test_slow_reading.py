"""What is heard of generated sets, held against a slow and obvious way to say it: one track after the other."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary_builder import summarise
from dawa_assets.ableton.time_map import TempoMap, TempoPoint, united
from dawa_assets.ableton.usage import pads_in_use
from tests.dawa_assets.ableton.als_factory import (
    VERSIONS,
    SetSpec,
    TrackSpec,
    drum_rack,
    midi_clip,
    pad,
    plugin,
    sample_ref,
    sampler,
    switch,
    value,
    write_als,
)


@dataclass
class Clip:
    start: int
    length: int
    sample: str
    disabled: bool
    is_empty: bool

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def heard(self) -> bool:
        return not self.disabled and not self.is_empty


@dataclass
class Device:
    """A plugin, or a rack where it has chains."""

    name: str
    on: bool
    chains: list[Chain] = field(default_factory=list)


@dataclass
class Chain:
    on: bool
    soloed: bool
    devices: list[Device]


@dataclass(eq=False)
class Track:
    kind: str
    group: int | None
    muted: bool
    soloed: bool
    down: bool
    output: str | int
    arrangement: list[Clip]
    session: list[Clip]
    take: Clip
    devices: list[Device]


@dataclass
class Scene:
    tempo: int
    three_four: bool
    sets_tempo: bool
    sets_metre: bool


_RARELY = st.sampled_from([False] * 5 + [True])
_OFTEN = st.sampled_from([True] * 3 + [False])
_CLIPS = st.builds(Clip, st.integers(0, 30), st.integers(1, 20), st.sampled_from("abc"), _RARELY, _RARELY)
_NAMES = st.sampled_from(["Synth", "Reverb", "Delay", "Piano"])
_DEVICES: st.SearchStrategy[Device] = st.recursive(
    st.builds(Device, _NAMES, _OFTEN),
    lambda inner: st.builds(
        Device,
        st.just("rack"),
        _OFTEN,
        st.lists(st.builds(Chain, _OFTEN, _RARELY, st.lists(inner, max_size=2)), min_size=1, max_size=3),
    ),
    max_leaves=6,
)


_SCENES = st.lists(
    st.builds(Scene, st.sampled_from([90, 174]), st.booleans(), st.booleans(), st.booleans()), max_size=3
)


@st.composite
def _sets(draw: st.DrawFn) -> list[Track]:
    tracks: list[Track] = []
    has_solo = draw(_RARELY)
    for index in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["Audio", "Audio", "MIDI", "MIDI", "Group"]))
        groups = [place for place, track in enumerate(tracks) if track.kind == "Group"]
        group = draw(st.sampled_from([None, *groups]))
        outputs: list[str | int] = ["parent"] * 6 + ["nowhere", *(place for place in range(6) if place != index)]
        clips = st.lists(_CLIPS, max_size=3) if kind != "Group" else st.just([])
        tracks.append(
            Track(
                kind,
                group,
                draw(_RARELY),
                has_solo and draw(st.booleans()),
                draw(_RARELY),
                draw(st.sampled_from(outputs)),
                draw(clips),
                draw(clips),
                draw(_CLIPS),
                draw(st.lists(_DEVICES, max_size=2)),
            )
        )
    return tracks


# -- the same sets as Live writes them --------------------------------------------------------------------------


def _spec(tracks: Sequence[Track], scenes: Sequence[Scene], version: int) -> SetSpec:
    written = [_track(index, track, version) for index, track in enumerate(tracks)]
    if version < 11:
        return SetSpec(version=version, tracks=written, scenes=[_scene_name(scene) for scene in scenes])
    listed = "".join(
        f"<Scene>{value('Name', '')}{value('Tempo', scene.tempo)}{value('TimeSignatureId', 201 - scene.three_four)}"
        f"{value('IsTempoEnabled', str(scene.sets_tempo).lower())}"
        f"{value('IsTimeSignatureEnabled', str(scene.sets_metre).lower())}</Scene>"
        for scene in scenes
    )
    return SetSpec(version=version, tracks=written, scenes=[], extra=f"<Scenes>{listed}</Scenes>")


def _scene_name(scene: Scene) -> str:
    """Until Live 10 a scene sets by its name what it sets."""
    tempo = f"{scene.tempo} BPM" if scene.sets_tempo else ""
    return f"{tempo} {'3/4' if scene.three_four else '4/4'}" if scene.sets_metre else tempo


def _track(index: int, track: Track, version: int) -> TrackSpec:
    parent = "AudioOut/GroupTrack" if track.group is not None else "AudioOut/Main"
    targets = {"parent": parent, "nowhere": "AudioOut/None"}
    target = targets.get(str(track.output)) or f"AudioOut/Track.{int(track.output) + 10}/TrackIn"
    level = 0.0003 if track.down else 0.8
    own = f'<FloatEvent Time="-63072000" Value="{level}" />' if version == 8 else ""
    volume = (
        f"<Volume><ArrangerAutomation><Events>{own}</Events></ArrangerAutomation>"
        f"{value('Manual', level) if version > 8 else ''}</Volume>"
    )
    mixer = switch("Speaker", not track.muted, version, str(900 + index)) + value("SoloSink", str(track.soloed).lower())
    return TrackSpec(
        tag={"Audio": "AudioTrack", "MIDI": "MidiTrack", "Group": "GroupTrack"}[track.kind],
        id=str(index + 10),
        name=f"Track {index}",
        group=str(-1 if track.group is None else track.group + 10),
        mixer=mixer + volume,
        routing=f"<AudioOutputRouting>{value('Target', target)}</AudioOutputRouting>",
        events="".join(_clip(track, clip, version) for clip in track.arrangement),
        slot_clips=[_clip(track, clip, version) for clip in track.session],
        extra=f"<TakeLanes><TakeLanes><TakeLane>{_clip(track, track.take, version)}</TakeLane></TakeLanes></TakeLanes>",
        devices="".join(_device(device, version) for device in track.devices),
    )


def _clip(track: Track, clip: Clip, version: int) -> str:
    if track.kind == "MIDI":
        return midi_clip([] if clip.is_empty else [(60, 0)], clip.start, clip.end, disabled=clip.disabled)
    gain = 0 if clip.is_empty else 1
    return (
        f'<AudioClip Time="{clip.start}">{value("CurrentStart", clip.start)}{value("CurrentEnd", clip.end)}'
        f"<Loop>{value('LoopStart', 0)}{value('LoopEnd', clip.length)}</Loop>"
        f"{value('Disabled', str(clip.disabled).lower())}{value('SampleVolume', gain)}"
        f"{sample_ref(version, f'{clip.sample}.wav')}</AudioClip>"
    )


def _device(device: Device, version: int) -> str:
    on = switch("On", device.on, version)
    if not device.chains:
        return plugin(device.name).replace("<PluginDesc>", f"{on}<PluginDesc>", 1)
    chains = "".join(
        "<InstrumentBranch><DeviceChain><MidiToAudioDeviceChain><Devices>"
        + "".join(_device(inner, version) for inner in chain.devices)
        + f"</Devices></MidiToAudioDeviceChain></DeviceChain>{value('IsSoloed', str(chain.soloed).lower())}"
        f"<MixerDevice>{switch('Speaker', chain.on, version)}</MixerDevice></InstrumentBranch>"
        for chain in device.chains
    )
    return f'<InstrumentGroupDevice Id="0">{on}<Branches>{chains}</Branches></InstrumentGroupDevice>'


# -- what is heard of them, slowly ------------------------------------------------------------------------------


def _comes_out(tracks: Sequence[Track], index: int, passed: frozenset[int] = frozenset()) -> bool:
    """Whether sound gets from here to the main track; where it goes in a ring it never does."""
    track = tracks[index]
    if track.muted or track.down or index in passed or track.output == "nowhere":
        return False
    if isinstance(track.output, int) and track.output < len(tracks):
        return _comes_out(tracks, track.output, passed | {index})
    if track.output == "parent" and track.group is not None:
        return _comes_out(tracks, track.group, passed | {index})
    return True


def _around(tracks: Sequence[Track], index: int) -> Iterator[Track]:
    """The track and the groups around it."""
    here: int | None = index
    while here is not None:
        yield tracks[here]
        here = tracks[here].group


def _audible(tracks: Sequence[Track], index: int) -> bool:
    is_chosen = not any(track.soloed for track in tracks) or any(each.soloed for each in _around(tracks, index))
    return _comes_out(tracks, index) and (is_chosen or tracks[index].kind == "Group")


def _in_use(devices: Sequence[Device], on: bool = True) -> Iterator[str]:
    for device in devices:
        if on and device.on and not device.chains:
            yield device.name
        is_any_soloed = any(chain.soloed for chain in device.chains)
        for chain in device.chains:
            passes = chain.on and (chain.soloed or not is_any_soloed)
            yield from _in_use(chain.devices, on and device.on and passes)


@settings(deadline=None, max_examples=60)
@given(_sets(), _SCENES, st.sampled_from(VERSIONS))
def test_what_is_heard_is_what_one_hears_track_by_track(tracks: list[Track], scenes: list[Scene], version: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        live_set = read_live_set(write_als(Path(folder), _spec(tracks, scenes, version)))
    summary = summarise(live_set, als_filename="a.als", project_folder="", artist_name="")
    audible = [_audible(tracks, index) for index in range(len(tracks))]
    assert [track.audible for track in live_set.tracks] == audible

    heard = [track for track, is_audible in zip(tracks, audible, strict=True) if is_audible]
    arranged = [clip for track in heard for clip in track.arrangement if clip.heard]
    played = [clip for track in heard for clip in track.session if clip.heard]
    by_arrangement = bool(arranged) or not played
    assert live_set.has_arrangement == by_arrangement
    # Empty MIDI clips keep their length where nothing is heard at all.
    midi = [track for track in heard if track.kind == "MIDI" and by_arrangement]
    silent = [clip for track in midi for clip in track.arrangement if clip.is_empty and not clip.disabled]
    assert summary.length_beats == max([clip.end for clip in arranged or silent], default=0)
    assert summary.active_clips == len(arranged) + len(played)

    launched = {slot for track in heard for slot, clip in enumerate(track.session) if clip.heard}
    in_use = [scene for slot, scene in enumerate(scenes) if slot in launched] or scenes
    tempos = {scene.tempo for scene in in_use if scene.sets_tempo}
    metres = {"3/4" if scene.three_four else "4/4" for scene in in_use if scene.sets_metre}
    is_song = summary.length_beats > 0
    assert summary.overview.tempo == (tempos.pop() if len(tempos) == 1 and not is_song else 120)
    assert summary.overview.time_signature == (metres.pop() if len(metres) == 1 and not is_song else "4/4")

    sounding = [
        track for track in heard if any(clip.heard for clip in (track.arrangement if by_arrangement else track.session))
    ]
    assert summary.layers == len(sounding)
    passing = [track for track in heard if track in sounding or track.kind == "Group"]
    assert summary.plugins_in_use == dict(Counter(name for track in passing for name in _in_use(track.devices)))

    for index, track in enumerate(tracks):
        if track.kind == "Group":
            continue
        details = summary.track_breakdown[f"Track {index}"]
        assert (details.muted, details.sounding) == (not audible[index], track in sounding)
        assert details.clips == len(track.arrangement) + len(track.session)
        beats: Counter[str] = Counter()
        if track.kind == "Audio" and track in sounding:
            for clip in track.arrangement if by_arrangement else track.session:
                beats[f"{clip.sample}.wav"] += clip.length * clip.heard
        assert details.samples_in_use == {name: length for name, length in beats.items() if length}


# -- which pads are hit -----------------------------------------------------------------------------------------


@dataclass
class Pad:
    """A chain of a drum rack; `listens` is None where it is handed every note."""

    listens: int | None
    plays: int
    on: bool
    soloed: bool
    inner: list[Pad]


_PITCHES = st.integers(36, 38)


def _pads(deeper: int) -> st.SearchStrategy[list[Pad]]:
    """The pads of a rack with so many racks inside of each other at most."""
    inner = st.one_of(st.just([]), _pads(deeper - 1)) if deeper else st.just([])
    each = st.builds(Pad, st.one_of(st.none(), _PITCHES, _PITCHES), _PITCHES, _OFTEN, _RARELY, inner)
    return st.lists(each, min_size=1, max_size=3)


def _rack_of(pads: Sequence[Pad], path: str, version: int) -> str:
    if not pads:
        return sampler(version, f"sample{path}.wav")
    return drum_rack(
        *(
            pad(
                f"Pad{path}-{number}",
                each.listens,
                _rack_of(each.inner, f"{path}-{number}", version),
                extra=f"{value('IsSoloed', str(each.soloed).lower())}"
                f"<MixerDevice>{switch('Speaker', each.on, version)}</MixerDevice>",
                sends=each.plays,
            )
            for number, each in enumerate(pads)
        )
    )


def _struck(pads: Sequence[Pad], path: str, pitch: int) -> Iterator[str]:
    """The innermost pads that one note ends at."""
    for number, each in enumerate(pads):
        here = f"{path}-{number}"
        is_open = each.on and (each.soloed or not any(other.soloed for other in pads))
        if is_open and each.listens in (None, pitch):
            passed_on = pitch if each.listens is None else each.plays
            yield from _struck(each.inner, here, passed_on) if each.inner else [f"Pad{here}"]


@settings(deadline=None, max_examples=60)
@given(
    _pads(2), st.lists(st.tuples(_PITCHES, st.integers(0, 7)), min_size=1, max_size=6, unique=True), st.integers(1, 3)
)
def test_the_pads_that_are_hit_are_those_that_each_note_ends_at(
    pads: list[Pad], notes: list[tuple[int, int]], repeated: int
) -> None:
    version = VERSIONS[len(notes) % len(VERSIONS)]
    events = midi_clip([(pitch, beat) for pitch, beat in notes], end=8 * repeated, loop=(0, 8))
    track = TrackSpec(events=events, devices=_rack_of(pads, "", version))
    with tempfile.TemporaryDirectory() as folder:
        (read,) = read_live_set(write_als(Path(folder), SetSpec(version=version, tracks=[track]))).tracks
    expected = Counter(name for pitch, _ in notes for name in _struck(pads, "", pitch))
    found = {each.name: each.played.notes for each in pads_in_use(read)}
    assert found == {name: count * repeated for name, count in expected.items()}


# -- the tempo that prevails ------------------------------------------------------------------------------------

_JUMPS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([60.0, 90.0, 120.0, 180.0])), min_size=1, max_size=6)
_RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=4)


@settings(deadline=None)
@given(_JUMPS, _RANGES)
def test_the_prevailing_tempo_matches_a_count_of_half_beats(
    jumps: list[tuple[int, float]], lengths: list[tuple[int, int]]
) -> None:
    """Only jumps, so every half beat has one tempo and what is held the longest is plain to count."""
    jumps = sorted(dict(jumps).items())
    points = [TempoPoint(jumps[0][0], jumps[0][1])]
    for (_, before), (beat, bpm) in pairwise(jumps):
        points += [TempoPoint(beat, before), TempoPoint(beat, bpm)]
    ranges = [(float(start), float(start + length)) for start, length in lengths]
    halves = {half for start, end in ranges for half in range(int(start * 2), int(end * 2))}
    seconds: Counter[float] = Counter()
    for half in halves:
        bpm = [each for beat, each in jumps if beat * 2 <= half][-1:] or [jumps[0][1]]
        seconds[bpm[0]] += 30 / bpm[0]
    found = TempoMap(points, 100).prevailing(united(ranges))
    assert found is not None
    assert seconds[found.bpm] >= max(seconds.values()) - 1e-9
    assert (found.lowest, found.highest) == (min(seconds), max(seconds))
