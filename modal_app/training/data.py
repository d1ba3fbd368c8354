"""From segments in the cache to what a backend trains on: gain, rate and channels, latents, the data of a step.

Where a training hears crops of whole tracks, that is `tracks.py`'s.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from modal_app.audio.segment_cache import find_prepared, segment_path
from modal_app.backends.base import Signal, Tensor, TrainBackend, TrainExample
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.base import Event
from modal_app.protocol.training import TrainRequest
from modal_app.training.batch_schedule import BatchOrder, seed_of
from modal_app.training.caption_dropout import shortened
from modal_app.training.caption_rule import conditioning_of_parts, kinds_in_metadata, stated_seconds
from modal_app.training.checked_segments import checked_manifest
from modal_app.training.latent_cache import find_or_encode, latents_folder, latents_path
from modal_app.training.prefetcher import Batch, StepData
from modal_app.training.track_audio import track_gain_db
from modal_app.training.tracks import load_tracks, segments_of


def load_examples(
    request: TrainRequest, backend: TrainBackend, root: DataRoot, emit: Callable[[Event], None]
) -> list[TrainExample]:
    """Return the request's examples, encoded; latents that are in the cache are not computed again.

    Where the training hears crops they are pieces of their tracks' latents, else encoded each by itself.

    Raises:
        JobError: a segment is not in the cache, or is not the one that was meant.
    """
    if request.parameters.clip_seconds:
        return segments_of(load_tracks(request, backend, root, emit), backend)
    manifests = {
        key: find_prepared(root, key, request.recipe) for key in {part.audio_hash for part in request.examples}
    }
    gains = {key: track_gain_db(manifest) for key, manifest in manifests.items() if manifest}
    in_metadata = kinds_in_metadata(request.caption_rule, backend.metadata)
    folder = latents_folder(root, request.backend, backend)
    examples = []
    for done, example in enumerate(request.examples, 1):
        manifest = checked_manifest(example, manifests[example.audio_hash])
        gain_db = gains[example.audio_hash] - manifest.segments[example.index].gain_db
        path = segment_path(root, example.audio_hash, request.recipe, example.index)
        # its gain is part of the content: it may stand in a louder track too
        cached = latents_path(folder, example.sha256, f"{gain_db:+.3f}dB")
        name = f"segment {example.index} of {example.song}"
        examples.append(
            TrainExample(
                key=example.sha256,
                encoded=find_or_encode(cached, partial(_encode, path, gain_db, backend), name, root.scratch()),
                conditioning=conditioning_of_parts(example.parts, example, in_metadata),
                seconds=stated_seconds(
                    request.caption_rule, manifest.seconds_of(example.index), manifest.duration_seconds
                ),
            )
        )
        message = f"encoded segment {done} of {len(request.examples)}"
        emit(Event(kind="progress", message=message, done=done, total=len(request.examples)))
    return examples


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


def _encode(path: Path, gain_db: float, backend: TrainBackend) -> Mapping[str, Tensor]:
    return backend.encode(read_signal(path, gain_db, backend.sample_rate, backend.channels))
