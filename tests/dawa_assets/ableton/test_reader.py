from pathlib import Path

import pytest

from dawa_assets.ableton.live_set import Plugin, Sample, Scale
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.time_map import TempoPoint
from dawa_assets.errors import UnreadableLiveSetError
from tests.dawa_assets.ableton.als_factory import (
    SetSpec,
    TrackSpec,
    every_version,
    max_device,
    plugin,
    rack,
    sample_ref,
    sampler,
    value,
    write_als,
)


@every_version
def test_the_manual_tempo_is_the_tempo_whatever_automation_does(tmp_path: Path, version: int) -> None:
    spec = SetSpec(version=version, tempo="97.5", tempo_points=[(0, 60), (16, 180)])
    live_set = read_live_set(write_als(tmp_path, spec))
    assert live_set.tempo == 97.5
    assert live_set.tempo_changes == (TempoPoint(0, 60), TempoPoint(16, 180))


@every_version
def test_a_point_before_time_is_no_tempo_change(tmp_path: Path, version: int) -> None:
    assert read_live_set(write_als(tmp_path, SetSpec(version=version))).tempo_changes == ()


@every_version
@pytest.mark.parametrize(
    ("code", "signature"),
    [("201", "4/4"), ("303", "7/8"), ("200", "3/4"), ("0", "1/1"), ("302", "6/8"), ("410", "15/16")],
)
def test_a_time_signature_is_decoded(tmp_path: Path, version: int, code: str, signature: str) -> None:
    assert str(read_live_set(write_als(tmp_path, SetSpec(version=version, signature=code))).time_signature) == signature


def test_bars_are_counted_in_the_sets_time_signature(tmp_path: Path) -> None:
    track = TrackSpec(clips=[(0, 14, "a"), (21, 35, "b")])
    live_set = read_live_set(write_als(tmp_path, SetSpec(signature="303", tracks=[track])))
    assert live_set.length_beats == 35
    assert live_set.length_bars == 10


@every_version
def test_clips_of_both_views_are_read_and_frozen_ones_are_not(tmp_path: Path, version: int) -> None:
    track = TrackSpec(clips=[(0, 8, "intro"), (8, 24, "drop")], slots=[None, "loop", None, ""])
    (read,) = read_live_set(write_als(tmp_path, SetSpec(version=version, tracks=[track]))).tracks
    assert [(clip.start, clip.end, clip.name) for clip in read.arrangement_clips] == [(0, 8, "intro"), (8, 24, "drop")]
    assert [(clip.slot, clip.name) for clip in read.session_clips] == [(1, "loop"), (3, "")]
    assert read.clips == 4


@every_version
def test_types_names_and_colours_of_tracks_are_read(tmp_path: Path, version: int) -> None:
    tags = ("MidiTrack", "AudioTrack", "GroupTrack", "ReturnTrack")
    tracks = [TrackSpec(tag=tag, id=str(10 + i), name=f"Träck & <{i}> 🎹", colour=i * 20) for i, tag in enumerate(tags)]
    live_set = read_live_set(write_als(tmp_path, SetSpec(version=version, tracks=tracks)))
    assert [track.type for track in live_set.tracks] == ["MIDI", "Audio", "Group", "Return"]
    assert [track.name for track in live_set.tracks] == [f"Träck & <{i}> 🎹" for i in range(4)]
    assert [track.colour for track in live_set.tracks] == [0, 20, 40, 60]
    assert live_set.live_version == f"{version}.0.1"


@every_version
def test_an_unnamed_track_is_called_by_its_number_and_type(tmp_path: Path, version: int) -> None:
    tracks = [TrackSpec(tag=tag) for tag in ("MidiTrack", "AudioTrack", "GroupTrack", "ReturnTrack", "ReturnTrack")]
    live_set = read_live_set(write_als(tmp_path, SetSpec(version=version, tracks=tracks)))
    assert [track.name for track in live_set.tracks] == ["1-MIDI", "2-Audio", "3-Group", "A-Return", "B-Return"]


@every_version
def test_groups_nest(tmp_path: Path, version: int) -> None:
    tracks = [
        TrackSpec(tag="GroupTrack", id="1"),
        TrackSpec(tag="GroupTrack", id="2", group="1"),
        TrackSpec(id="3", group="2"),
        TrackSpec(id="4", group="1"),
        TrackSpec(id="5"),
    ]
    live_set = read_live_set(write_als(tmp_path, SetSpec(version=version, tracks=tracks)))
    assert [(track.group, track.level) for track in live_set.tracks] == [(None, 0), (0, 1), (1, 2), (0, 1), (None, 0)]


def test_groups_that_hold_each_other_are_no_trap(tmp_path: Path) -> None:
    tracks = [
        TrackSpec(tag="GroupTrack", id="1", group="2"),
        TrackSpec(tag="GroupTrack", id="2", group="1"),
        TrackSpec(tag="GroupTrack", id="3", group="3"),
        TrackSpec(id="4", group="99"),
    ]
    live_set = read_live_set(write_als(tmp_path, SetSpec(tracks=tracks)))
    assert [(track.group, track.level) for track in live_set.tracks] == [(None, 0), (0, 1), (None, 0), (None, 0)]


@every_version
def test_plugins_of_every_format_are_found_at_any_depth_of_racks(tmp_path: Path, version: int) -> None:
    inside = rack(plugin("Deep & Low", "VST2") + rack(plugin("Deeper", "AU")))
    track = TrackSpec(devices=plugin("Top", "VST3") + inside + '<Eq8 Id="3" />')
    spec = SetSpec(version=version, tracks=[track], main_devices=plugin("Limiter"))
    live_set = read_live_set(write_als(tmp_path, spec))
    (read,) = live_set.tracks
    assert read.plugins == (Plugin("Top", "VST3"), Plugin("Deep & Low", "VST2"), Plugin("Deeper", "AU"))
    assert [(device.kind, device.level) for device in read.devices] == [
        ("PluginDevice", 0),
        ("InstrumentGroupDevice", 0),
        ("PluginDevice", 1),
        ("InstrumentGroupDevice", 1),
        ("AuPluginDevice", 2),
        ("Eq8", 0),
    ]
    assert live_set.main_plugins == (Plugin("Limiter", "VST3"),)


@every_version
def test_samples_and_max_patches_are_found_with_their_paths(tmp_path: Path, version: int) -> None:
    devices = rack(sampler(version, "Samples/Kick.wav", "Samples/Kick.wav", "Hat.aif")) + max_device(
        version, "Wob.amxd"
    )
    lane = f"<TakeLanes><TakeLanes><TakeLane><AudioClip>{sample_ref(version, 'a/Take.wav')}</AudioClip></TakeLane></TakeLanes></TakeLanes>"  # fmt: skip  # noqa: E501
    live_set = read_live_set(
        write_als(tmp_path, SetSpec(version=version, tracks=[TrackSpec(devices=devices, extra=lane)]))
    )
    (read,) = live_set.tracks
    assert [(sample.name, sample.path) for sample in read.samples] == [
        ("Kick.wav", "Samples/Kick.wav"),
        ("Hat.aif", "Hat.aif"),
        ("Take.wav", "a/Take.wav"),
    ]
    assert read.max_patches == ("Wob.amxd",)
    assert read.clips == 0


def test_a_windows_path_is_split_too(tmp_path: Path) -> None:
    file = value("Path", r"C:\Samples\Big Snare.wav")
    reference = f"<SampleRef><FileRef>{file}</FileRef></SampleRef>"
    device = f'<OriginalSimpler Id="0"><Part>{reference}</Part></OriginalSimpler>'
    (track,) = read_live_set(write_als(tmp_path, SetSpec(tracks=[TrackSpec(devices=device)]))).tracks
    assert track.samples == (Sample("Big Snare.wav", "C:/Samples/Big Snare.wav", "elsewhere"),)


@every_version
@pytest.mark.parametrize(("points", "automated"), [((-63072000,), 0), ((-63072000, 4), 1), ((0,), 1), ((), 0)])
def test_automation_needs_a_point_in_the_song(
    tmp_path: Path, version: int, points: tuple[float, ...], automated: int
) -> None:
    track = TrackSpec(parameter_points=points)
    (read,) = read_live_set(write_als(tmp_path, SetSpec(version=version, tracks=[track]))).tracks
    assert read.automated_parameters == automated


@every_version
def test_locators_and_scenes_are_read(tmp_path: Path, version: int) -> None:
    spec = SetSpec(version=version, locators=[(32, "Drop"), (0, "Intro")], scenes=["Verse", "", "Out"])
    live_set = read_live_set(write_als(tmp_path, spec))
    assert [(locator.time, locator.name) for locator in live_set.locators] == [(32, "Drop"), (0, "Intro")]
    assert live_set.scenes == ("Verse", "", "Out")


@pytest.mark.parametrize(
    ("root", "name", "in_key", "scale"),
    [
        ("RootNote", "Minor", "true", Scale("F#", "Minor")),
        ("Root", "1", "true", Scale("F#", "Minor")),
        ("Root", "2", "true", Scale("F#", "Dorian")),
        ("Root", "11", "false", Scale("F#", "Minor Pentatonic")),
        ("Root", "17", "true", Scale("F#", "Melodic Minor")),
        ("Root", "34", "true", Scale("F#", "Messiaen 7")),
        ("Root", "35", "true", None),
        ("Root", "999999", "true", None),
        ("Root", "1", "false", Scale("F#", "Minor")),
        ("RootNote", "", "true", None),
    ],
)
def test_a_scale_counts_when_it_is_known_whether_held_to_or_not(
    tmp_path: Path, root: str, name: str, in_key: str, scale: Scale | None
) -> None:
    information = f"<ScaleInformation>{value(root, 6)}{value('Name', name)}</ScaleInformation>"
    live_set = read_live_set(write_als(tmp_path, SetSpec(scale=information + value("InKey", in_key))))
    assert (live_set.scale, live_set.in_key) == (scale, in_key == "true")


def test_the_default_scale_says_nothing(tmp_path: Path) -> None:
    information = f"<ScaleInformation>{value('Root', 0)}{value('Name', 0)}</ScaleInformation>"
    spec = SetSpec(scale=information + value("InKey", "true"))
    assert read_live_set(write_als(tmp_path, spec)).scale is None


@pytest.mark.parametrize("tempo", ["NaN", "inf", "-1e400", "19.9", "1000", "", "fast", "1e9999"])
def test_a_tempo_that_is_none_is_refused(tmp_path: Path, tempo: str) -> None:
    with pytest.raises(UnreadableLiveSetError, match=r"^set\.als: its tempo is '.*', not a number .*; open it in Live"):
        read_live_set(write_als(tmp_path, SetSpec(tempo=tempo)))


@pytest.mark.parametrize("signature", ["-1", "495", "999999999", "nan", "x"])
def test_a_time_signature_that_is_none_is_refused(tmp_path: Path, signature: str) -> None:
    with pytest.raises(UnreadableLiveSetError, match="its time signature is"):
        read_live_set(write_als(tmp_path, SetSpec(signature=signature)))


@pytest.mark.parametrize("end", ["nan", "1e300", "inf"])
def test_a_clip_at_an_absurd_place_is_refused(tmp_path: Path, end: str) -> None:
    track = TrackSpec(clips=[(0, float(end), "x")])
    with pytest.raises(UnreadableLiveSetError, match="the end of a clip is"):
        read_live_set(write_als(tmp_path, SetSpec(tracks=[track])))


def test_names_are_kept_to_one_line_and_a_sane_length(tmp_path: Path) -> None:
    name = "a&#10;b"
    track = TrackSpec(name="x" * 100_000)
    path = write_als(tmp_path, SetSpec(tracks=[track], extra=f'<Tracks><MidiTrack><Name><UserName Value="{name}" /></Name></MidiTrack></Tracks>'))  # fmt: skip  # noqa: E501
    long, odd = read_live_set(path).tracks
    assert len(long.name) == 400
    assert odd.name == "a b"
