"""Recordings are found again after what happens to them on the way, and no other one is taken for them.

Every change is really made, to 45 s of a recording: of one of them here, of all in the slow tests.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._changes import as_coded, changed, inside
from modal_app.audio.decode import open_audio
from modal_app.audio.fingerprint import SAMPLE_RATE, Fingerprint, Fingerprinter
from modal_app.audio.fingerprint_index import FingerprintIndex, Likeness
from tests.shared_data import SHARED, shared

Signal = npt.NDArray[np.float32]

RECORDINGS = ("brahms_hungarian_5.ogg", "humpback_mono.ogg", "lets_go_fishin.ogg", "vibe_ace.ogg")
OTHER_FORMS = ("vibe_ace_aac.m4a", "vibe_ace_vbr_noxing.mp3", "vibe_ace_vbr_v4_mono.mp3")
RATE = 44_100

CHANGES: dict[str, Callable[[Signal], Signal]] = {
    "mp3 at 64 kbit/s": lambda sound: as_coded(sound, RATE),
    "AAC": lambda sound: as_coded(sound, RATE, "aac", 96_000),
    "without its first 5 s": lambda sound: sound[5 * RATE :],
    "3 dB lower": lambda sound: sound * np.float32(10 ** (-3 / 20)),
    "a semitone higher": lambda sound: changed(sound, 1),
    "a semitone lower": lambda sound: changed(sound, -1),
    "3 % faster": lambda sound: changed(sound, speed=1.03),
    "3 % slower": lambda sound: changed(sound, speed=0.97),
    "higher and faster": lambda sound: changed(sound, 1, 1.03),
    "higher and slower": lambda sound: changed(sound, 1, 0.97),
    "lower and faster": lambda sound: changed(sound, -1, 1.03),
    "lower and slower": lambda sound: changed(sound, -1, 0.97),
    "played 3 % faster by a tape": lambda sound: soxr.resample(sound, RATE * 1.03, RATE),
    "at 22,050 Hz": lambda sound: soxr.resample(soxr.resample(sound, RATE, RATE / 2), RATE / 2, RATE),
}


SEMITONES = {
    change: 1.0 if "higher" in change else -1.0 for change in CHANGES if "higher" in change or "lower and" in change
}
SEMITONES |= {"a semitone lower": -1.0, "played 3 % faster by a tape": 0.512}


@functools.cache
def recording(name: str) -> Signal:
    with open_audio(shared("audio", name)) as audio:
        signal = np.concatenate(list(audio.blocks()))[: 45 * audio.sample_rate]
        assert audio.sample_rate == RATE
    return signal


def fingerprint(signal: Signal, sample_rate: int = RATE, block: int = 65_536) -> Fingerprint:
    printer = Fingerprinter(sample_rate)
    for at in range(0, len(signal), block):
        printer.feed(signal[at : at + block])
    return printer.fingerprint()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> FingerprintIndex:
    prints = (fingerprint(recording(name)) for name in RECORDINGS)
    return FingerprintIndex(prints, tmp_path_factory.mktemp("index"))


def found(index: FingerprintIndex, signal: Signal) -> dict[str, Likeness]:
    return {RECORDINGS[each.sound]: each for each in index.find(fingerprint(signal))}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "name", [name if name == "vibe_ace.ogg" else pytest.param(name, marks=pytest.mark.slow) for name in RECORDINGS]
)
def test_a_changed_recording_is_found_and_no_other(index: FingerprintIndex, name: str, change: str) -> None:
    copy = CHANGES[change](recording(name))
    matches = found(index, copy)
    assert set(matches) == {name}
    assert matches[name].seconds > 0.8 * len(copy) / RATE
    assert matches[name].pitch == pytest.approx(SEMITONES.get(change, 0), abs=0.15)


@pytest.mark.parametrize("name", RECORDINGS)
def test_eight_seconds_inside_other_music_are_found(index: FingerprintIndex, name: str) -> None:
    other = RECORDINGS[RECORDINGS.index(name) - 1]
    matches = found(index, inside(recording(other), recording(name), RATE))
    assert set(matches) == {name, other}
    assert 6 < matches[name].seconds < 10
    assert matches[name].other_start == pytest.approx(len(recording(name)) / 2 / RATE, abs=0.6)
    assert matches[name].start == pytest.approx(len(recording(other)) / 2 / RATE, abs=0.6)


@pytest.mark.parametrize("name", OTHER_FORMS)
def test_the_same_music_in_another_format_is_found(index: FingerprintIndex, name: str) -> None:
    assert set(found(index, recording(name))) == {"vibe_ace.ogg"}


def test_no_two_recordings_are_alike(index: FingerprintIndex) -> None:
    for number, name in enumerate(RECORDINGS):
        assert index.find(fingerprint(recording(name)), number) == []


@pytest.mark.parametrize("path", sorted(SHARED.glob("audio/*loop*.flac")), ids=lambda path: path.stem)
def test_short_loops_are_found_but_in_nothing_else(index: FingerprintIndex, path: Path, tmp_path: Path) -> None:
    with open_audio(path) as audio:
        loop = np.concatenate(list(audio.blocks()))
        rate = audio.sample_rate
    assert index.find(fingerprint(loop, rate)) == []
    own = FingerprintIndex([fingerprint(loop, rate)], tmp_path)
    assert own.find(fingerprint(loop * np.float32(0.5), rate))[0].hits > 20


def test_blocks_of_any_size_give_the_same_fingerprint() -> None:
    sound = np.random.default_rng(5).normal(0, 0.1, 30 * SAMPLE_RATE).astype(np.float32)
    whole, pieces = fingerprint(sound, SAMPLE_RATE, len(sound)), fingerprint(sound, SAMPLE_RATE, 1_000)
    assert np.allclose(whole.frames, pieces.frames, atol=1e-3)
    assert np.allclose(whole.pitches, pieces.pitches, atol=1e-3)


def test_silence_and_next_to_nothing_have_no_landmarks(tmp_path: Path) -> None:
    for sound in (np.zeros(5 * RATE, np.float32), np.zeros(0, np.float32), np.ones(3, np.float32)):
        print_ = fingerprint(sound)
        assert len(print_.frames) == 0
        (folder := tmp_path / str(len(sound))).mkdir()
        assert FingerprintIndex([print_], folder).find(print_) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(50, 104)), max_size=50).map(sorted),
    st.binary(max_size=40),
)
def test_a_fingerprint_is_stored_and_read_back(peaks: list[tuple[float, float]], noise: bytes) -> None:
    frames, pitches = (np.array([peak[side] for peak in peaks], np.float32) for side in (0, 1))
    again = Fingerprint.from_bytes(Fingerprint(frames, pitches).to_bytes())
    assert np.allclose(again.frames, frames, atol=0.2)
    assert np.allclose(again.pitches, pitches, atol=0.03)
    with pytest.raises(ValueError, match="no fingerprint"):
        Fingerprint.from_bytes(noise)
