"""Plays a song: notes through instruments onto buses, filter sweeps, ducking, echo, reverb, and the master.

What a song is, is told in `score.py`; how an instrument sounds in `music.py`.
"""

import numpy as np

from dawa_assets.example.music import INSTRUMENTS, SAMPLE_RATE, Audio, Stroke, high_pass, low_pass, noise
from dawa_assets.example.score import KICK, Part, Song

PEAK = 10 ** (-1.0 / 20)  # -1 dBFS
TAIL_SECONDS = 1.8
_TAKES = 3  # a drum struck thrice in a row sounds three ways
_CUTOFFS = (160, 320, 640, 1280, 2560, 5120, 10_240)


def play(song: Song) -> Audio:
    """Return the whole song: float32 of shape (2, samples) at 44.1 kHz, peak -1 dBFS, with the reverb's tail."""
    samples = round((song.beats * 60 / song.tempo + TAIL_SECONDS) * SAMPLE_RATE)
    ducked = _ducking(song, samples)
    dry, to_reverb, to_echo = (np.zeros((2, samples), dtype=np.float32) for _ in range(3))
    for part in (part for part in song.parts if not part.muted):
        bus = _bus(part, song.tempo, samples)
        if part.sweep:
            bus = _swept(bus, part.sweep, song.tempo)
        bus *= np.float32(10 ** (part.gain_db / 20)) * (1 - part.ducking * ducked)
        bus *= np.array([[min(1.0, 1 - part.pan)], [min(1.0, 1 + part.pan)]], dtype=np.float32)
        dry += bus
        to_reverb += bus * np.float32(part.reverb)
        to_echo += bus * np.float32(part.echo)
    echoes = _echo(to_echo, 0.75 * 60 / song.tempo)
    return _master(dry + echoes + _reverb(to_reverb + 0.35 * echoes))


def _bus(part: Part, tempo: float, samples: int) -> Audio:
    """Return everything that one part plays. Strokes that are equal are rendered once."""
    instrument = INSTRUMENTS[part.sound]
    rendered: dict[Stroke, Audio] = {}
    bus = np.zeros((2, samples), dtype=np.float32)
    notes = (note for clip in part.clips for note in clip.played())
    for number, note in enumerate(notes):
        take = number % _TAKES if part.sound == "kit" else 0
        stroke = Stroke(note.pitch, round(note.length * 60 / tempo, 4), note.velocity, take)
        if stroke not in rendered:
            rendered[stroke] = instrument(stroke)
        first = round(note.start * 60 / tempo * SAMPLE_RATE)
        sound = rendered[stroke][:, : samples - first]
        bus[:, first : first + sound.shape[1]] += sound
    return bus


def _ducking(song: Song, samples: int) -> Audio:
    """Return how far the kick pushes the rest down at each sample: 1 at the stroke, back to 0 within a beat."""
    depth = np.zeros(samples, dtype=np.float32)
    length = round(60 / song.tempo * SAMPLE_RATE)
    shape = np.cos(np.linspace(0, np.pi / 2, length, dtype=np.float32)) ** 2
    rise = round(0.004 * SAMPLE_RATE)  # without it, the push is a click
    shape[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    kicks = (
        n for part in song.parts if part.sound == "kit" and not part.muted for clip in part.clips for n in clip.played()
    )
    for kick in (note for note in kicks if note.pitch == KICK):
        first = round(kick.start * 60 / song.tempo * SAMPLE_RATE)
        window = depth[first : first + length]
        np.maximum(window, shape[: len(window)], out=window)
    return depth


def _swept(bus: Audio, sweep: tuple[tuple[float, float], ...], tempo: float) -> Audio:
    """Return a low-pass filter that moves along `sweep`: cross-fades between fixed filters an octave apart."""
    beats = np.arange(bus.shape[1], dtype=np.float32) * np.float32(tempo / 60 / SAMPLE_RATE)
    octaves = [np.log2(hz / _CUTOFFS[0]) for _, hz in sweep]
    octave = np.interp(beats, [beat for beat, _ in sweep], octaves).astype(np.float32)
    swept = np.zeros_like(bus)
    for place, cutoff in enumerate(_CUTOFFS):
        if not min(octaves) - 1 < place < max(octaves) + 1:
            continue
        heard = np.flatnonzero(np.abs(octave - place) < 1)
        window = slice(max(0, heard[0] - SAMPLE_RATE // 4), heard[-1] + 1)  # the filter settles before it is heard
        weight = np.maximum(0, 1 - np.abs(octave[window] - place))
        swept[:, window] += low_pass(bus[:, window], cutoff) * weight
    swept += bus * np.clip(octave - (len(_CUTOFFS) - 1), 0, 1).astype(np.float32)
    return swept


def _echo(audio: Audio, seconds: float) -> Audio:
    """Five echoes `seconds` apart, each duller and from the other side."""
    delay = round(seconds * SAMPLE_RATE)
    echoes, sound = np.zeros_like(audio), audio
    for number in range(1, 6):
        if number * delay >= audio.shape[1]:
            break
        sound = low_pass(sound, 3800, 1)[::-1] * np.float32(0.52)
        echoes[:, number * delay :] += sound[:, : -number * delay]
    return echoes


def _reverb(audio: Audio) -> Audio:
    """Return a hall of 1.8 s, by convolution with decaying noise whose high end dies first."""
    from scipy.signal import oaconvolve

    samples = round(1.8 * SAMPLE_RATE)
    time = np.arange(samples) / SAMPLE_RATE
    source = noise(samples, 4)
    hall = high_pass(low_pass(source, 1800) * np.exp(-time / 0.42) + source * np.exp(-time / 0.14) * 0.6, 180)
    hall *= np.minimum(1, time / 0.015)
    hall /= np.sqrt((hall**2).sum(axis=1, keepdims=True))
    return np.asarray(oaconvolve(audio, hall, axes=1)[:, : audio.shape[1]], dtype=np.float32)


def _master(mix: Audio) -> Audio:
    """No rumble, some air above 5 kHz, gentle saturation where it is loud, the last 50 ms faded, peak -1 dBFS."""
    mix = high_pass(mix, 28)
    mix += high_pass(mix, 5000, 1) * np.float32(0.7)
    loud = float(np.quantile(np.abs(mix), 0.9995))
    mix = np.tanh(mix * np.float32(1.05 / loud))
    fade = round(0.05 * SAMPLE_RATE)
    mix[:, -fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return mix * np.float32(PEAK / np.abs(mix).max())
