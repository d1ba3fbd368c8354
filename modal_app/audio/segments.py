"""A signal to WAV files, int16, by a recipe: most often 15 s, −1 dBFS each. No decoding and no cache here."""

import hashlib
import math
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from modal_app.audio.pcm import Signal
from modal_app.audio.recipe import MONO44, WAV_HEADER_BYTES, Recipe
from modal_app.audio.true_peak import true_peak
from modal_app.protocol.audio import Segment

TARGET_PEAK = 10 ** (-1 / 20)
SILENCE_PEAK = 10 ** (-60 / 20)

_FULL_SCALE = 32_767  # −1 dBFS of it rounds to 29204


def segment_name(index: int) -> str:
    """`seg_0000.wav` for index 0: the name in the cache and in the published view."""
    return f"seg_{index:04d}.wav"


def write_segments(blocks: Iterable[Signal], sample_rate: int, folder: Path, recipe: Recipe = MONO44) -> list[Segment]:
    """Resample a signal that comes in blocks, cut it, and write the segments into `folder`.

    Memory holds one block and one segment, however long the signal is. The same signal gives the same bytes.

    Args:
        blocks: of shape (n,) where the recipe is mono, (n, channels) otherwise; ±1 is full scale.
        sample_rate: theirs.
        folder: an empty one.
        recipe: by which they are cut.
    """
    segments: list[Segment] = []
    whole = recipe.segment_samples
    buffer = np.empty(whole if recipe.channels == 1 else (whole, recipe.channels), np.float32)
    writer = _Writer(folder, recipe)
    filled = 0
    for block in _resampled(blocks, sample_rate, recipe):
        taken = 0
        while taken < len(block):
            part = block[taken : taken + whole - filled]
            buffer[filled : filled + len(part)] = part
            taken += len(part)
            filled += len(part)
            if filled == whole:
                segments.append(writer.write(buffer, len(segments)))
                filled = 0
    if filled >= recipe.shortest_tail or (filled and not segments):
        segments.append(writer.write(buffer[:filled], len(segments)))
    return segments


def _resampled(blocks: Iterable[Signal], sample_rate: int, recipe: Recipe) -> Iterable[Signal]:
    if sample_rate == recipe.sample_rate:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(sample_rate, recipe.sample_rate, recipe.channels, dtype="float32", quality="HQ")
    taken = given = 0
    for block in blocks:
        taken += len(block)
        out = stream.resample_chunk(block)
        given += len(out)
        yield out
    nothing = np.empty(0 if recipe.channels == 1 else (0, recipe.channels), np.float32)
    last = stream.resample_chunk(nothing, last=True)
    # soxr rounds halves its own way; one sample more or less would make a promise of the recipe depend on it.
    missing = recipe.resampled_length(taken, sample_rate) - given
    lacking = (0, max(0, missing - len(last)))
    yield np.pad(last[:missing], lacking if recipe.channels == 1 else (lacking, (0, 0)))


class _Writer:
    """Writes segments; its buffers are used again for each: fresh memory of that size costs more than the sums."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self._folder, self._recipe = folder, recipe
        shape = (recipe.segment_samples, recipe.channels) if recipe.channels > 1 else recipe.segment_samples
        self._scaled, self._samples = np.empty(shape, np.float32), np.empty(shape, "<i2")

    def write(self, signal: Signal, index: int) -> Segment:
        """Write a segment of shape (n,) or (n, channels), and return what it is."""
        recipe = self._recipe
        peak = max(float(signal.max()), -float(signal.min()))
        silent = peak < SILENCE_PEAK
        # where it is not normalised: a float file may go beyond full scale, int16 can't
        gain = (1.0 if silent else TARGET_PEAK / peak) if recipe.normalised else 1.0 / max(1.0, peak)
        header, data = _wav_header(len(signal), recipe), self._int16(signal, gain)
        path = self._folder / segment_name(index)
        with path.open("wb") as file:
            file.writelines((header, data))
        path.chmod(0o444)  # published views are hard links: an editor must not write through them into the cache
        channels = _channels(signal)
        offset = max((float(channel.mean(dtype=np.float64)) for channel in channels), key=abs)
        return Segment(
            index=index,
            sha256=_sha256(header, data),
            start_seconds=index * recipe.segment_samples / recipe.sample_rate,
            samples=len(signal),
            gain_db=_decibels(gain) or 0.0,
            peak_dbfs=_decibels(peak),
            true_peak_dbfs=_decibels(max(true_peak(channel) for channel in channels)),
            dc_offset=round(offset, 9),
            silent=silent,
        )

    def _int16(self, signal: Signal, gain: float) -> memoryview:
        """Return the signal's samples as they stand in the file; the next call writes over them."""
        scaled, samples = self._scaled[: len(signal)], self._samples[: len(signal)]
        np.multiply(signal, np.float32(gain * _FULL_SCALE), out=scaled)
        np.rint(scaled, out=scaled)
        samples[...] = scaled
        return samples.data.cast("B")


def _channels(signal: Signal) -> list[Signal]:
    return [signal] if signal.ndim == 1 else [np.ascontiguousarray(channel) for channel in signal.T]


def _wav_header(samples: int, recipe: Recipe) -> bytes:
    """Return a canonical header of 44 bytes: nothing in it depends on a library's version."""
    rate, channels, frame = recipe.sample_rate, recipe.channels, 2 * recipe.channels
    size = samples * frame
    return (
        struct.pack("<4sI4s", b"RIFF", WAV_HEADER_BYTES - 8 + size, b"WAVE")
        + struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, frame * rate, frame, 16)
        + struct.pack("<4sI", b"data", size)
    )


def _sha256(header: bytes, data: memoryview) -> str:
    digest = hashlib.sha256(header)
    digest.update(data)
    return digest.hexdigest()


def _decibels(amplitude: float) -> float | None:
    return round(20 * math.log10(amplitude), 4) if amplitude > 0 else None
