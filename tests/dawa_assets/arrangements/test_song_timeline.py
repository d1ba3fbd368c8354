import gzip
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.arrangements.sections import section_named
from dawa_assets.arrangements.song_timeline import timeline_of
from dawa_assets.example.live_set import live_set
from dawa_assets.example.score import Clip, Part, Song
from dawa_assets.example.score import Section as SongSection
from dawa_assets.example.tracks import songs
from modal_app.protocol.song_timeline import SongTimeline, Voice
from modal_app.training.span_facts import facts_of_span, overlap
from tests.dawa_assets.ableton.als_factory import (
    SetSpec,
    TrackSpec,
    drum_rack,
    midi_clip,
    pad,
    sampler,
    write_als,
)
from tests.shared_data import shared, shared_names


def of_song(folder: Path, song: Song) -> SongTimeline:
    path = folder / "Song.als"
    path.write_bytes(live_set(song))
    return timeline_of(read_live_set(path, with_onsets=True))


def of_spec(folder: Path, spec: SetSpec) -> SongTimeline:
    return timeline_of(read_live_set(write_als(folder, spec), with_onsets=True))


def voice(timeline: SongTimeline, instrument: str) -> Voice:
    return next(each for each in timeline.voices if each.instrument == instrument)


def notes(part: Part, tempo: float) -> list[tuple[float, float]]:
    played = (note for clip in part.clips for note in clip.played())
    return [(note.start * 60 / tempo, (note.start + note.length) * 60 / tempo) for note in played]


@pytest.mark.parametrize("song", songs(), ids=lambda song: song.title)
def test_each_part_of_a_song_sounds_when_its_notes_do(song: Song, tmp_path: Path) -> None:
    timeline = of_song(tmp_path, song)
    assert [layer.track for layer in timeline.layers] == [part.name for part in song.parts]
    for layer, part in zip(timeline.layers, song.parts, strict=True):
        heard = notes(part, song.tempo)
        # only pauses of up to a bar are in it that are not in the notes
        assert layer.spans[0][0] == pytest.approx(heard[0][0], abs=0.001)
        assert all(overlap(layer.spans, each) == pytest.approx(each[1] - each[0], abs=0.01) for each in heard)
        bar = 240 / song.tempo
        for start, end in layer.spans:
            starts = sorted({begin for begin, _ in heard if start - 0.01 <= begin <= end})
            assert all(after - before <= 2 * bar for before, after in pairwise(starts))
    assert [each.name for each in timeline.sections] == [section_named(each.name) for each in song.sections]
    assert timeline.end == pytest.approx(song.beats * 60 / song.tempo, abs=0.001)
    assert len(timeline.bars) == round(song.beats / 4) + 1


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ('<Disabled Value="false" />', '<Disabled Value="true" />'),
        ('<Disabled Value="false" />', '<Disabled Value="false" /><SampleVolume Value="0" />'),
        ('<Speaker><Manual Value="true" />', '<Speaker><Manual Value="false" />'),
    ],
    ids=["deactivated", "without-gain", "muted"],
)
def test_what_cannot_be_heard_has_no_voice(there: str, instead: str, tmp_path: Path) -> None:
    def timeline(text: str) -> SongTimeline:
        (tmp_path / "Song.als").write_bytes(gzip.compress(text.encode()))
        return timeline_of(read_live_set(tmp_path / "Song.als", with_onsets=True))

    text = re.sub(r">\s+<", "><", gzip.decompress(live_set(songs()[0])).decode())
    tracks = text.split("<AudioTrack ")
    (riser,) = [number for number, each in enumerate(tracks) if '<UserName Value="Riser"' in each]
    assert there in tracks[riser]
    tracks[riser] = tracks[riser].replace(there, instead)
    assert "risers" in [each.instrument for each in timeline(text).voices]
    assert "risers" not in [each.instrument for each in timeline("<AudioTrack ".join(tracks)).voices]


def test_a_pad_sounds_where_its_own_notes_are(tmp_path: Path) -> None:
    kicks = [(36, beat) for beat in range(4)]
    clips = midi_clip(kicks, 0, 16, (0, 4)) + midi_clip([*kicks, (38, 1), (38, 3)], 16, 32, (0, 4))
    rack = drum_rack(pad("Kick", 36, sampler(12, "S/Kick.wav")), pad("Snare", 38, sampler(12, "S/Snare.wav")))
    timeline = of_spec(tmp_path, SetSpec(tracks=[TrackSpec(name="Kit", id="1", events=clips, devices=rack)]))
    assert voice(timeline, "kick").spans == [(0.0, 15.625)]
    assert voice(timeline, "snare").spans == [(8.5, 15.625)]
    assert "drums" not in [each.instrument for each in timeline.voices]


def test_an_example_with_pads_and_silent_parts_is_read_so(tmp_path: Path) -> None:
    song = songs()[1]
    kit, *others = song.parts
    pads = (("Kick Felt", 36), ("Snare Paper", 38), ("Hat Brushed", 42), ("Cowbell", 56))
    silent = (replace(others[0], name="Congas", muted=True), replace(others[1], name="Vocals", clips=_off(others[1])))
    timeline = of_song(tmp_path, replace(song, parts=(replace(kit, pads=pads), *others, *silent)))
    named = {each.instrument for each in timeline.voices}
    assert {"kick", "snare", "hi-hats"} <= named
    assert not named & {"cowbell", "congas", "vocals"}


def _off(part: Part) -> tuple[Clip, ...]:
    return tuple(replace(clip, active=False) for clip in part.clips)


def test_a_set_without_an_arrangement_has_no_voice(tmp_path: Path) -> None:
    song = songs()[0]
    session = replace(song, parts=tuple(replace(part, clips=()) for part in song.parts))
    timeline = of_song(tmp_path, session)
    assert timeline.voices == [] == timeline.layers
    assert facts_of_span(timeline, 0, 15) is None


def test_an_end_with_few_layers_is_an_intro(tmp_path: Path) -> None:
    song = replace(songs()[2], sections=(SongSection("mix louder here", 0, 28),), scenes=())
    timeline = of_song(tmp_path, song)
    assert [each.name for each in timeline.sections] == ["intro", None]
    assert [each.seconds for each in timeline.sections] == pytest.approx([0, 8 * 240 / 174], abs=0.001)


def test_scenes_tell_sections_where_their_clips_were_recorded(tmp_path: Path) -> None:
    def track(number: int, name: str) -> TrackSpec:
        return TrackSpec(
            tag="AudioTrack",
            id=str(number),
            name=name,
            clips=[(0, 16, f"{name} a"), (16, 48, f"{name} b")],
            slots=[f"{name} a", f"{name} b"],
        )

    tracks = [track(1, "Bass"), track(2, "Pad")]
    timeline = of_spec(tmp_path, SetSpec(tracks=tracks, scenes=("Verse 1", "Chorus", "")))
    assert [(each.seconds, each.name) for each in timeline.sections] == [(0.0, "verse"), (8.0, "chorus")]


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("Drop 2", "drop"),
        ("PRE-CHORUS", "pre-chorus"),
        ("build up", "build"),
        ("Breakdown!", "breakdown"),
        ("Hook", "chorus"),
        ("ending", "outro"),
        ("raindrops", None),
        ("mix this louder", None),
        ("", None),
    ],
)
def test_names_of_sections(name: str, section: str | None) -> None:
    assert section_named(name) == section


@pytest.mark.parametrize("name", shared_names("als", "*.als")[::9])
def test_a_real_sets_timeline_keeps_within_its_bounds(name: str) -> None:
    timeline = timeline_of(read_live_set(shared("als", name), with_onsets=True))
    for each in (*timeline.voices, *timeline.layers):
        assert all(0 <= start < end <= timeline.end + 0.001 for start, end in each.spans)
        assert all(before[1] < after[0] for before, after in pairwise(each.spans))
    found = facts_of_span(timeline, 0, timeline.end)
    assert (found is None) == (timeline.end == 0)
