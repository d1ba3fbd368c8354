import numpy as np
import pytest

from dawa_assets.example.music import INSTRUMENTS, SAMPLE_RATE, Stroke, hertz, saw


def _spectrum(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    return np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE), power


@pytest.mark.parametrize("name", sorted(INSTRUMENTS))
def test_an_instrument_gives_finite_bounded_repeatable_stereo(name: str) -> None:
    stroke = Stroke(42 if name == "kit" else 57, 0.8, 127)
    sound = INSTRUMENTS[name](stroke)
    assert sound.dtype == np.float32
    assert sound.shape[0] == 2
    assert np.isfinite(sound).all()
    assert 0.05 < np.abs(sound).max() < 4
    assert np.array_equal(sound, INSTRUMENTS[name](stroke))


@pytest.mark.parametrize("name", sorted(set(INSTRUMENTS) - {"kit"}))
def test_a_note_ends_in_silence_and_not_in_a_click(name: str) -> None:
    sound = INSTRUMENTS[name](Stroke(57, 0.5, 110))
    assert np.abs(sound[:, -8:]).max() < 0.02 * np.abs(sound).max()


@pytest.mark.parametrize("name", ["round_bass", "pad", "stab", "pluck", "keys", "lead"])
def test_a_pitched_instrument_sounds_at_its_pitch(name: str) -> None:
    frequencies, power = _spectrum(INSTRUMENTS[name](Stroke(57, 1.0, 100))[0])
    near = np.abs(frequencies / hertz(57) - 1) < 0.03
    below = frequencies < hertz(57) * 0.9
    assert power[near].sum() > 20 * power[below].sum()


@pytest.mark.parametrize("pitch", [33, 57, 81, 93])
def test_the_sawtooth_does_not_alias(pitch: int) -> None:
    frequencies, power = _spectrum(saw(hertz(pitch), SAMPLE_RATE))
    tone = np.abs(frequencies / hertz(pitch) - np.round(frequencies / hertz(pitch))) < 0.02
    tone |= np.abs(frequencies - hertz(pitch) * np.round(frequencies / hertz(pitch))) < 5
    assert power[~tone & (frequencies > 20)].sum() < 1e-5 * power.sum()
    assert power[frequencies > 17_000].sum() < 1e-6 * power.sum()


def test_a_louder_stroke_is_louder() -> None:
    soft, loud = (np.abs(INSTRUMENTS["kit"](Stroke(36, 0.2, velocity))).max() for velocity in (60, 120))
    assert loud > 2 * soft
