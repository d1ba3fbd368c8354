"""From segments in the cache to what a backend trains on: gain, rate and channels, latents, order of batches."""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modal_app.audio.cache import find_prepared, segment_path
from modal_app.audio.scratch import scratch_folder
from modal_app.backends.base import Signal, TrainBackend, TrainExample
from modal_app.config import DataRoot
from modal_app.errors import JobError
from modal_app.protocol import Event, Example, PreparedAudio, TrainRequest


def load_examples(
    request: TrainRequest, backend: TrainBackend, root: DataRoot, emit: Callable[[Event], None]
) -> list[TrainExample]:
    """The request's examples, encoded; latents that are in the cache are not computed again.

    Raises:
        JobError: a segment is not in the cache, or is not the one that was meant.
    """
    manifests = {
        key: find_prepared(root, key, request.recipe) for key in {part.audio_hash for part in request.examples}
    }
    gains = {key: track_gain_db(manifest) for key, manifest in manifests.items() if manifest}
    examples = []
    for done, example in enumerate(request.examples, 1):
        manifest = _checked_manifest(example, manifests[example.audio_hash])
        gain_db = gains[example.audio_hash] - manifest.segments[example.index].gain_db
        path = segment_path(root, example.audio_hash, request.recipe, example.index)
        examples.append(
            TrainExample(
                key=example.sha256,
                encoded=_latents(example, path, gain_db, backend, root),
                caption=example.caption,
                bpm=example.bpm,
                musical_key=example.musical_key,
                seconds=manifest.segments[example.index].samples / manifest.sample_rate,
            )
        )
        message = f"encoded segment {done} of {len(request.examples)}"
        emit(Event(kind="progress", message=message, done=done, total=len(request.examples)))
    return examples


def track_gain_db(manifest: PreparedAudio) -> float:
    """One gain for a whole track: what brings its loudest segment to −1 dBFS.

    Segments are normalised one by one; trained on as they are, an intro would be as loud as the drop.
    """
    return min((segment.gain_db for segment in manifest.segments if not segment.silent), default=0.0)


def read_signal(path: Path, gain_db: float, sample_rate: int, channels: int) -> Signal:
    """A segment `[channels, samples]` at another rate, with a gain, within ±1; a mono one in all channels."""
    import soundfile
    import soxr

    signal, rate = soundfile.read(path, dtype="float32", always_2d=True)
    resampled = soxr.resample(signal * 10 ** (gain_db / 20), rate, sample_rate)
    clipped = np.clip(resampled.T, -1.0, 1.0).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(clipped, (channels, clipped.shape[1])))


def batches(keys: Sequence[Hashable], size: int, seed: int) -> Iterator[list[int]]:
    """Endless batches of indices, each of examples with one key, every example once a round, in a seeded order."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    while True:
        buckets: dict[Hashable, list[int]] = defaultdict(list)
        for index in torch.randperm(len(keys), generator=generator).tolist():
            buckets[keys[index]].append(index)
        cut = [bucket[start : start + size] for bucket in buckets.values() for start in range(0, len(bucket), size)]
        for number in torch.randperm(len(cut), generator=generator).tolist():
            yield cut[number]


def _checked_manifest(example: Example, manifest: PreparedAudio | None) -> PreparedAudio:
    if manifest is None or example.index >= len(manifest.segments):
        raise JobError(f"segment {example.index} of {example.song} is not in the cache; prepare it again")
    if manifest.segments[example.index].sha256 != example.sha256:
        raise JobError(f"segment {example.index} of {example.song} is another one now; prepare and tag it again")
    return manifest


def _latents(example: Example, path: Path, gain_db: float, backend: TrainBackend, root: DataRoot) -> Mapping[str, Any]:
    """The encoded segment, from the write-once cache or into it."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    base = backend.base
    content = [base.name, base.revision, backend.sample_rate, backend.channels, example.sha256, round(gain_db, 3)]
    name = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    cached = root.latents() / name[:2] / f"{name}.safetensors"
    try:
        return dict(load_file(cached))
    except (OSError, SafetensorError):
        pass  # not there, or damaged: made again
    signal = read_signal(path, gain_db, backend.sample_rate, backend.channels)
    encoded = backend.encode(signal)
    if not all(bool(torch.isfinite(part).all()) for part in encoded.values()):
        raise JobError(f"segment {example.index} of {example.song}: its latents are no numbers (NaN); leave it out")
    cached.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(root.scratch()) as folder:
        save_file(dict(encoded), folder / cached.name)
        (folder / cached.name).replace(cached)
    return encoded


def seconds_left(elapsed: float, done: int, total: int) -> int:
    """How long the rest takes at the pace so far, in whole seconds, rounded up."""
    return math.ceil(elapsed / done * (total - done))
