"""A whole track for a generator: joined from its segments in the cache, and encoded in chunks that overlap.

Segments of one file follow each other to the sample, and each has the gain by which it was normalised: with that taken
back, what lies in the cache is the track (within half a step of 16 bits, but for an end under 5 s that was never kept).
So nothing is decoded twice, and no second copy of a track is kept.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from modal_app.audio.segment_cache import segment_path
from modal_app.backends.base import Signal, Tensor, TrainBackend
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import PreparedAudio

CHUNKING = "chunks-1"
"""Names everything here that decides the latents of a track beside its segments and the base."""

_CHUNK_SECONDS = 15.0  # as long as a segment: no more memory than one takes


def track_gain_db(manifest: PreparedAudio) -> float:
    """Return one gain for a whole track: what brings its loudest segment to −1 dBFS.

    Segments are normalised one by one; trained on as they are, an intro would be as loud as the drop.
    """
    return min((segment.gain_db for segment in manifest.segments if not segment.silent), default=0.0)


def encode_track(manifest: PreparedAudio, root: DataRoot, backend: TrainBackend) -> dict[str, Tensor]:
    """Return a track encoded, `[frames, …]`, at one gain; in memory are a few segments and the result.

    Raises:
        OSError: a segment vanished from the cache.
    """
    return encode_in_chunks(joined_track(manifest, root, backend), backend)


def joined_track(manifest: PreparedAudio, root: DataRoot, backend: TrainBackend) -> Iterator[Signal]:
    """Yield a track in pieces `[channels, samples]`, at the backend's rate and at one gain (`track_gain_db`)."""
    return _resampled(_segments(manifest, root), manifest.sample_rate, backend)


def encode_in_chunks(
    blocks: Iterable[Signal], backend: TrainBackend, seconds: float = _CHUNK_SECONDS
) -> dict[str, Tensor]:
    """Encode a signal `[channels, samples]` that comes in blocks, about so many seconds at once.

    Each chunk is encoded with what lies beside it, so far as its frames depend on that, and what is beside it is cut
    off again: the same as encoding it whole, but for rounding, where the encoder looks no further.
    """
    import torch

    frame = backend.frame_samples
    chunk = max(1, round(seconds * backend.sample_rate / frame))
    side = -(-round(backend.context_seconds * backend.sample_rate) // frame)
    parts: list[dict[str, Tensor]] = []
    buffer = np.empty((backend.channels, 0), np.float32)
    lead = 0  # frames at the buffer's beginning that are encoded already
    for block in blocks:
        buffer = np.concatenate([buffer, block], axis=1)
        while buffer.shape[1] > (lead + chunk + side) * frame:
            encoded = backend.encode(buffer[:, : (lead + chunk + side) * frame])
            parts.append({name: part[lead : lead + chunk].clone() for name, part in encoded.items()})
            done = lead + chunk
            lead = min(side, done)
            buffer = buffer[:, (done - lead) * frame :]
    if buffer.shape[1] > lead * frame:
        parts.append({name: part[lead:] for name, part in backend.encode(buffer).items()})
    return {name: torch.cat([part[name] for part in parts]).contiguous() for name in parts[0]}


def _segments(manifest: PreparedAudio, root: DataRoot) -> Iterator[Signal]:
    """Yield the segments `[channels, samples]` at the track's gain."""
    import soundfile

    gain_db = track_gain_db(manifest)
    for segment in manifest.segments:
        path = segment_path(root, manifest.audio_hash, manifest.recipe, segment.index)
        signal, _ = soundfile.read(path, dtype="float32", always_2d=True)
        yield signal.T * np.float32(10 ** ((gain_db - segment.gain_db) / 20))


def _resampled(pieces: Iterable[Signal], rate: int, backend: TrainBackend) -> Iterator[Signal]:
    """Yield a signal at the backend's rate and with its channels, within ±1; a mono one in all channels."""
    import soxr

    stream = None
    for piece in pieces:
        if rate != backend.sample_rate:
            stream = stream or soxr.ResampleStream(rate, backend.sample_rate, len(piece), dtype="float32", quality="HQ")
            yield _fitting(stream.resample_chunk(np.ascontiguousarray(piece.T)), backend)
        else:
            yield _fitting(piece.T, backend)
        channels = len(piece)
    if stream is not None:
        yield _fitting(stream.resample_chunk(np.empty((0, channels), np.float32), last=True), backend)


def _fitting(signal: Signal, backend: TrainBackend) -> Signal:
    clipped = np.clip(signal.T, -1.0, 1.0)
    return np.broadcast_to(clipped, (backend.channels, clipped.shape[1]))
