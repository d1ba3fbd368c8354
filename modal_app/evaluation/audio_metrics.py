"""What can be told of rendered audio by looking at it: sanity, the distance of two renderings, their picture. Pure.

Signals are `[channels, samples]`.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modal_app.backends.base import Signal
from modal_app.protocol.evaluation import Rendering

_SILENT = 10 ** (-60 / 20)
_BLOCKS_PER_SECOND = 10
_PLATEAU = 3  # samples of one value at the peak: a wave only touches it
_WINDOW, _HOP = 2048, 512
_RANGE_DB = 80.0


def look_at(signal: Signal, sample_rate: int, expected_samples: int) -> Rendering:
    """Length, peak, and how much of it is silent or clipped."""
    peak = float(np.abs(signal).max(initial=0.0))
    return Rendering(
        sample_rate=sample_rate,
        samples=signal.shape[1],
        expected_samples=expected_samples,
        peak_dbfs=20 * math.log10(peak) if peak else None,
        silent_share=_silent_share(signal, sample_rate),
        clipped_share=_clipped_share(signal, peak),
    )


def waveform_change(base: Signal, other: Signal) -> float:
    """The level of the difference over that of the base: 0 for the same, about 1.4 for two that have nothing in common.

    A base without any level counts as changed by 1, unless the other one has none either.
    """
    difference, level = _level(other - base), _level(base)
    return difference / level if level else float(difference > 0)


def spectrum_change_db(base: Signal, other: Signal) -> float:
    """The mean difference of the two spectrograms in dB, over what lies within 80 dB of the louder one's peak."""
    first, second = _decibels(base), _decibels(other)
    floor = max(first.max(), second.max()) - _RANGE_DB
    return float(np.abs(np.maximum(first, floor) - np.maximum(second, floor)).mean())


def draw_spectrograms(signals: Mapping[str, Signal], sample_rate: int, title: str, target: Path) -> None:
    """Write a PNG with one spectrogram under the other, on one scale."""
    from matplotlib.figure import Figure

    spectra = {name: _decibels(signal) for name, signal in signals.items()}
    top = max(float(spectrum.max()) for spectrum in spectra.values())
    height = 2.6 * len(spectra)
    figure = Figure(figsize=(8, height))  # a layout that is worked out takes as long as the drawing
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.5 / height, top=1 - 0.35 / height, hspace=0.15)
    for place, (name, spectrum) in enumerate(spectra.items(), 1):
        axes = figure.add_subplot(len(spectra), 1, place)
        seconds = signals[name].shape[1] / sample_rate
        axes.imshow(
            spectrum.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top - _RANGE_DB,
            vmax=top,
            extent=(0, seconds, 0, sample_rate / 2000),
        )
        axes.set(ylabel=f"{name}, kHz", xlabel="seconds" if place == len(spectra) else "")
    short = title if len(title) <= 90 else f"{title[:89]}…"
    figure.suptitle(" ".join(short.split()).replace("$", r"\$"), fontsize=9, y=1 - 0.08 / height)
    figure.savefig(target, dpi=80, metadata={"Software": None})


def _silent_share(signal: Signal, sample_rate: int) -> float:
    block = max(1, sample_rate // _BLOCKS_PER_SECOND)
    peaks = [np.abs(signal[:, start : start + block]).max() for start in range(0, signal.shape[1], block)]
    return float(np.mean(np.array(peaks) < _SILENT)) if peaks else 1.0


def _clipped_share(signal: Signal, peak: float) -> float:
    """Of the samples: those in runs of at least `_PLATEAU` at the peak."""
    if not peak:
        return 0.0
    at_peak = np.abs(signal) >= peak * (1 - 1e-4)
    run = np.ones_like(at_peak[:, _PLATEAU - 1 :])
    for offset in range(_PLATEAU):
        run &= at_peak[:, offset : at_peak.shape[1] - _PLATEAU + 1 + offset]
    clipped = np.zeros_like(at_peak)
    for offset in range(_PLATEAU):
        clipped[:, offset : clipped.shape[1] - _PLATEAU + 1 + offset] |= run
    return float(clipped.mean())


def _level(signal: Signal) -> float:
    return math.sqrt(float(np.mean(np.square(signal, dtype=np.float64)))) if signal.size else 0.0


def _decibels(signal: Signal) -> npt.NDArray[np.float64]:
    """Return the mono mix's spectrogram `[frames, bins]`."""
    mono = signal.mean(axis=0)
    padded = np.pad(mono, (0, max(0, _WINDOW - len(mono))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1))
    return np.asarray(20 * np.log10(np.maximum(spectrum, 1e-9)), dtype=np.float64)
