"""The tagger `offline-dsp-v2`: words for a segment from signal processing alone, the same for the same bytes.

Its words only claim what the measurements bear: a tempo is named when the onsets confirm it, a key when it is sure.
Change a word or a threshold here and raise the version in `tag_key.OFFLINE`: old rows are keyed by it.
"""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from modal_app.tagging.features import FRAME_RATE, Features, measure
from modal_app.tagging.musical_key import Key, find_key
from modal_app.tagging.tempo import Tempo, estimate, verify

_LEAST_ONSETS = 0.5
_SWELL_DB = 5.0


@dataclass(frozen=True)
class Tagging:
    """What is said of a segment: one line for prompts, named tags, and the numbers behind them."""

    text: str
    tags: dict[str, str | list[str]]
    figures: dict[str, float | None]


def tag_segment(signal: npt.NDArray[np.float32], gain_db: float, bpm: float | None) -> Tagging:
    """Describe a segment.

    Args:
        signal: mono at 44.1 kHz, shape (n,), ±1 is full scale, as normalised.
        gain_db: what normalisation added.
        bpm: the tempo that the Live Set states, if it is known.
    """
    bpm = round(bpm, 2) if bpm else None
    features = measure(signal, gain_db)
    rhythmic = features.onsets_per_second >= _LEAST_ONSETS
    tempo = verify(features.envelope, FRAME_RATE, bpm) if bpm else estimate(features.envelope, FRAME_RATE)
    confirmed = tempo.confirmed and rhythmic
    key = find_key(features.pitch_spectrogram, features.pitch_bin_hz)
    tags: dict[str, str | list[str]] = {
        "energy": _energy(features),
        "density": _density(features.onsets_per_second),
        "brightness": _scale(features.centroid_hz, _BRIGHTNESS),
        "bass": _scale(features.bass_share, _BASS),
        "percussion": _percussion(features, rhythmic),
        "loudness": _scale(features.loudness_lufs, _LOUDNESS),
    }
    if abs(features.swell_db) >= _SWELL_DB:
        tags["movement"] = "building up" if features.swell_db > 0 else "fading down"
    if confirmed:
        tags["tempo"] = f"{tempo.bpm:g} BPM" if bpm else f"about {tempo.bpm:.0f} BPM"
    elif bpm:
        tags["tempo"] = f"{bpm:g} BPM, not confirmed by the audio"
    if key and key.name:
        tags["key"] = key.name
    spoken = {name: word for name, word in tags.items() if name != "tempo" or confirmed}
    return Tagging(_sentence(spoken), tags, _figures(features, tempo, key, confirmed))


def tag_silence() -> Tagging:
    """Return what is said of a segment that holds nothing to be heard."""
    return Tagging("silence", {"energy": "silent"}, {})


def _energy(features: Features) -> str:
    """Of loudness, onsets and percussion, each from 0 to 1 over the range that music takes."""
    loudness = np.clip((features.loudness_lufs + 35) / 25, 0, 1)
    onsets = np.clip(features.onsets_per_second / 6, 0, 1)
    percussion = np.clip(features.percussive_share / 0.5, 0, 1)
    return _scale(float(0.4 * loudness + 0.4 * onsets + 0.2 * percussion), _ENERGY)


def _density(onsets_per_second: float) -> str:
    return _scale(onsets_per_second, _DENSITY)


def _percussion(features: Features, rhythmic: bool) -> str:
    if not rhythmic:
        return "noise texture" if features.percussive_share >= 0.4 else "no percussion"
    return _scale(features.percussive_share, _PERCUSSION)


def _sentence(tags: dict[str, str | list[str]]) -> str:
    order = ("energy", "tempo", "key", "density", "percussion", "bass", "brightness", "movement", "loudness")
    return ", ".join(str(tags[name]) for name in order if name in tags)


def _figures(features: Features, tempo: Tempo, key: Key | None, confirmed: bool) -> dict[str, float | None]:
    measured = {
        name: round(value, 3)
        for name, value in asdict(features).items()
        if isinstance(value, float) and name != "pitch_bin_hz"
    }
    return {
        **measured,
        "tempo_bpm": tempo.bpm,
        "tempo_z": tempo.z,
        "tempo_strength": tempo.strength,
        "tempo_confirmed": float(confirmed),
        "key_fit": key.fit if key else None,
        "key_signature_margin": key.signature_margin if key else None,
        "key_mode_margin": key.mode_margin if key else None,
    }


def _scale(value: float, words: tuple[tuple[float, str], ...]) -> str:
    """Return the word of the highest step that the value reaches; the first step has no lower end."""
    return next((word for step, word in reversed(words) if value >= step), words[0][1])


_ENERGY = ((0, "calm"), (0.3, "relaxed"), (0.5, "driving"), (0.7, "high-energy"))
_DENSITY = ((0, "sustained"), (0.5, "sparse"), (2, "steady"), (4.5, "busy"), (8, "dense"))
_BRIGHTNESS = ((0, "dark tone"), (700, "warm tone"), (1_800, "balanced tone"), (4_000, "bright tone"))
_BASS = ((0, "no low end"), (0.05, "light bass"), (0.25, "solid bass"), (0.6, "heavy bass"))
_PERCUSSION = ((0, "soft attacks"), (0.1, "light percussion"), (0.2, "clear percussion"), (0.4, "drum-led"))
_LOUDNESS = ((-100, "very quiet"), (-35, "quiet"), (-24, "moderate level"), (-16, "loud"), (-9, "very loud"))
