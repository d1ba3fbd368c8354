"""What is no music is told with its number, and music is not."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.decode import probe
from tests.modal_app.audio.odd_files import RATE, chirps

MUSIC = chirps(RATE * 20)


def said(tmp_path: Path, signal: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> list[str]:
    soundfile.write(tmp_path / "a.wav", signal, rate, subtype=subtype)
    return list(probe(tmp_path / "a.wav").warnings)


def _with(change: dict[str, float]) -> np.ndarray:
    signal = MUSIC.copy()
    if "nan" in change:
        signal[: int(len(signal) * change["nan"])] = np.nan
    if "anti" in change:
        end = int(RATE * change["anti"])
        signal[:end, 1] = -0.8 * signal[:end, 0]
    if "offset" in change:
        signal = 0.5 * signal + change["offset"]
    if "glitch" in change:
        signal[RATE, 0] = change["glitch"]
    if "dead" in change:
        signal[:, 1] = 0
    return signal


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nan": 1.0}, ["100% of all, are not numbers", "digital silence"]),
        ({"nan": 0.9}, ["90% of all, are not numbers"]),
        ({"nan": 0.01}, ["17640 samples are not numbers"]),
        ({"anti": 20.0}, ["antiphase and cancel in mono for 20.0 of 20.0 s (correlation -1.00)"]),
        ({"anti": 15.0}, ["antiphase and cancel in mono for "]),
        ({"offset": 0.3}, ["a constant offset of 0.3"]),
        ({"glitch": 2e5}, []),
        ({"dead": 1.0}, ["its right channel is dead (digital silence)"]),
        ({}, []),
    ],
)
def test_each_fault_is_reported_with_its_number(tmp_path: Path, change: dict[str, float], words: list[str]) -> None:
    found = said(tmp_path, _with(change))
    assert len(found) == len(words), found
    for line, word in zip(found, words, strict=True):
        assert word in line


def test_noise_from_a_wrong_layout_is_reported(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = random.uniform(-1, 1, (RATE * 5, 2))
    assert any("noise from first to last (-5 dBFS" in line for line in said(tmp_path, noise))
    swapped = np.rint(MUSIC[: RATE * 5] * 32767).astype("<i2").byteswap()  # big for little end
    soundfile.write(tmp_path / "b.wav", swapped, RATE, subtype="PCM_16")
    assert any("noise from first to last" in line for line in probe(tmp_path / "b.wav").warnings)
    square = 0.9 * np.sign(MUSIC[: RATE * 5])
    assert said(tmp_path, square) == []
    burst = np.concatenate([0.3 * noise[: RATE * 2], noise[: RATE * 2]])
    assert said(tmp_path, burst) == []


def test_silence_is_told_and_a_pause_is_not(tmp_path: Path) -> None:
    assert said(tmp_path, np.zeros((RATE * 3, 2))) == ["it holds nothing but digital silence (3.0 s)"]
    pause = MUSIC[: RATE * 4].copy()
    pause[RATE : 3 * RATE] = 0
    assert said(tmp_path, pause) == []
