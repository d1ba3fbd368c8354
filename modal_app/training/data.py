"""From segments in the cache to what a backend trains on: gain, rate and channels, latents, the data of a step."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modal_app.audio.segment_cache import find_prepared, segment_path
from modal_app.backends.base import Signal, TrainBackend, TrainExample
from modal_app.config import BackendKind
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.audio import PreparedAudio
from modal_app.protocol.base import Event
from modal_app.protocol.training import Example, TrainRequest
from modal_app.training.batch_schedule import BatchOrder, seed_of
from modal_app.training.caption_dropout import shortened
from modal_app.training.caption_rule import conditioning_of_parts, kinds_in_metadata, stated_seconds
from modal_app.training.prefetcher import Batch, StepData


def load_examples(
    request: TrainRequest, backend: TrainBackend, root: DataRoot, emit: Callable[[Event], None]
) -> list[TrainExample]:
    """Return the request's examples, encoded; latents that are in the cache are not computed again.

    Raises:
        JobError: a segment is not in the cache, or is not the one that was meant.
    """
    manifests = {
        key: find_prepared(root, key, request.recipe) for key in {part.audio_hash for part in request.examples}
    }
    gains = {key: track_gain_db(manifest) for key, manifest in manifests.items() if manifest}
    in_metadata = kinds_in_metadata(request.caption_rule, backend.metadata)
    examples = []
    for done, example in enumerate(request.examples, 1):
        manifest = _checked_manifest(example, manifests[example.audio_hash])
        gain_db = gains[example.audio_hash] - manifest.segments[example.index].gain_db
        path = segment_path(root, example.audio_hash, request.recipe, example.index)
        examples.append(
            TrainExample(
                key=example.sha256,
                encoded=_latents(example, path, gain_db, request.backend, backend, root),
                conditioning=conditioning_of_parts(example.parts, example, in_metadata),
                seconds=stated_seconds(
                    request.caption_rule,
                    manifest.segments[example.index].samples / manifest.sample_rate,
                    manifest.duration_seconds,
                ),
            )
        )
        message = f"encoded segment {done} of {len(request.examples)}"
        emit(Event(kind="progress", message=message, done=done, total=len(request.examples)))
    return examples


def track_gain_db(manifest: PreparedAudio) -> float:
    """Return one gain for a whole track: what brings its loudest segment to −1 dBFS.

    Segments are normalised one by one; trained on as they are, an intro would be as loud as the drop.
    """
    return min((segment.gain_db for segment in manifest.segments if not segment.silent), default=0.0)


def read_signal(path: Path, gain_db: float, sample_rate: int, channels: int) -> Signal:
    """Return a segment `[channels, samples]` at another rate, with a gain, within ±1; a mono one in all channels."""
    import soundfile
    import soxr

    signal, rate = soundfile.read(path, dtype="float32", always_2d=True)
    resampled = soxr.resample(signal * 10 ** (gain_db / 20), rate, sample_rate)
    clipped = np.clip(resampled.T, -1.0, 1.0).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(clipped, (channels, clipped.shape[1])))


def step_data(
    request: TrainRequest, examples: Sequence[TrainExample], training: Sequence[int], backend: TrainBackend
) -> Callable[[int], StepData]:
    """Return what a step is trained on, as a function of its number: batches of one shape, captions shortened, seeds.

    `examples` are the request's; `training` are the indices of those that are not held out.
    """
    parameters = request.parameters
    keys = [backend.bucket_key(examples[index]) for index in training]
    order = BatchOrder(keys, parameters.batch_size, parameters.seed)
    in_metadata = kinds_in_metadata(request.caption_rule, backend.metadata)
    whole_share = backend.caption_dropout if parameters.caption_dropout is None else parameters.caption_dropout

    def sample(index: int, seed: int) -> TrainExample:
        conditioning = shortened(
            request.examples[index], in_metadata, part_share=parameters.part_dropout, whole_share=whole_share, seed=seed
        )
        # a copy: what is read from the cache is mapped, and the step must not wait for the disk
        encoded = {name: part.clone() for name, part in examples[index].encoded.items()}
        return dataclasses.replace(examples[index], conditioning=conditioning, encoded=encoded)

    def prepare(step: int) -> StepData:
        data = []
        for number in range(parameters.accumulation):
            chosen = [training[place] for place in order.batch((step - 1) * parameters.accumulation + number)]
            name = (parameters.seed, step, number)
            data.append(
                Batch(
                    [sample(index, seed_of("caption", *name, place)) for place, index in enumerate(chosen)],
                    [seed_of("draw", *name, place) for place in range(len(chosen))],
                )
            )
        return data

    return prepare


def _checked_manifest(example: Example, manifest: PreparedAudio | None) -> PreparedAudio:
    if manifest is None or example.index >= len(manifest.segments):
        raise JobError(f"segment {example.index} of {example.song} is not in the cache; prepare it again")
    if manifest.segments[example.index].sha256 != example.sha256:
        raise JobError(f"segment {example.index} of {example.song} is another one now; prepare and tag it again")
    return manifest


def _latents(
    example: Example, path: Path, gain_db: float, kind: BackendKind, backend: TrainBackend, root: DataRoot
) -> Mapping[str, Any]:
    """Return the encoded segment, from the write-once cache or into it.

    By backend, base, and the segment's content; its gain is part of that, for it may stand in a louder track too.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    folder = root.latents() / kind / _base_fingerprint(backend) / example.sha256[:2]
    cached = folder / f"{example.sha256}{gain_db:+.3f}dB.safetensors"
    try:
        return dict(load_file(cached))
    except (OSError, SafetensorError):
        pass  # not there, or damaged: made again
    signal = read_signal(path, gain_db, backend.sample_rate, backend.channels)
    encoded = backend.encode(signal)
    if not all(bool(torch.isfinite(part).all()) for part in encoded.values()):
        raise JobError(f"segment {example.index} of {example.song}: its latents are no numbers (NaN); leave it out")
    cached.parent.mkdir(parents=True, exist_ok=True)
    with scratch_path(cached, root.scratch()) as fresh:
        save_file(dict(encoded), fresh)
    return encoded


def _base_fingerprint(backend: TrainBackend) -> str:
    base = backend.base
    content = [base.name, base.revision, backend.sample_rate, backend.channels]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
