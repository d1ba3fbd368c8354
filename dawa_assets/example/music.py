"""Instruments: pure functions from a note to sound. No mixing (`mix.py`), no files, no composition here.

An instrument takes a stroke (pitch as MIDI number, length in seconds, velocity from 1 to 127) and gives float32 of
shape (2, samples) at 44.1 kHz, about full scale at full velocity, its release included. Equal strokes sound equal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 44_100
Audio = npt.NDArray[np.float32]

_TABLE = 2048


@dataclass(frozen=True)
class Stroke:
    """What an instrument is asked for: `take` chooses among its slightly different strokes."""

    pitch: int
    seconds: float
    velocity: int
    take: int = 0


Instrument = Callable[[Stroke], Audio]


def hertz(pitch: float) -> float:
    """Frequency of a MIDI pitch in equal temperament, A4 = 440 Hz."""
    return float(440.0 * 2 ** ((pitch - 69) / 12))


def saw(frequency: float, samples: int, phase: float = 0.0) -> Audio:
    """Return a band-limited sawtooth of shape (samples,) in -1 … 1: no harmonic above 16 kHz, read from a table."""
    table = _saw_table(max(1, min(256, int(16_000 / frequency))))
    place = (phase + np.arange(samples) * (frequency / SAMPLE_RATE)) % 1.0 * _TABLE
    index = place.astype(np.int32)
    share = (place - index).astype(np.float32)
    return np.asarray(table[index] * (1 - share) + table[index + 1] * share, dtype=np.float32)


def sine(frequency: float, samples: int, phase: float = 0.0) -> Audio:
    """Return a sine of shape (samples,); `phase` in turns."""
    turns = phase + np.arange(samples) * (frequency / SAMPLE_RATE)
    return np.asarray(np.sin(2 * np.pi * turns), dtype=np.float32)


def decay(samples: int, seconds: float) -> Audio:
    """Exponential decay from 1 to -60 dB in `seconds`, of shape (samples,)."""
    return np.asarray(np.exp(np.arange(samples) * (-6.908 / (seconds * SAMPLE_RATE))), dtype=np.float32)


def envelope(samples: int, attack: float, release: float) -> Audio:
    """Return a rise of `attack` seconds, then 1, then a smooth fall over the last `release` seconds.

    Shape (samples,).
    """
    curve = np.ones(samples, dtype=np.float32)
    rise, fall = min(samples, int(attack * SAMPLE_RATE)), min(samples, int(release * SAMPLE_RATE))
    if rise:
        curve[:rise] *= np.sin(np.linspace(0, np.pi / 2, rise)) ** 2
    if fall:
        curve[-fall:] *= np.cos(np.linspace(0, np.pi / 2, fall)) ** 2
    return curve


def low_pass(audio: Audio, cutoff: float, order: int = 2) -> Audio:
    """Butterworth low-pass at `cutoff` Hz along the last axis; the shape stays."""
    return _filtered(audio, ("lowpass", cutoff, 0.0, order))


def high_pass(audio: Audio, cutoff: float, order: int = 2) -> Audio:
    """Butterworth high-pass at `cutoff` Hz along the last axis; the shape stays."""
    return _filtered(audio, ("highpass", cutoff, 0.0, order))


def band_pass(audio: Audio, low: float, high: float) -> Audio:
    """Butterworth band-pass from `low` to `high` Hz along the last axis; the shape stays."""
    return _filtered(audio, ("bandpass", low, high, 2))


def noise(samples: int, seed: int) -> Audio:
    """White noise of shape (2, samples), standard deviation 0.3, the two channels independent."""
    return np.random.default_rng(seed).standard_normal((2, samples), dtype=np.float32) * np.float32(0.3)


def kit(stroke: Stroke) -> Audio:
    """Return a drum kit by General MIDI's numbers; strokes ring as long as they do, whatever the note's length.

    Raises:
        KeyError: the kit has no drum of this pitch.
    """
    return _DRUMS[stroke.pitch](stroke.take) * _gain(stroke.velocity)


def round_bass(stroke: Stroke) -> Audio:
    """Return a sine with a filtered sawtooth on top that opens with the stroke."""
    samples = _samples(stroke.seconds + 0.06)
    body = sine(hertz(stroke.pitch), samples) * 0.75
    edge = saw(hertz(stroke.pitch), samples)
    bright = low_pass(edge, 900) * decay(samples, 0.5) + low_pass(edge, 260) * 0.6
    return _centre(np.tanh(1.3 * (body + 0.55 * bright)) * envelope(samples, 0.004, 0.06)) * _gain(stroke.velocity)


def reese(stroke: Stroke) -> Audio:
    """Detuned sawtooths that beat against each other over a steady sine an octave below."""
    samples = _samples(stroke.seconds + 0.08)
    sides = [
        low_pass(np.tanh(sum(saw(hertz(stroke.pitch + cents / 100), samples, phase) for cents, phase in voices)), 620)
        for voices in (((-18, 0.1), (3, 0.5), (16, 0.8)), ((-14, 0.6), (-2, 0.2), (19, 0.3)))
    ]
    sub = sine(hertz(stroke.pitch - 12), samples)
    return (np.stack(sides) * 0.55 + sub * 0.6) * envelope(samples, 0.008, 0.08) * _gain(stroke.velocity)


def pad(stroke: Stroke) -> Audio:
    """Return a wide, slow string-like pad: two detuned sawtooths a side, dulled."""
    samples = _samples(stroke.seconds + 0.9)
    sides = [
        saw(hertz(stroke.pitch - 0.07), samples, 0.13) + saw(hertz(stroke.pitch + 0.05), samples, 0.57),
        saw(hertz(stroke.pitch + 0.08), samples, 0.29) + saw(hertz(stroke.pitch - 0.04), samples, 0.83),
    ]
    return low_pass(np.stack(sides) * np.float32(0.4), 1900) * envelope(samples, 0.35, 0.9) * _gain(stroke.velocity)


def stab(stroke: Stroke) -> Audio:
    """Return a short bright chord voice: detuned sawtooths under a falling filter."""
    samples = _samples(stroke.seconds + 0.18)
    sides = np.stack([saw(hertz(stroke.pitch + 0.09), samples, 0.2), saw(hertz(stroke.pitch - 0.09), samples, 0.7)])
    bright = low_pass(sides, 4200) * decay(samples, 0.5) + low_pass(sides, 1100) * decay(samples, 1.6)
    return bright * np.float32(0.5) * envelope(samples, 0.003, 0.15) * _gain(stroke.velocity)


def pluck(stroke: Stroke) -> Audio:
    """Return a plucked, glassy tone: partials that fade the faster the higher they are."""
    samples = _samples(min(1.4, stroke.seconds + 0.7))
    partials = range(1, min(12, int(12_000 / hertz(stroke.pitch))) + 1)
    tone = sum(
        sine(hertz(stroke.pitch) * n * (1 + 0.0004 * n * n), samples, 0.11 * n) * decay(samples, 2.2 / n**0.9) / n**1.25
        for n in partials
    )
    return _centre(np.asarray(tone, dtype=np.float32) * envelope(samples, 0.002, 0.1)) * (0.6 * _gain(stroke.velocity))


def keys(stroke: Stroke) -> Audio:
    """Return an electric piano by frequency modulation, its tremolo wandering between the sides."""
    samples = _samples(stroke.seconds + 0.35)
    time = np.arange(samples) / SAMPLE_RATE
    carrier = 2 * np.pi * hertz(stroke.pitch) * time
    tine = 0.35 * decay(samples, 0.5) * np.sin(14 * carrier) if stroke.pitch < 76 else np.zeros(samples)
    body = np.sin(carrier + 1.1 * stroke.velocity / 127 * decay(samples, 2.2) * np.sin(carrier) + 0.25 * tine)
    swing = 0.16 * np.sin(2 * np.pi * 4.3 * time)
    shaped = body * decay(samples, 5.0) * envelope(samples, 0.003, 0.3)
    return np.stack([shaped * (1 + swing), shaped * (1 - swing)]).astype(np.float32) * _gain(stroke.velocity)


def bell(stroke: Stroke) -> Audio:
    """Return a small bell: frequency modulation at an uneven ratio."""
    samples = _samples(min(2.4, stroke.seconds + 1.4))
    carrier = 2 * np.pi * hertz(stroke.pitch) * np.arange(samples) / SAMPLE_RATE
    tone = np.sin(carrier + 1.6 * decay(samples, 1.1) * np.sin(3.5 * carrier)) * decay(samples, 3.2)
    return _centre(tone.astype(np.float32) * envelope(samples, 0.002, 0.2)) * (0.6 * _gain(stroke.velocity))


def lead(stroke: Stroke) -> Audio:
    """Return a singing lead: sawtooth and square-ish mix, with vibrato that comes in late."""
    samples = _samples(stroke.seconds + 0.16)
    time = np.arange(samples) / SAMPLE_RATE
    depth = 0.0035 * np.clip((time - 0.18) / 0.3, 0, 1)
    turns = np.cumsum(hertz(stroke.pitch) * (1 + depth * np.sin(2 * np.pi * 5.4 * time))) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * n * turns) / n ** (1.1 if n % 2 else 1.7) for n in range(1, 9))
    shaped = low_pass(np.asarray(tone, dtype=np.float32), 4200) * envelope(samples, 0.015, 0.16)
    return _centre(shaped * np.float32(0.55)) * _gain(stroke.velocity)


def riser(stroke: Stroke) -> Audio:
    """Noise whose band climbs from 300 Hz to 9 kHz while it swells, over the whole length of the note."""
    samples = _samples(stroke.seconds)
    source = noise(samples, 900 + stroke.take)
    climb = np.linspace(0, 1, samples, dtype=np.float32)
    bands = [(300, 800), (800, 2000), (2000, 4500), (4500, 9000)]
    swept = sum(
        band_pass(source, low, high) * np.clip(1 - np.abs(climb * (len(bands) - 1) - place), 0, 1)
        for place, (low, high) in enumerate(bands)
    )
    return np.asarray(swept * climb**2 * 1.6 * envelope(samples, 0.05, 0.02), dtype=np.float32) * _gain(stroke.velocity)


def impact(stroke: Stroke) -> Audio:
    """Return a low boom under a long splash of noise, for the first beat of a section."""
    samples = _samples(min(stroke.seconds, 3.0))
    boom = sine(44, samples) * decay(samples, 1.6)
    splash = high_pass(noise(samples, 950), 1800) * decay(samples, 2.6)
    return np.asarray((boom * 0.9 + splash * 0.8) * envelope(samples, 0.002, 0.3), dtype=np.float32) * _gain(
        stroke.velocity
    )


def dust(stroke: Stroke) -> Audio:
    """Return the bed of an old record: soft hiss and sparse crackle, over the whole length of the note."""
    samples = _samples(stroke.seconds)
    random = np.random.default_rng(970 + stroke.take)
    ticks = np.zeros((2, samples), dtype=np.float32)
    count = max(1, int(stroke.seconds * 9))
    places = random.integers(0, samples, count)
    ticks[random.integers(0, 2, count), places] = random.uniform(0.2, 1.0, count) * random.choice([-1.0, 1.0], count)
    bed = low_pass(noise(samples, 971 + stroke.take), 2400) * 0.06 + band_pass(ticks, 900, 6000) * 0.9
    return np.asarray(bed * envelope(samples, 0.3, 0.3), dtype=np.float32) * _gain(stroke.velocity)


def _kick(take: int) -> Audio:
    samples = _samples(0.42)
    time = np.arange(samples) / SAMPLE_RATE
    turns = np.cumsum(47 + 150 * np.exp(-time / 0.018) + 40 * np.exp(-time / 0.08)) / SAMPLE_RATE
    click = high_pass(noise(samples, 10 + take), 2500)[0] * decay(samples, 0.02)
    return _centre(np.tanh(1.6 * np.sin(2 * np.pi * turns) * decay(samples, 0.62)) + 0.25 * click)


def _snare(take: int) -> Audio:
    samples = _samples(0.3)
    body = (sine(186, samples) + 0.6 * sine(331, samples)) * decay(samples, 0.18)
    rattle = high_pass(noise(samples, 20 + take), 1500) * decay(samples, 0.32)
    return np.asarray(0.55 * body + 1.1 * rattle, dtype=np.float32)


def _clap(take: int) -> Audio:
    samples = _samples(0.32)
    hands = band_pass(noise(samples, 30 + take), 900, 4200)
    strokes = np.zeros(samples, dtype=np.float32)
    for delay, length in ((0.0, 0.03), (0.011, 0.03), (0.024, 0.36)):
        first = _samples(delay)
        strokes[first:] += decay(samples - first, length)
    return np.asarray(hands * strokes * 1.2, dtype=np.float32)


def _hat(take: int) -> Audio:
    samples = _samples(0.07)
    return np.asarray(high_pass(noise(samples, 40 + take), 7500, 4) * decay(samples, 0.07) * 1.1, dtype=np.float32)


def _open_hat(take: int) -> Audio:
    samples = _samples(0.34)
    return np.asarray(high_pass(noise(samples, 50 + take), 6500, 4) * decay(samples, 0.45) * 0.9, dtype=np.float32)


def _rim(take: int) -> Audio:
    samples = _samples(0.09)
    tone = (sine(820, samples) + 0.7 * sine(1730, samples)) * decay(samples, 0.06)
    return np.asarray(0.5 * tone + band_pass(noise(samples, 60 + take), 2000, 6000) * decay(samples, 0.05), np.float32)


def _crash(take: int) -> Audio:
    samples = _samples(2.2)
    return np.asarray(high_pass(noise(samples, 90 + take), 4200) * decay(samples, 2.6) * 0.9, dtype=np.float32)


def _shaker(take: int) -> Audio:
    samples = _samples(0.11)
    return band_pass(noise(samples, 80 + take), 4200, 11_000) * envelope(samples, 0.03, 0.07) * np.float32(0.7)


_DRUMS: dict[int, Callable[[int], Audio]] = {
    36: _kick,
    37: _rim,
    38: _snare,
    39: _clap,
    42: _hat,
    46: _open_hat,
    49: _crash,
    70: _shaker,
}

INSTRUMENTS: dict[str, Instrument] = {
    "kit": kit,
    "round_bass": round_bass,
    "reese": reese,
    "pad": pad,
    "stab": stab,
    "pluck": pluck,
    "keys": keys,
    "bell": bell,
    "lead": lead,
    "riser": riser,
    "impact": impact,
    "dust": dust,
}


def _samples(seconds: float) -> int:
    return max(1, round(seconds * SAMPLE_RATE))


def _gain(velocity: int) -> np.float32:
    return np.float32((velocity / 127) ** 1.5)


def _centre(mono: Audio) -> Audio:
    return np.stack([mono, mono]).astype(np.float32)


@lru_cache(maxsize=64)
def _saw_table(harmonics: int) -> Audio:
    """Return one cycle and its first sample again, so that reading between two samples needs no wrap."""
    turns = np.arange(_TABLE) / _TABLE
    cycle = sum(np.sin(2 * np.pi * n * turns) / n for n in range(1, harmonics + 1)) * (2 / np.pi)
    return np.append(cycle, np.asarray(cycle)[0]).astype(np.float32)


def _filtered(audio: Audio, design: tuple[str, float, float, int]) -> Audio:
    from scipy.signal import sosfilt

    return np.asarray(sosfilt(_sections(design), audio, axis=-1), dtype=np.float32)


@lru_cache(maxsize=128)
def _sections(design: tuple[str, float, float, int]) -> npt.NDArray[np.float32]:
    from scipy.signal import butter

    kind, low, high, order = design
    edges = [low, high] if kind == "bandpass" else low
    return np.asarray(butter(order, edges, btype=kind, fs=SAMPLE_RATE, output="sos"), dtype=np.float32)
