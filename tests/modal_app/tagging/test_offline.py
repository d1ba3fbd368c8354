"""The offline tagger says what is true of signals whose truth is known, and keeps silent where it can't know."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.tagging.musical_key import NOTES
from modal_app.tagging.offline import tag_segment, tag_silence

Make = Callable[..., np.ndarray]
RATE = 44_100


@pytest.mark.parametrize("bpm", [90, 124, 174])
@pytest.mark.parametrize("kind", ["clicks", "drums", "drums and chords", "short drums"])
def test_the_sets_tempo_is_confirmed_but_not_one_7_percent_off(
    clicks: Make, drums: Make, chords: Make, bpm: int, kind: str
) -> None:
    signal = {
        "clicks": lambda: clicks(bpm),
        "drums": lambda: drums(bpm),
        "drums and chords": lambda: drums(bpm) + chords(9, "minor"),
        "short drums": lambda: drums(bpm, seconds=6),
    }[kind]()
    right = tag_segment(signal, 0, bpm)
    assert right.tags["tempo"] == f"{bpm} BPM"
    assert f", {bpm} BPM" in right.text
    assert (right.figures["tempo_bpm"], right.figures["tempo_confirmed"]) == (bpm, 1)
    for wrong in (bpm * 1.07, bpm * 0.93):
        tagging = tag_segment(signal, 0, wrong)
        assert str(tagging.tags["tempo"]).endswith("not confirmed by the audio")
        assert "BPM" not in tagging.text
        assert tagging.figures["tempo_confirmed"] == 0


@pytest.mark.parametrize("bpm", [84, 100, 124, 140])
def test_a_clear_beat_is_estimated_without_a_hint(drums: Make, bpm: int) -> None:
    figures = tag_segment(drums(bpm), 0, None).figures
    assert figures["tempo_confirmed"] == 1
    assert min(abs(float(figures["tempo_bpm"] or 0) / factor - bpm) for factor in (0.5, 1, 2)) < 0.5


@pytest.mark.parametrize("hint", [None, 120.0])
def test_no_tempo_is_claimed_where_nothing_beats(chords: Make, hint: float | None) -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(15 * RATE)).astype(np.float32)
    for signal in (noise, chords(0, "major"), np.full(15 * RATE, 0.2, np.float32)):
        tagging = tag_segment(signal, 0, hint)
        assert "BPM" not in tagging.text
        assert tagging.figures["tempo_confirmed"] == 0


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_the_key_of_a_cadence_is_named(chords: Make, tonic: int, mode: str) -> None:
    tagging = tag_segment(chords(tonic, mode), 0, None)
    assert tagging.tags["key"] == f"{NOTES[tonic]} {mode}"
    assert f"{NOTES[tonic]} {mode}" in tagging.text


def test_a_detuned_instrument_has_the_key_that_it_sounds_in(chords: Make) -> None:
    from scipy.signal import resample

    signal = chords(9, "minor")
    flat = resample(signal, int(len(signal) * 2 ** (0.3 / 12))).astype(np.float32)  # 30 cents lower
    assert tag_segment(flat, 0, None).tags["key"] == "A minor"


def test_no_key_is_claimed_of_drums_noise_or_one_tone(drums: Make, clicks: Make) -> None:
    tone = (0.2 * np.sin(2 * np.pi * 220 * np.arange(15 * RATE) / RATE)).astype(np.float32)
    for signal in (drums(124), clicks(124), tone):
        assert "key" not in tag_segment(signal, 0, None).tags


def test_drums_are_percussive_and_pads_are_not(drums: Make, chords: Make) -> None:
    beaten, held = tag_segment(drums(124), 0, 124), tag_segment(chords(0, "minor"), 0, 124)
    assert float(beaten.figures["percussive_share"] or 0) > 0.3
    assert float(held.figures["percussive_share"] or 0) < 0.12
    assert beaten.tags["percussion"] in ("clear percussion", "drum-led")
    assert held.tags["percussion"] == "no percussion"
    assert held.tags["density"] == "sustained"


def test_loudness_is_told_of_the_sound_before_normalisation(chords: Make) -> None:
    signal = chords(0, "major")
    as_is, boosted = tag_segment(signal, 0, None), tag_segment(signal, 30, None)
    assert as_is.figures["loudness_lufs"] == pytest.approx(float(boosted.figures["loudness_lufs"] or 0) + 30, abs=1e-3)
    assert boosted.tags["loudness"] in ("quiet", "very quiet")


def test_loudness_agrees_with_the_standards_reference() -> None:
    """BS.1770: a 997 Hz sine at 0 dBFS in one channel has −3.01 LUFS."""
    sine = np.sin(2 * np.pi * 997 * np.arange(15 * RATE) / RATE).astype(np.float32)
    assert tag_segment(sine, 0, None).figures["loudness_lufs"] == pytest.approx(-3.01, abs=0.05)


def test_bass_and_brightness_follow_the_spectrum() -> None:
    time_axis = np.arange(15 * RATE) / RATE
    low = (0.3 * np.sin(2 * np.pi * 60 * time_axis)).astype(np.float32)
    high = (0.1 * np.diff(np.random.default_rng(0).standard_normal(15 * RATE + 1))).astype(np.float32)
    assert tag_segment(low, 0, None).tags["bass"] == "heavy bass"
    assert tag_segment(low, 0, None).tags["brightness"] == "dark tone"
    assert tag_segment(high, 0, None).tags["bass"] == "no low end"
    assert tag_segment(high, 0, None).tags["brightness"] == "bright tone"


def test_what_builds_up_is_said_to(drums: Make) -> None:
    signal = drums(124)
    ramp = np.linspace(0.05, 1, len(signal), dtype=np.float32)
    assert tag_segment(signal * ramp, 0, 124).tags["movement"] == "building up"
    assert tag_segment(signal * ramp[::-1], 0, 124).tags["movement"] == "fading down"
    assert "movement" not in tag_segment(signal, 0, 124).tags


def test_the_same_signal_gives_the_same_words_and_numbers(drums: Make, chords: Make) -> None:
    signal = drums(124) + chords(2, "minor")
    assert tag_segment(signal, 3.2, 124) == tag_segment(signal.copy(), 3.2, 124)


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 2 * RATE),
    level=st.sampled_from([0.0, 1e-6, 0.5, 1.0]),
    bpm=st.none() | st.floats(20, 999),
    seed=st.integers(0, 99),
)
def test_any_signal_gets_one_line_and_finite_numbers(length: int, level: float, bpm: float | None, seed: int) -> None:
    signal = (level * np.random.default_rng(seed).uniform(-1, 1, length)).astype(np.float32)
    tagging = tag_segment(signal, 0, bpm)
    assert tagging.text
    assert "\n" not in tagging.text
    assert all(value is None or np.isfinite(value) for value in tagging.figures.values())


def test_silence_is_called_silence() -> None:
    assert tag_silence().text == "silence"
