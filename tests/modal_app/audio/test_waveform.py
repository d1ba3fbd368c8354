"""Waveforms and loudness of real files: extremes where they are, levels by R 128, windows that miss nothing."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from modal_app.audio.waveform import POINTS_A_SECOND, in_window, measure_waveform
from modal_app.errors import UnreadableAudioError


def _write(path: Path, signal: np.ndarray, sample_rate: int = 48_000) -> Path:
    soundfile.write(path, signal, sample_rate, subtype="FLOAT")
    return path


def test_loudness_and_peak_of_a_tone_follow_the_standard(tmp_path: Path) -> None:
    time = np.arange(48_000 * 5) / 48_000
    tone = 10 ** (-23 / 20) * np.sin(2 * np.pi * 997 * time)  # EBU Tech 3341: −23 dBFS in both channels is −23 LUFS
    found = measure_waveform(_write(tmp_path / "tone.wav", np.stack([tone, tone], axis=1)))
    assert found.loudness.integrated_lufs == pytest.approx(-23, abs=0.1)
    assert found.loudness.true_peak_dbtp == pytest.approx(-23, abs=0.3)
    assert (found.seconds, found.sample_rate, found.channels) == (5.0, 48_000, 2)
    assert len(found.low) == len(found.high) == len(found.rms) == 5 * POINTS_A_SECOND
    assert {*found.high.tolist()} <= {8, 9}
    assert found.rms.mean() == pytest.approx(6, abs=1)


def test_a_click_keeps_its_place_at_every_sample_rate(tmp_path: Path) -> None:
    for sample_rate, at in ((44_100, 123_457), (8_000, 19_999), (22_050, 40_001)):
        signal = np.zeros(150_000)
        signal[at] = 0.9
        found = measure_waveform(_write(tmp_path / f"{sample_rate}.wav", signal, sample_rate))
        assert np.flatnonzero(found.high).tolist() == [int(at * POINTS_A_SECOND / sample_rate)]


def test_digital_silence_and_less_than_a_point_have_no_loudness(tmp_path: Path) -> None:
    for samples in (1, 100, 96_000):
        found = measure_waveform(_write(tmp_path / "silence.wav", np.zeros(samples)))
        assert (found.loudness.integrated_lufs, found.loudness.true_peak_dbtp) == (None, None)
        assert len(found.low) == -(-samples * POINTS_A_SECOND // 48_000)


def test_one_channel_alone_is_seen(tmp_path: Path) -> None:
    left = np.stack([np.full(4_800, -0.5), np.zeros(4_800)], axis=1)
    found = measure_waveform(_write(tmp_path / "left.wav", left))
    assert {*found.low.tolist()} == {-64}
    assert {*found.high.tolist()} == {0}


def test_what_is_no_audio_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(UnreadableAudioError):
        measure_waveform(tmp_path / "a.wav")


@given(
    st.lists(st.integers(-127, 127), min_size=1, max_size=900),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 400),
)
def test_a_window_holds_exactly_the_extremes_of_its_range(values: list[int], a: float, b: float, wanted: int) -> None:
    points = np.array(values, np.int8)
    seconds = len(points) / POINTS_A_SECOND
    start, end = sorted((a * seconds, b * seconds))
    high = in_window(points, start, end, wanted, np.maximum)
    low = in_window(points, start, end, wanted, np.minimum)
    mean = in_window(points, start, end, wanted, np.add)
    assert len(high) == len(low) == len(mean) == wanted
    assert (low <= mean).all()
    assert (mean <= high).all()
    first = min(int(start * POINTS_A_SECOND + 1e-6), len(points) - 1)
    last = max(int(np.ceil(end * POINTS_A_SECOND - 1e-6)), first + 1)
    assert high.max() == points[first:last].max()
    assert low.min() == points[first:last].min()
