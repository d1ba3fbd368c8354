"""The `mono44` recipe: a mono signal to 15 s WAV files of 44.1 kHz, int16, normalised to −1 dBFS each.

The recipe and its numbers are a contract with everything that reads the segments; another recipe gets another name.
No decoding and no cache here.
"""

import hashlib
import math
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modal_app.audio.decode import Signal
from modal_app.audio.true_peak import true_peak
from modal_app.protocol import Segment

SAMPLE_RATE = 44_100
SEGMENT_SAMPLES = 15 * SAMPLE_RATE
SHORTEST_TAIL = 5 * SAMPLE_RATE
TARGET_PEAK = 10 ** (-1 / 20)
SILENCE_PEAK = 10 ** (-60 / 20)
WAV_HEADER_BYTES = 44

_FULL_SCALE = 32_767  # −1 dBFS of it rounds to 29204


def segment_name(index: int) -> str:
    """`seg_0000.wav` for index 0: the name in the cache and in the published view."""
    return f"seg_{index:04d}.wav"


def segment_lengths(samples: int) -> list[int]:
    """How a signal of so many samples at 44.1 kHz is cut. A tail under 5 s is dropped unless it is all there is."""
    whole, tail = divmod(samples, SEGMENT_SAMPLES)
    keep_tail = tail >= SHORTEST_TAIL or (tail > 0 and whole == 0)
    return [SEGMENT_SAMPLES] * whole + [tail] * keep_tail


def resampled_length(samples: int, sample_rate: int) -> int:
    """How many samples at 44.1 kHz a signal of `samples` at `sample_rate` becomes: the nearest whole number."""
    return (2 * samples * SAMPLE_RATE + sample_rate) // (2 * sample_rate)


def write_segments(blocks: Iterable[Signal], sample_rate: int, folder: Path) -> list[Segment]:
    """Resample a mono signal that comes in blocks, cut it, and write the segments into `folder`.

    Memory holds one block and one segment, however long the signal is. The same signal gives the same bytes.
    """
    segments: list[Segment] = []
    buffer = np.empty(SEGMENT_SAMPLES, np.float32)
    filled = 0
    for block in _resampled(blocks, sample_rate):
        taken = 0
        while taken < len(block):
            part = block[taken : taken + SEGMENT_SAMPLES - filled]
            buffer[filled : filled + len(part)] = part
            taken += len(part)
            filled += len(part)
            if filled == SEGMENT_SAMPLES:
                segments.append(_write_segment(buffer, len(segments), folder))
                filled = 0
    if filled >= SHORTEST_TAIL or (filled and not segments):
        segments.append(_write_segment(buffer[:filled], len(segments), folder))
    return segments


def _resampled(blocks: Iterable[Signal], sample_rate: int) -> Iterable[Signal]:
    if sample_rate == SAMPLE_RATE:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    taken = given = 0
    for block in blocks:
        taken += len(block)
        out = stream.resample_chunk(block)
        given += len(out)
        yield out
    last = stream.resample_chunk(np.empty(0, np.float32), last=True)
    # soxr rounds halves its own way; one sample more or less would make a promise of the recipe depend on it.
    missing = resampled_length(taken, sample_rate) - given
    yield np.pad(last[:missing], (0, max(0, missing - len(last))))


def _write_segment(signal: Signal, index: int, folder: Path) -> Segment:
    peak = max(float(signal.max()), -float(signal.min()))
    silent = peak < SILENCE_PEAK
    gain = 1.0 if silent else TARGET_PEAK / peak
    scaled = signal * np.float32(gain * _FULL_SCALE)
    data = _wav(np.rint(scaled, out=scaled).astype("<i2"))
    path = folder / segment_name(index)
    path.write_bytes(data)
    path.chmod(0o444)  # published views are hard links: an editor must not write through them into the cache
    return Segment(
        index=index,
        sha256=hashlib.sha256(data).hexdigest(),
        start_seconds=index * SEGMENT_SAMPLES / SAMPLE_RATE,
        samples=len(signal),
        gain_db=_decibels(gain) or 0.0,
        peak_dbfs=_decibels(peak),
        true_peak_dbfs=_decibels(true_peak(signal)),
        dc_offset=round(float(signal.mean(dtype=np.float64)), 9),
        silent=silent,
    )


def _wav(samples: npt.NDArray[np.int16]) -> bytes:
    """A canonical 44-byte header and the samples: nothing in it depends on a library's version."""
    data = samples.tobytes()
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE")
        + struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
        + struct.pack("<4sI", b"data", len(data))
        + data
    )


def _decibels(amplitude: float) -> float | None:
    return round(20 * math.log10(amplitude), 4) if amplitude > 0 else None
