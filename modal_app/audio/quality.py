"""What is measured of a file's sound beside its fingerprint: loudness, clipping, width, bandwidth.

What it means for a dataset is not decided here; the record of it is in `quality_record.py`.
All of it is taken from the blocks that are decoded anyway. Loudness follows ITU-R BS.1770-5 with its filter applied to
power spectra at the fingerprint's rate; what lies above them is taken as one band, in which the filter is flat. It
agrees with FFmpeg's `ebur128` to a quarter of an LU, but for sounds that are all bass (2 LU).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modal_app.audio.fingerprint import Fingerprint, Fingerprinter
from modal_app.audio.mixing import mono
from modal_app.audio.pcm import Signal
from modal_app.audio.quality_record import AudioQuality, Notice

_PLATEAU = 3  # samples of one value at the peak: a wave only touches it
_SPECTRUM = 4_096  # samples, of one window in each block
_CLIFF_BAND, _CLIFF_GAP = 1_000.0, 300.0  # Hz compared on both sides of a cut-off, and left out between them
_CLIFF_DB = 25.0
_CLIFF_HZ = (9_000.0, 20_600.0)
_LEAST_BEFORE_CLIFF = 10 ** (-95 / 10)  # of full scale: less is dither
_GATE_FRAMES, _GATE_STEP = 17, 4  # of 23 ms: 0.4 s, three quarters of it shared with the next one
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0  # LUFS, LU
_SHELF = 10 ** (3.999843853973347 / 10)


class MeasuredAudio(NamedTuple):
    """What was measured of a content in one pass."""

    quality: AudioQuality
    fingerprint: Fingerprint


@dataclass
class _Sums:
    samples: int = 0
    energy: float = 0.0
    """Of all channels together."""
    mono_energy: float = 0.0
    side: float = 0.0
    peak: float = 0.0
    on_plateau: int = 0


class QualityMeter:
    """Takes a file's blocks of shape (channels, n) one by one; the answers are complete after the last one."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._sample_rate, self._channels = sample_rate, channels
        self._sums = _Sums()
        self._prints = Fingerprinter(sample_rate, weights=_k_weighting())
        self._window = np.hanning(_SPECTRUM).astype(np.float32)
        self._spectrum = np.zeros(_SPECTRUM // 2 + 1)

    def feed(self, channels: Signal) -> None:
        """Go on with a block."""
        if not channels.shape[1]:
            return
        sums = self._sums
        mixed = channels[0] if len(channels) == 1 else mono(channels)
        sums.samples += channels.shape[1]
        energies = [_energy(channel) for channel in channels]
        sums.energy += sum(energies)
        sums.mono_energy += _energy(mixed) if len(channels) > 1 else energies[0]
        if len(channels) == 2:
            sums.side += _energy(channels[0] - channels[1]) / 4
        self._find_plateaus(channels)
        if len(mixed) >= _SPECTRUM:
            from scipy.fft import rfft

            spectrum = rfft(mixed[:_SPECTRUM] * self._window)
            self._spectrum += spectrum.real**2 + spectrum.imag**2
        self._prints.feed(mixed)

    def measured(self, codec: str, notices: tuple[Notice, ...]) -> MeasuredAudio:
        """Return what was measured, when all was heard."""
        sums = self._sums
        fingerprint = self._prints.fingerprint()
        peak, level = _decibels(sums.peak), _decibels(math.sqrt(sums.energy / max(1, sums.samples * self._channels)))
        is_stereo = self._channels == 2 and sums.mono_energy > 0
        quality = AudioQuality(
            seconds=round(sums.samples / self._sample_rate, 3),
            sample_rate=self._sample_rate,
            channels=self._channels,
            codec=codec,
            loudness_lufs=self._loudness(),
            peak_dbfs=peak,
            crest_db=None if peak is None or level is None else round(peak - level, 2),
            clipped_share=round(sums.on_plateau / max(1, sums.samples * self._channels), 6),
            side_db=round(10 * math.log10(max(sums.side / sums.mono_energy, 1e-12)), 1) if is_stereo else None,
            cutoff_hz=self._cutoff(),
            notices=notices,
        )
        return MeasuredAudio(quality, fingerprint)

    def _find_plateaus(self, channels: Signal) -> None:
        """Count the samples of plateaus at the highest peak so far; a higher one begins the count anew."""
        sums = self._sums
        peak = max(float(channels.max()), -float(channels.min()))
        if peak < sums.peak * (1 - 1e-4) or peak == 0:
            return
        if peak > sums.peak * (1 + 1e-4):
            sums.on_plateau = 0
        sums.peak = max(peak, sums.peak)
        edge = np.float32(sums.peak * (1 - 1e-4))
        for channel in channels:
            at_peak = np.flatnonzero((channel >= edge) | (channel <= -edge))
            if len(at_peak) >= _PLATEAU:
                breaks = np.flatnonzero(np.diff(at_peak) > 1)
                lengths = np.diff(np.concatenate([[-1], breaks, [len(at_peak) - 1]]))
                sums.on_plateau += int(lengths[lengths >= _PLATEAU].sum())

    def _loudness(self) -> float | None:
        """Return it in LUFS: the mono mix's, raised by what its channels have more and what is above its rate."""
        sums, weighted, plain = self._sums, self._prints.weighted_levels(), self._prints.levels()
        if not len(weighted) or not sums.mono_energy or not sums.samples or not plain.sum():
            return None
        above = max(0.0, sums.mono_energy / sums.samples - float(plain.mean()))
        raised = 1 + _SHELF * above / max(float(weighted.mean()), 1e-20)
        # A file of one channel is played by both loudspeakers.
        blocks = weighted * raised * (sums.energy / sums.mono_energy if self._channels > 1 else 2)
        if len(blocks) >= _GATE_FRAMES:
            sums_to = np.concatenate([[0.0], np.cumsum(blocks)])
            blocks = ((sums_to[_GATE_FRAMES:] - sums_to[:-_GATE_FRAMES]) / _GATE_FRAMES)[::_GATE_STEP]
        loud = blocks[_lufs(blocks) > _ABSOLUTE_GATE]
        if not len(loud):
            return None
        gated = loud[_lufs(loud) > _lufs(loud.mean()) + _RELATIVE_GATE]
        return round(float(_lufs(gated.mean())), 2)

    def _cutoff(self) -> float | None:
        """Return where the spectrum falls by `_CLIFF_DB` at once and stays there; None where it does not."""
        scale = 1 / max(1.0, float(np.sum(self._window)) ** 2 / 4)
        power = self._spectrum * scale / max(1.0, self._sums.samples / 65_536)
        step = self._sample_rate / _SPECTRUM
        band, gap = round(_CLIFF_BAND / step), round(_CLIFF_GAP / step)
        total = np.concatenate([[0.0], np.cumsum(power)])
        highest = np.maximum.accumulate(power[::-1])[::-1]  # of all bins from here on
        best: tuple[float, float] | None = None
        for at in range(int(_CLIFF_HZ[0] / step), min(int(_CLIFF_HZ[1] / step), len(power) - band // 2 - gap)):
            before = (total[at - gap] - total[at - gap - band]) / band
            after = highest[at + gap]
            if before > _LEAST_BEFORE_CLIFF * 1e-3 and before > after * 10 ** (_CLIFF_DB / 10):
                steepness = before / max(after, 1e-20)
                if best is None or steepness > best[0]:
                    best = (steepness, at * step)
        return None if best is None else round(best[1])


def _k_weighting() -> npt.NDArray[np.float32]:
    """Return BS.1770's filter as gains of power, for the bins of a fingerprint's spectra (as in Annex 1 at 48 kHz)."""
    shelf = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
    high_pass = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
    delay = np.exp(-2j * np.pi * Fingerprinter.hertz() / 48_000)
    gains = np.ones(len(delay))
    for above, below in (shelf, high_pass):
        gains *= np.abs(np.polyval(above[::-1], delay) / np.polyval(below[::-1], delay)) ** 2
    return gains.astype(np.float32)


def _energy(signal: Signal) -> float:
    """Return the sum of squares. Not by BLAS: its threads wait busily and cost more than they help."""
    return float(np.einsum("i,i->", signal, signal))


def _lufs(power: npt.ArrayLike) -> npt.NDArray[np.float64]:
    level: npt.NDArray[np.float64] = -0.691 + 10 * np.log10(np.maximum(power, 1e-12))
    return level


def _decibels(amplitude: float) -> float | None:
    return round(20 * math.log10(amplitude), 2) if amplitude > 0 else None
