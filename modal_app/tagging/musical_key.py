"""The key of a segment: pitch classes of its spectral peaks against the profiles of the 24 keys.

The signature (which seven notes) can be heard in 15 s; whether its major or its minor tonic is home often can't, so
both come with a margin. Key profiles: Albrecht and Shanahan, "The use of large corpora to train a new type of
key-finding algorithm" (2013). Pure functions.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NOTES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

SURE_SIGNATURE = 0.12
SURE_MODE = 0.3
"""From here on one of the two keys of a signature is named: nine in ten of those that are named are right then. At
0.08, where three of four songs get a single key, only three of four of those were."""

_SURE_FIT = 0.6

_MAJOR = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
_MINOR = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])
_LOWEST, _HIGHEST = 65.0, 2_100.0
_A4 = 440.0


@dataclass(frozen=True)
class Key:
    """The best key. `fit` is a correlation; the margins are differences of correlations."""

    tonic: int
    minor: bool
    fit: float
    signature_margin: float
    mode_margin: float

    @property
    def name(self) -> str | None:
        """`A minor`, `C major or A minor` where only the signature is sure, None where nothing is."""
        if self.fit < _SURE_FIT or self.signature_margin < SURE_SIGNATURE:
            return None
        if self.mode_margin >= SURE_MODE:
            return _name(self.tonic, self.minor)
        major = (self.tonic + 3) % 12 if self.minor else self.tonic
        return f"{_name(major, False)} or {_name((major + 9) % 12, True)}"


def find_key(magnitudes: npt.NDArray[np.float32], bin_hz: float) -> Key | None:
    """Return the key of a magnitude spectrogram (frames, bins) whose bins are `bin_hz` apart.

    None if nothing sounds.
    """
    chroma = _chroma(magnitudes, bin_hz)
    if chroma is None:
        return None
    fits = np.array([[_correlation(chroma, np.roll(profile, tonic)) for tonic in range(12)] for profile in _PROFILES])
    minor, tonic = np.unravel_index(int(np.argmax(fits)), fits.shape)
    signatures = np.maximum(fits[0], np.roll(fits[1], 3))  # signature of a minor key: its relative major's
    signature = int(tonic + 3 * minor) % 12
    others = np.delete(signatures, signature)
    relative = fits[0][signature] - fits[1][(signature + 9) % 12]
    return Key(
        tonic=int(tonic),
        minor=bool(minor),
        fit=round(float(fits.max()), 3),
        signature_margin=round(float(signatures[signature] - others.max()), 3),
        mode_margin=round(abs(float(relative)), 3),
    )


def _chroma(magnitudes: npt.NDArray[np.float32], bin_hz: float) -> npt.NDArray[np.float64] | None:
    """How much of each pitch class sounds, (12,): spectral peaks only, each frame counts by its level's square root."""
    low, high = int(_LOWEST / bin_hz), int(_HIGHEST / bin_hz)
    left, here, right = (magnitudes[:, low + shift : high + shift] for shift in (-1, 0, 1))
    ceiling = here.max(axis=1, keepdims=True)
    frames, bins = np.nonzero((here > left) & (here >= right) & (here > 0.02 * ceiling) & (here > 1e-4))
    if not len(bins):
        return None
    a, b, c = (np.log(part[frames, bins].astype(np.float64) + 1e-12) for part in (left, here, right))
    curve = a - 2 * b + c
    offset = np.where(curve < 0, (a - c) / (2 * np.minimum(curve, -1e-12)), 0.0)
    pitch = 12 * np.log2((bins + low + np.clip(offset, -0.5, 0.5)) * bin_hz / _A4) + 69
    weight = np.sqrt(here[frames, bins].astype(np.float64))
    tuning = np.angle(np.sum(weight * np.exp(2j * np.pi * pitch))) / (2 * np.pi)
    classes = np.rint(pitch - tuning).astype(int) % 12
    chroma: npt.NDArray[np.float64] = np.bincount(classes, weights=weight, minlength=12).astype(np.float64)
    return chroma


def _correlation(chroma: npt.NDArray[np.float64], profile: npt.NDArray[np.float64]) -> float:
    x, y = chroma - chroma.mean(), profile - profile.mean()
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-12))


def _name(tonic: int, minor: bool) -> str:
    return f"{NOTES[tonic]} {'minor' if minor else 'major'}"


_PROFILES = (_MAJOR, _MINOR)
