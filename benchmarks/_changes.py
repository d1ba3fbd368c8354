"""What becomes of a recording on its way: coded, pitched, played faster, cut, set into other music. Pure functions.

Signals are mono and float32. Pitch and speed are changed by a phase vocoder (Flanagan and Golden, 1966), as a player
with a key lock does it.
"""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    Signal = npt.NDArray[np.float32]

_WINDOW, _HOP = 2_048, 512


def as_coded(signal: "Signal", sample_rate: int, codec: str = "libmp3lame", bit_rate: int = 64_000) -> "Signal":
    """Return what is left of a signal after it was coded (`libmp3lame`, `aac`); the coder's delay is kept."""
    import av

    buffer = io.BytesIO()
    container: Any  # what PyAV's types make of a codec's name depends on the name
    with av.open(buffer, "w", format={"libmp3lame": "mp3", "aac": "adts"}[codec]) as container:
        stream = container.add_stream(codec, rate=sample_rate, layout="mono")
        stream.bit_rate = bit_rate
        for at in range(0, len(signal), _WINDOW):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(signal[None, at : at + _WINDOW]), "fltp", "mono")
            frame.rate, frame.pts = sample_rate, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        parts = [part.to_ndarray().mean(axis=0) for part in container.decode(audio=0)]
    return np.concatenate(parts).astype(np.float32)


def changed(signal: "Signal", semitones: float = 0.0, speed: float = 1.0) -> "Signal":
    """Return a signal higher by so many semitones and `speed` times as fast, each without the other."""
    import soxr

    ratio = 2 ** (semitones / 12)
    pitched = soxr.resample(signal, 44_100 * ratio, 44_100) if semitones else signal
    return _stretched(pitched, speed / ratio)


def inside(other: "Signal", signal: "Signal", sample_rate: int, seconds: float = 8.0) -> "Signal":
    """Return other music in whose middle some seconds of a signal's middle stand."""
    count = round(seconds * sample_rate)
    middle, cut = len(signal) // 2, len(other) // 2
    return np.concatenate([other[:cut], signal[middle : middle + count], other[cut + count :]])


def _stretched(signal: "Signal", speed: float) -> "Signal":
    shape = np.hanning(_WINDOW).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP] * shape
    spectra = np.fft.rfft(windows, axis=1).astype(np.complex64)
    places = np.arange(0, len(spectra) - 1, speed)
    before = places.astype(np.int64)
    part = (places - before).astype(np.float32)[:, None]
    levels = np.abs(spectra)
    levels = (1 - part) * levels[before] + part * levels[before + 1]
    turn = 2 * np.pi * _HOP / _WINDOW * np.arange(levels.shape[1])
    steps = np.angle(spectra[before + 1]) - np.angle(spectra[before]) - turn
    steps += turn - 2 * np.pi * np.round(steps / (2 * np.pi))
    phases = np.angle(spectra[:1]) + np.cumsum(steps, axis=0) - steps
    frames = np.fft.irfft(levels * np.exp(1j * phases), axis=1).astype(np.float32) * shape
    stretched = np.zeros(len(frames) * _HOP + _WINDOW, np.float32)
    for number, frame in enumerate(frames):
        stretched[number * _HOP : number * _HOP + _WINDOW] += frame
    return stretched / 1.5
