"""What is measured of sounds whose loudness, width, peaks and cut-off are known because they are made here."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
from scipy.signal import butter, sosfilt

from modal_app.audio.decode import probe
from modal_app.audio.quality_record import AudioQuality
from modal_app.audio.waveform import measure_waveform
from tests.shared_data import shared, shared_names

RATE = 44_100
Channels = npt.NDArray[np.float64]


def noise(seconds: float = 10.0, channels: int = 2) -> Channels:
    """Brownish noise: it has the whole band, and less of what is high, as music does."""
    white = np.random.default_rng(3).normal(0, 1, (round(seconds * RATE), channels))
    low: Channels = sosfilt(butter(1, 400, fs=RATE, output="sos"), white, axis=0)
    return 0.5 * low + 0.003 * white


def measured(tmp_path: Path, sound: Channels, suffix: str = ".wav", subtype: str = "PCM_24") -> AudioQuality:
    path = tmp_path / f"sound{suffix}"
    soundfile.write(path, sound, RATE, subtype=subtype)
    info = probe(path, measure=True)
    assert info.measured is not None
    return info.measured.quality


@pytest.mark.parametrize("name", shared_names("audio", "*.ogg"))
def test_loudness_agrees_with_ffmpegs_meter(name: str) -> None:
    info = probe(shared("audio", name), measure=True)
    expected = measure_waveform(shared("audio", name)).loudness.integrated_lufs
    assert info.measured is not None
    assert info.measured.quality.loudness_lufs == pytest.approx(expected, abs=2.1 if "humpback" in name else 0.25)


def test_what_nobody_asked_for_is_not_measured() -> None:
    assert probe(shared("audio", "solo_trumpet_f_90bpm.ogg")).measured is None


def test_levels_follow_the_gain(tmp_path: Path) -> None:
    loud, soft = measured(tmp_path, noise()), measured(tmp_path, noise() * 0.1)
    assert loud.loudness_lufs is not None
    assert soft.loudness_lufs == pytest.approx(loud.loudness_lufs - 20, abs=0.05)
    assert loud.peak_dbfs is not None
    assert soft.peak_dbfs == pytest.approx(loud.peak_dbfs - 20, abs=0.05)
    assert soft.crest_db == pytest.approx(loud.crest_db, abs=0.05)


def test_silence_has_no_loudness_and_no_peak(tmp_path: Path) -> None:
    quality = measured(tmp_path, np.zeros((RATE, 2)))
    assert (quality.loudness_lufs, quality.peak_dbfs, quality.crest_db) == (None, None, None)
    assert [notice.kind for notice in quality.notices] == ["silent"]


@pytest.mark.parametrize(("drive_db", "least"), [(0, 0.0), (6, 0.004), (12, 0.05)])
def test_an_overdriven_render_lies_on_plateaus(tmp_path: Path, drive_db: float, least: float) -> None:
    sound = noise()
    driven = np.clip(sound / np.abs(sound).max() * 10 ** ((drive_db + 8) / 20) * (1 if drive_db else 0.3), -1, 1)
    share = measured(tmp_path, driven).clipped_share
    assert share >= least if drive_db else share == 0


def test_a_plateau_that_a_higher_peak_follows_is_none(tmp_path: Path) -> None:
    sound = np.clip(noise() * 8, -0.5, 0.5)
    sound[-2_000] = 0.9
    assert measured(tmp_path, sound).clipped_share == 0


def test_how_wide_a_file_is_is_said_in_decibels(tmp_path: Path) -> None:
    sound = noise(channels=1)
    assert measured(tmp_path, sound).side_db is None
    assert measured(tmp_path, np.repeat(sound, 2, axis=1)).side_db == -120
    wide = measured(tmp_path, noise()).side_db
    assert wide == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("hertz", [11_025, 16_000, 19_000])
def test_a_spectrum_that_ends_like_a_cliff_is_noticed(tmp_path: Path, hertz: float) -> None:
    sound = soxr.resample(soxr.resample(noise(), RATE, hertz * 2), hertz * 2, RATE)
    quality = measured(tmp_path, sound)
    assert quality.cutoff_hz is not None
    assert quality.cutoff_hz == pytest.approx(hertz, rel=0.06)


def test_a_spectrum_that_rolls_off_has_no_cliff(tmp_path: Path) -> None:
    assert measured(tmp_path, noise()).cutoff_hz is None
    soft = sosfilt(butter(2, 8_000, fs=RATE, output="sos"), noise(), axis=0)
    assert measured(tmp_path, soft).cutoff_hz is None


def test_what_is_measured_is_stored_and_read_back(tmp_path: Path) -> None:
    sound = noise()
    sound[:, 1] = 0
    quality = measured(tmp_path, sound)
    assert [notice.kind for notice in quality.notices] == ["dead_channel"]
    assert AudioQuality.from_json(quality.to_json()) == quality
