"""Tempo: does the audio confirm the one that the Live Set states, and which is it where none is stated.

Pure functions on an onset envelope; what is said of a tempo in words is not decided here.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Envelope = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]

CONFIRMED_Z = 1.5
"""From here on a stated tempo counts as confirmed: true ones passed 32 of 32 times, ones 7 % off never."""

_RANGE = (60.0, 200.0)
_STEPS = 480  # 0.25 % apart: finer than a beat's width in the autocorrelation at four beats
_BEATS = 4
_FINE_BEATS = 16
_SURE_Z = 2.9
_SURE_STRENGTH = 0.3
_LEAST_STRENGTH = 0.08  # under it the autocorrelation is noise, however one tempo stands out in it
_THIRDS_SHARE = 0.3  # of what speaks for 2/3 or 4/3 of a beat, against that beat; 0.15 to 0.4 give the same answers
_LEAST_ONSET = 0.02  # an envelope that never rises so far holds no onset: a steady tone


@dataclass(frozen=True)
class Tempo:
    """A tempo, how far it stands out (`z`, in standard deviations over all tempos) and how regular its beat is."""

    bpm: float
    z: float
    strength: float
    """The autocorrelation at its beats, 1 for a machine's click."""
    confirmed: bool


def verify(envelope: Envelope, frame_rate: float, bpm: float) -> Tempo:
    """Return whether the onsets repeat at the beat that `bpm` states. `frame_rate`: frames of the envelope a second."""
    repetition = _autocorrelation(envelope)
    strength = float(_comb(repetition, frame_rate, np.array([bpm]), _BEATS)[0])
    background = _comb(repetition, frame_rate, _TEMPOS, _BEATS)
    z = (strength - float(background.mean())) / max(float(background.std()), 1e-9)
    return Tempo(bpm, round(z, 3), round(strength, 3), z > CONFIRMED_Z and strength > _LEAST_STRENGTH)


def estimate(envelope: Envelope, frame_rate: float) -> Tempo:
    """Return the tempo that stands out most between 60 and 200 BPM, the one nearer to 120 among its multiples.

    Dotted notes and 3 + 3 + 2 repeat at one and a half beats nearly as well as at one. Such a wrong beat is told by
    what repeats at two and at four thirds of it, which the right one has little of: a share of that is taken off.
    """
    repetition = _autocorrelation(envelope)
    strengths = _comb(repetition, frame_rate, _TEMPOS, _BEATS)
    thirds = np.maximum(*(_comb(repetition, frame_rate, _TEMPOS * share, _BEATS) for share in (3 / 2, 3 / 4)))
    single = strengths - _THIRDS_SHARE * thirds
    z = (single - single.mean()) / max(float(single.std()), 1e-9)
    best = int(np.argmax(z * np.exp(-0.5 * (np.log2(_TEMPOS / 120) / 0.9) ** 2)))
    near = _TEMPOS[best] * np.linspace(0.99, 1.01, 81)
    bpm = float(near[int(np.argmax(_comb(repetition, frame_rate, near, _FINE_BEATS)))])
    sure = bool(z[best] > _SURE_Z and strengths[best] > _SURE_STRENGTH)
    return Tempo(round(bpm, 1), round(float(z[best]), 3), round(float(strengths[best]), 3), sure)


def _comb(repetition: Values, frame_rate: float, tempos: Values, most: int) -> Values:
    """Return the mean autocorrelation at one to `most` beats, as far as the signal reaches.

    A tempo 7 % off is out of step by a quarter of a beat at the fourth.
    """
    beats = np.arange(1, most + 1)[:, None] * (60 * frame_rate / tempos)
    there = beats < 0.75 * len(repetition)
    values = np.interp(beats, np.arange(len(repetition)), repetition)
    comb: Values = (values * there).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return comb


def _autocorrelation(envelope: Envelope) -> Values:
    """Normalised to 1 at lag 0; each lag is divided by the number of pairs that it has."""
    signal = envelope.astype(np.float64) - envelope.mean()
    energy = float(signal @ signal)
    if float(envelope.max()) < _LEAST_ONSET:
        return np.zeros(len(signal))
    spectrum = np.fft.rfft(signal, 2 * len(signal))
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: len(signal)]
    pairs = np.arange(len(signal), 0, -1) / len(signal)
    repetition: Values = products / energy / np.maximum(pairs, 0.25)
    return repetition


_TEMPOS: Values = np.geomspace(*_RANGE, _STEPS)
