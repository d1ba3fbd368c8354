"""What is compared of music: windows of five seconds, as features `[windows, features]`. Pure.

In a generator's own latents where it has continuous ones (ACE-Step), else in log-mel spectra (MusicGen): of each
dimension the mean and the standard deviation over the window. No trained network beside the generator is needed.
"""

import math

import numpy as np
import numpy.typing as npt

from modal_app.backends.base import Signal
from modal_app.evaluation.distance import Windows

WINDOW_SECONDS = 5.0

_RATE = 22_050
_FRAME, _HOP = 1024, 512
_BANDS = 64
_LOWEST_HZ, _HIGHEST_HZ = 30.0, 10_000.0
_FLOOR_DB = -80.0


def latent_windows(latents: npt.NDArray[np.float32], frames_per_second: float) -> Windows:
    """Return the windows of latents `[frames, channels]`; what is shorter than a window is one."""
    return _windows(latents, max(1, round(WINDOW_SECONDS * frames_per_second)))


def log_mel_windows(signal: Signal, rate: int) -> Windows:
    """Return the windows of audio `[channels, samples]`; how loud it is as a whole makes no difference."""
    import soxr

    mono = soxr.resample(signal.mean(axis=0), rate, _RATE)
    padded = np.pad(mono, (0, max(0, _FRAME - len(mono))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP] * np.hanning(_FRAME)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 @ _mel_bands().T
    level = 10 * np.log10(np.maximum(power, 1e-12))
    level = np.maximum(level - level.max(initial=-120.0), _FLOOR_DB)
    return _windows(level.astype(np.float32), round(WINDOW_SECONDS * _RATE / _HOP))


def _windows(rows: npt.NDArray[np.float32], length: int) -> Windows:
    count = max(1, len(rows) // length)
    parts = [rows[start : start + length] for start in range(0, count * length, length)]
    return np.array([np.concatenate([part.mean(axis=0), part.std(axis=0)]) for part in parts], dtype=np.float64)


def _mel_bands() -> npt.NDArray[np.float64]:
    """Return triangles on the mel scale, `[bands, bins]`, each of area 1."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_FRAME, 1 / _RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    triangles[np.arange(_BANDS), np.argmin(np.abs(bins - edges[1:-1, None]), axis=1)] += 1e-9  # narrower than a bin
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True))
