import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.audio.alignment_features import features_of
from tests.shared_data import shared

_TIMES = (0.0, 0.5, 1.304, 2.2)


def _strokes(sample_rate: int, seconds: float = 3.0) -> npt.NDArray[np.float32]:
    """Plucked fifths on A at `_TIMES`."""
    signal = np.zeros(int(sample_rate * seconds), np.float32)
    time = np.arange(int(sample_rate * 0.4)) / sample_rate
    pluck = (np.sin(2 * np.pi * 440 * time) + 0.5 * np.sin(2 * np.pi * 660 * time)) * np.exp(-time / 0.12)
    for at in _TIMES:
        first = round(at * sample_rate)
        signal[first : first + len(pluck)] += (0.3 * pluck).astype(np.float32)
    return signal


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 44_100, 48_000, 96_000])
def test_onsets_and_pitches_are_found_at_any_rate(sample_rate: int) -> None:
    found = features_of([_strokes(sample_rate)], sample_rate)
    for at in _TIMES:
        first = max(0, round(at * 100) - 10)
        assert abs(first + int(np.argmax(found.onsets[first : first + 20])) - at * 100) <= 2
    sounding = found.chroma[6:9].sum(axis=0)
    assert set(np.argsort(sounding)[-2:].tolist()) == {9, 4}
    assert (found.seconds, len(found.onsets), len(found.chroma)) == (3.0, 301, 31)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 33_074), max_size=6), level=st.floats(0.003, 3.0))
def test_neither_blocks_nor_level_change_them(cuts: list[int], level: float) -> None:
    signal = _strokes(11_025)
    whole = features_of([signal], 11_025)
    parts = features_of(np.split(signal * np.float32(level), sorted(cuts)), 11_025)
    assert np.allclose(parts.onsets, whole.onsets, atol=1e-3)
    assert np.allclose(parts.chroma, whole.chroma * np.sqrt(level), atol=1e-3)


def test_silence_and_a_single_sample_have_nothing() -> None:
    assert not features_of([np.zeros(44_100, np.float32)], 44_100).onsets.any()
    assert features_of([np.zeros(1, np.float32)], 384_000).onsets.shape == (1,)


def test_a_file_is_read_in_blocks() -> None:
    from modal_app.audio.alignment_features import measure_features

    found = measure_features(shared("audio", "sonicpi_loop_tabla.flac"))
    assert found.seconds == pytest.approx(10.67, abs=0.1)
    assert len(found.onsets) == int(found.seconds * 100) + 1
