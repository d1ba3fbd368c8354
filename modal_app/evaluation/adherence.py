"""Whether renderings keep to the tempo and the key that were asked for, by the ears of the tagger. Pure.

A tempo is confirmed by onsets that repeat at its beat. What has a beat everywhere would confirm any tempo: so the share
that confirms one 7 % off, which no music has by right, is taken off again.
"""

from collections.abc import Sequence

from modal_app.backends.base import Signal
from modal_app.protocol.training import MusicalFacts
from modal_app.tagging.features import FRAME_RATE, SAMPLE_RATE, Features, measure
from modal_app.tagging.musical_key import NOTES, find_key
from modal_app.tagging.tempo import verify

_OFF = 1.07
_FLATS = {"Db": "C#", "D#": "Eb", "Gb": "F#", "G#": "Ab", "A#": "Bb"}


def keeps_to(renderings: Sequence[tuple[Signal, int, MusicalFacts]]) -> tuple[float | None, float | None]:
    """Return the shares that keep tempo and key signature, of `[channels, samples]`, rate, and what was asked for.

    The first is less the share that keeps a tempo 7 % off, so between −1 and 1; None where nothing was asked for.
    """
    tempos, keys = [], []
    for signal, rate, facts in renderings:
        signature = None if facts.musical_key is None else signature_of(facts.musical_key)
        if facts.bpm is None and signature is None:
            continue
        features = _features(signal, rate)
        if facts.bpm is not None:
            right, wrong = (
                verify(features.envelope, FRAME_RATE, bpm).confirmed for bpm in (facts.bpm, _OFF * facts.bpm)
            )
            tempos.append(float(right) - float(wrong))
        if signature is not None:
            key = find_key(features.pitch_spectrogram, features.pitch_bin_hz)
            keys.append(float(key is not None and (key.tonic + 3 * key.minor) % 12 == signature))
    return _mean(tempos), _mean(keys)


def signature_of(key: str) -> int | None:
    """Return the pitch class of the major key with the same seven notes; None for what is no such key."""
    tonic, _, mode = key.replace("♯", "#").replace("♭", "b").partition(" ")
    tonic = _FLATS.get(tonic, tonic)
    if tonic not in NOTES or mode not in ("major", "minor"):
        return None
    return (NOTES.index(tonic) + 3 * (mode == "minor")) % 12


def _features(signal: Signal, rate: int) -> Features:
    import numpy as np
    import soxr

    mono = soxr.resample(signal.mean(axis=0), rate, SAMPLE_RATE)
    peak = float(np.abs(mono).max(initial=0.0)) or 1.0
    return measure((mono / peak).astype(np.float32), 0.0)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
