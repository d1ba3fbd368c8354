from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dawa_assets.ableton import clip_collector
from dawa_assets.ableton.onsets import SongOnsets, song_onsets
from dawa_assets.ableton.reader import read_live_set
from tests.dawa_assets.ableton.als_factory import (
    SetSpec,
    TrackSpec,
    drum_rack,
    every_version,
    midi_clip,
    switch,
    value,
    write_als,
)

_SIXTEENTH_CLIP = midi_clip([(60, 0), (62, 1.5)], start=4, end=8, loop=(0, 2))


def _onsets(folder: Path, tracks: Sequence[TrackSpec], **spec: object) -> SongOnsets:
    return song_onsets(read_live_set(write_als(folder, SetSpec(tracks=tracks, **spec)), with_onsets=True))  # type: ignore[arg-type]


@every_version
def test_notes_sound_at_each_turn_of_their_loop(tmp_path: Path, version: int) -> None:
    song = _onsets(tmp_path, [TrackSpec(events=_SIXTEENTH_CLIP)], version=version)
    assert song.seconds.tolist() == [2.0, 2.75, 3.0, 3.75]
    assert song.pitches.tolist() == [60, 62, 60, 62]
    assert np.allclose(song.weights, 100 / 127)
    assert np.allclose(song.ends - song.seconds, 0.125)
    assert (song.has_arrangement, song.length_seconds, song.tempo) == (True, 4.0, 120.0)


def test_what_is_not_heard_has_no_onsets(tmp_path: Path) -> None:
    heard = TrackSpec(id="1", events=midi_clip([(60, 1)]))
    muted = TrackSpec(id="2", events=midi_clip([(60, 2)]), mixer=switch("Speaker", False))
    off = TrackSpec(id="3", events=midi_clip([(60, 3)], disabled=True))
    assert _onsets(tmp_path, [heard, muted, off]).seconds.tolist() == [0.5]
    session = _onsets(tmp_path, [TrackSpec(slot_clips=[midi_clip([(60, 1)])])])
    assert (session.has_arrangement, len(session.seconds)) == (False, 0)


@every_version
def test_automation_of_the_tempo_moves_them(tmp_path: Path, version: int) -> None:
    clip = midi_clip([(60, 0), (60, 4), (60, 8)], end=12)
    points = [(4.0, 120.0), (4.0, 60.0)]
    song = _onsets(tmp_path, [TrackSpec(events=clip)], version=version, tempo_points=points)
    assert np.allclose(song.seconds, [0, 2, 6])
    assert song.bar_at(6.0) == pytest.approx(3)


def test_an_audio_clip_begins_repeats_and_has_markers(tmp_path: Path) -> None:
    loop = "".join(
        f'<{tag} Value="{content}" />'
        for tag, content in (("LoopStart", 0), ("LoopEnd", 4), ("StartRelative", 0), ("LoopOn", "true"))
    )
    markers = "".join(f'<WarpMarker SecTime="{beat}" BeatTime="{beat}" />' for beat in (1, 3, 3.03125))
    clip = (
        f'<AudioClip Time="4">{value("CurrentStart", 4)}{value("CurrentEnd", 12)}<Loop>{loop}</Loop>'
        f"{value('IsWarped', 'true')}<WarpMarkers>{markers}</WarpMarkers></AudioClip>"
    )
    song = _onsets(tmp_path, [TrackSpec(tag="AudioTrack", events=clip)])
    found = dict(zip((song.seconds * 2).tolist(), song.weights.tolist(), strict=True))
    assert found == {4.0: 1.0, 5.0: 0.5, 7.0: 0.5, 8.0: 1.0, 9.0: 0.5, 11.0: 0.5}
    assert set(song.pitches.tolist()) == {-1}


def test_the_pads_of_a_drum_rack_have_no_pitch(tmp_path: Path) -> None:
    song = _onsets(tmp_path, [TrackSpec(events=_SIXTEENTH_CLIP, devices=drum_rack())])
    assert set(song.pitches.tolist()) == {-1}


def test_a_loop_of_a_hair_is_cut_off_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_collector, "MAX_ONSETS", 1_000)
    clip = midi_clip([(60, 0)], end=1e7, loop=(0, 1e-4))
    song = _onsets(tmp_path, [TrackSpec(events=clip), TrackSpec(events=_SIXTEENTH_CLIP)])
    assert len(song.seconds) == 1_000
    assert "more than 1,000" in song.warnings[0]


def test_what_lies_behind_all_music_is_left_out(tmp_path: Path) -> None:
    clips = midi_clip([(60, 0)]) + midi_clip([(60, 0)], start=1e7, end=1e7 + 4)
    song = _onsets(tmp_path, [TrackSpec(events=clips)])
    assert song.seconds.tolist() == [0.0]
    assert "6 hours" in song.warnings[0]
    assert song.length_seconds == 6 * 3600
