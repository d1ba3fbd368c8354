"""What the tagger measures of a segment, by librosa as its documentation shows it: the peer of `tags.py`.

Tempo from the onset strength's autocorrelation, the key from chroma of a constant-Q transform and the 24 profiles of
Krumhansl and Kessler ("Tracing the dynamic changes in perceived tonal organization", 1982), loudness, brightness and
the percussive share from one short-time Fourier transform. At librosa's own rate, as `librosa.load` gives it.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

RATE = 22_050

_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True)
class Described:
    """What librosa finds: a tempo in BPM and a key (0 is C), whatever it hears, and the other figures."""

    tempo: float
    tonic: int
    is_minor: bool
    onsets: int
    level_db: float
    centroid_hz: float
    percussive_share: float


def describe(signal: Any, sample_rate: int) -> Described:
    """Describe a mono segment."""
    import numpy as np

    librosa: Any = import_module("librosa")  # by name: it is no dependency, and types are checked without it
    sound = librosa.resample(signal, orig_sr=sample_rate, target_sr=RATE)
    magnitudes = np.abs(librosa.stft(sound))
    strength = librosa.onset.onset_strength(y=sound, sr=RATE)
    _, percussive = librosa.decompose.hpss(magnitudes)
    tonic, is_minor = _key(librosa.feature.chroma_cqt(y=sound, sr=RATE).mean(axis=1))
    return Described(
        tempo=float(librosa.feature.tempo(onset_envelope=strength, sr=RATE)[0]),
        tonic=tonic,
        is_minor=is_minor,
        onsets=len(librosa.onset.onset_detect(onset_envelope=strength, sr=RATE)),
        level_db=float(librosa.amplitude_to_db(librosa.feature.rms(S=magnitudes)).mean()),
        centroid_hz=float(librosa.feature.spectral_centroid(S=magnitudes, sr=RATE).mean()),
        percussive_share=float((percussive**2).sum() / max((magnitudes**2).sum(), 1e-20)),
    )


def _key(chroma: Any) -> tuple[int, bool]:
    """Return the tonic, and whether it is minor, of the profile that the chroma correlate with best."""
    import numpy as np

    fits = [
        (float(np.corrcoef(chroma, np.roll(profile, tonic))[0, 1]), tonic, is_minor)
        for is_minor, profile in ((False, _MAJOR), (True, _MINOR))
        for tonic in range(12)
    ]
    _, tonic, is_minor = max(fits)
    return tonic, is_minor
