import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.ableton.alignment import Alignment, align
from dawa_assets.ableton.onsets import SongOnsets, song_onsets
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.time_map import MetreMap, TempoMap, TimeSignature
from dawa_assets.example.compose import write_audio
from dawa_assets.example.live_set import live_set
from dawa_assets.example.mix import play
from dawa_assets.example.score import Song
from dawa_assets.example.tracks import songs
from modal_app.audio.alignment_features import AlignmentFeatures, features_of, measure_features
from tests.command_line import dawa
from tests.dawa_assets.ableton.als_factory import SetSpec, TrackSpec, midi_clip, write_als
from tests.shared_data import SHARED, shared

Signal = npt.NDArray[np.float32]
_RATE = 44_100
_LANTERNS = songs()[1]


@pytest.fixture(scope="module")
def bounce() -> Signal:
    return play(_LANTERNS)


@pytest.fixture(scope="module")
def set_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Song], SongOnsets]:
    def read(song: Song) -> SongOnsets:
        path = tmp_path_factory.mktemp("set") / "Song.als"
        path.write_bytes(live_set(song))
        return song_onsets(read_live_set(path, with_onsets=True))

    return read


def _heard(signal: Signal) -> AlignmentFeatures:
    return features_of(np.array_split(signal.mean(axis=0), 30), _RATE)


@pytest.mark.parametrize(
    ("begins", "seconds", "silence"),
    [(0.0, 41.0, 0.0), (0.0, 30.0, 3.37), (10.5, 21.0, 0.0), (17.142857, 20.0, 0.0)],
    ids=["whole", "silence-before", "section", "from-a-bar"],
)
def test_a_bounce_is_found_where_it_begins(
    bounce: Signal, set_of: Callable[[Song], SongOnsets], begins: float, seconds: float, silence: float
) -> None:
    part = bounce[:, round(begins * _RATE) : round((begins + seconds) * _RATE)]
    found = align(set_of(_LANTERNS), _heard(np.pad(part, ((0, 0), (round(silence * _RATE), 0)))))
    assert found.answer == "aligned", found
    assert found.offset_seconds == pytest.approx(begins - silence, abs=0.05)
    assert found.bar == pytest.approx(1 + (begins - silence) * 84 / 240, abs=0.02)
    assert found.confidence > 0.5


def test_another_tempo_than_the_sets_is_found_and_reported(
    bounce: Signal, set_of: Callable[[Song], SongOnsets]
) -> None:
    faster = set_of(replace(_LANTERNS, tempo=110.0))
    found = align(faster, _heard(bounce))
    assert (found.answer, found.tempo) == ("aligned", 84.0), found
    assert found.offset_seconds == pytest.approx(0, abs=0.05)
    assert "rendered at 84 BPM, the set is at 110 now" in found.reasons


def test_other_music_is_not_this_arrangement(bounce: Signal, set_of: Callable[[Song], SongOnsets]) -> None:
    assert align(set_of(songs()[0]), _heard(bounce)).answer == "not this arrangement"


def test_the_same_beat_in_another_key_is_not_aligned(bounce: Signal, set_of: Callable[[Song], SongOnsets]) -> None:
    song = set_of(_LANTERNS)
    assert align(song, _heard(bounce)).answer == "aligned"
    fifth_up = np.where(song.pitches >= 0, song.pitches + 7, song.pitches)
    assert align(replace(song, pitches=fifth_up), _heard(bounce)).answer == "can't be told"


def test_a_session_and_a_short_sound_cant_be_told(bounce: Signal, set_of: Callable[[Song], SongOnsets]) -> None:
    parts = tuple(replace(part, clips=(), session=part.clips) for part in _LANTERNS.parts)
    session = align(set_of(replace(_LANTERNS, parts=parts)), _heard(bounce[:, : 10 * _RATE]))
    assert (session.answer, session.confidence, session.score) == ("can't be told", 0.0, None)
    assert "session view" in session.reasons[0]
    short = align(set_of(_LANTERNS), _heard(bounce[:, : 5 * _RATE]))
    assert "lasts 5.0 s" in short.reasons[0]
    silent = align(set_of(_LANTERNS), _heard(np.zeros((2, 10 * _RATE), np.float32)))
    assert "silent" in silent.reasons[0]


def test_a_loop_that_comes_again_has_no_one_place() -> None:
    grid = _random_onsets(5, seconds=4.0)
    song = _song(np.concatenate([grid + 4.0 * number for number in range(8)]))
    found = align(song, _sound(np.concatenate([grid + 4.0 * number for number in range(3)]), 12.0))
    assert found.answer == "can't be told"
    assert "fit alike" in found.reasons[0]


def test_no_real_pair_of_strangers_is_aligned() -> None:
    shared("als")
    sounds = {
        name: measure_features(SHARED / "audio" / name)
        for name in ("brahms_hungarian_5.ogg", "vibe_ace_vbr_noxing.mp3", "sonicpi_loop_tabla.flac")
    }
    answers = set()
    for path in sorted((SHARED / "als").glob("*.als")):
        song = song_onsets(read_live_set(path, with_onsets=True))
        for name, sound in sounds.items():
            found = align(song, sound, tempos=[90.0])
            assert found.answer != "aligned", (path.name, name, found)
            answers.add(found.answer)
    assert answers == {"not this arrangement", "can't be told"}


# -- the pure function, on onsets without a sound ---------------------------------------------------------------------


def _random_onsets(seed: int, seconds: float) -> npt.NDArray[np.float64]:
    random = np.random.default_rng(seed)
    return np.sort(random.uniform(0, seconds, int(3 * seconds)))


def _song(seconds: npt.NDArray[np.float64]) -> SongOnsets:
    count = len(seconds)
    tempo = TempoMap([], 120.0)
    pitches = np.full(count, -1, np.int64)
    return SongOnsets(
        seconds, np.ones(count), pitches, seconds, float(seconds.max()), 120.0, tempo, MetreMap(TimeSignature(4, 4), [])
    )


def _sound(seconds: npt.NDArray[np.float64], length: float, noise: int | None = None) -> AlignmentFeatures:
    onsets = np.zeros(int(length * 100) + 1)
    places = np.rint(seconds * 100).astype(int)
    np.add.at(onsets, places[(places >= 0) & (places < len(onsets))], 0.1)
    onsets = np.convolve(onsets, [0.3, 0.8, 1.0, 0.6], mode="full")[1 : len(onsets) + 1]
    if noise is not None:
        onsets += np.random.default_rng(noise).exponential(0.01, len(onsets))
    return AlignmentFeatures(onsets.astype(np.float32), np.zeros((int(length * 10) + 1, 12), np.float32), length)


def _figures(found: Alignment) -> tuple[str, float | None, float | None]:
    return found.answer, found.offset_seconds, found.score


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1_000), shift=st.integers(-800, 800))
def test_shifting_the_sound_shifts_the_answer(seed: int, shift: int) -> None:
    seconds = np.round(_random_onsets(seed, 40.0), 2)
    here = align(_song(seconds), _sound(seconds, 40.0, noise=seed))
    there = align(_song(seconds), _sound(seconds + shift / 100, 40.0, noise=seed))
    assert (here.answer, there.answer) == ("aligned", "aligned")
    assert here.offset_seconds == pytest.approx(0.0, abs=0.02)
    assert there.offset_seconds == pytest.approx(-shift / 100, abs=0.02)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1_000), length=st.floats(8.0, 90.0))
def test_noise_is_never_aligned(seed: int, length: float) -> None:
    found = align(_song(_random_onsets(seed, 40.0)), _sound(np.zeros(0), length, noise=seed), tempos=[90.0, 60.0])
    assert found.answer != "aligned", found


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000), level=st.floats(1e-3, 1e3), weight=st.floats(0.25, 1.0))
def test_levels_change_no_answer(seed: int, level: float, weight: float) -> None:
    song = _song(_random_onsets(seed, 30.0))
    sound = _sound(song.seconds - 5, 20.0, noise=seed)
    here = align(song, sound)
    louder = replace(sound, onsets=(sound.onsets * np.float32(level)).astype(np.float32))
    assert _figures(align(song, louder)) == pytest.approx(_figures(here), abs=2e-3)
    assert align(replace(song, weights=song.weights * weight), sound).offset_seconds == pytest.approx(
        here.offset_seconds, abs=0.01
    )


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_tells_a_person_and_a_program(tmp_path: Path, bounce: Signal) -> None:
    (tmp_path / "Lanterns.als").write_bytes(live_set(_LANTERNS))
    write_audio(bounce, tmp_path / "Lanterns.mp3", _RATE)
    told = dawa("als", "align", "Lanterns.als", "Lanterns.mp3", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    for words in ("Lanterns.mp3: aligned (confidence", "bar 1", "alignment-v1", "as long as the arrangement"):
        assert words in told.stdout, told.stdout
    plain = json.loads(dawa("als", "align", "Lanterns.als", "Lanterns.mp3", "--json", cwd=tmp_path).stdout)
    assert plain["answer"] == "aligned"
    assert abs(plain["offset_seconds"]) < 0.05


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    als = write_als(tmp_path, SetSpec(tracks=[TrackSpec(events=midi_clip([(60, 0)]))]))
    (tmp_path / "no.mp3").write_bytes(b"no sound")
    for set_name, bounce_name in (("missing.als", "no.mp3"), (als.name, "no.mp3"), (als.name, "missing.wav")):
        done = dawa("als", "align", set_name, bounce_name, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("dawa: ")
