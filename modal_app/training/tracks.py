"""Whole tracks for a training: their latents, the segments and crops that are cut from them, the data of a step.

Latents are kept by track, not by crop, so nothing is encoded twice however a training cuts it: the held-out segments
are pieces of them too.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from modal_app.audio.recipe import whole_recipe_for
from modal_app.audio.segment_cache import find_prepared
from modal_app.backends.base import Tensor, TrainBackend, TrainExample, frames_per_second
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import PreparedAudio
from modal_app.protocol.base import Event
from modal_app.protocol.song_timeline import SongTimeline
from modal_app.protocol.training import Example, TrainRequest
from modal_app.training.batch_schedule import seed_of
from modal_app.training.caption_dropout import shortened
from modal_app.training.caption_rule import conditioning_of_parts, kinds_in_metadata, stated_seconds, with_facts
from modal_app.training.checked_segments import checked_manifest
from modal_app.training.crops import Crop, CropOrder, Stretch, stretches_of
from modal_app.training.latent_cache import find_or_encode, latents_folder, latents_path
from modal_app.training.prefetcher import Batch, StepData
from modal_app.training.span_facts import facts_of_span
from modal_app.training.track_audio import CHUNKING, encode_track, track_gain_db


@dataclass(frozen=True)
class Tracks:
    """The tracks of a request's examples with their latents, by the hash of their audio."""

    request: TrainRequest
    manifests: Mapping[str, PreparedAudio]
    latents: Mapping[str, Mapping[str, Tensor]]
    files: Mapping[str, Path]
    """Where the latents are kept."""
    frames_a_second: float

    @cached_property
    def timelines(self) -> dict[str, SongTimeline]:
        """What plays when in those tracks of which it is known."""
        return {track.audio_hash: track.timeline for track in self.request.timelines}

    def stretches(self, chosen: Sequence[int]) -> list[Stretch]:
        """Return what the chosen examples are together; `chosen` are their indices."""
        examples = [self.request.examples[index] for index in chosen]
        downbeats = {key: timeline.bars for key, timeline in self.timelines.items()}
        return stretches_of(examples, self.manifests, downbeats, self.frames_a_second)

    def cut(self, crop: Crop) -> dict[str, Tensor]:
        """Return the latents of a crop: a copy, for what is kept is mapped and a step must not wait for the disk."""
        return {name: part[crop.first : crop.end].clone() for name, part in self.latents[crop.track].items()}


def load_tracks(request: TrainRequest, backend: TrainBackend, root: DataRoot, emit: Callable[[Event], None]) -> Tracks:
    """Return the tracks of the request's examples; latents that are in the cache are not computed again.

    Raises:
        JobError: a segment is not in the cache, or is not the one that was meant.
    """
    names = {example.audio_hash: example.song for example in request.examples}
    found = {key: find_prepared(root, key, request.recipe) for key in names}
    manifests = {
        example.audio_hash: checked_manifest(example, found[example.audio_hash]) for example in request.examples
    }
    folder = latents_folder(root, request.backend, backend)
    latents, files = {}, {}
    for done, (key, manifest) in enumerate(manifests.items(), 1):
        files[key] = latents_path(folder, key, f".{_content(manifest)}")
        encode = partial(encode_track, manifest, root, backend)
        latents[key] = find_or_encode(files[key], encode, names[key], root.scratch())
        message = f"encoded track {done} of {len(manifests)}"
        emit(Event(kind="progress", message=message, done=done, total=len(manifests)))
    return Tracks(request, manifests, latents, files, frames_per_second(backend))


def segments_of(tracks: Tracks, backend: TrainBackend) -> list[TrainExample]:
    """Return the request's examples as pieces of their tracks' latents."""
    request = tracks.request
    in_metadata = kinds_in_metadata(request.caption_rule, backend.metadata)
    found = []
    for example in request.examples:
        manifest = tracks.manifests[example.audio_hash]
        (stretch,) = stretches_of([example], tracks.manifests, {}, tracks.frames_a_second)
        latents = tracks.latents[example.audio_hash]
        found.append(
            TrainExample(
                key=example.sha256,
                encoded={name: part[stretch.first : stretch.end] for name, part in latents.items()},
                conditioning=conditioning_of_parts(example.parts, example, in_metadata),
                seconds=stated_seconds(
                    request.caption_rule, manifest.seconds_of(example.index), manifest.duration_seconds
                ),
            )
        )
    return found


def crop_data(tracks: Tracks, training: Sequence[int], backend: TrainBackend) -> Callable[[int], StepData]:
    """Return what a step is trained on, as a function of its number: crops, captions shortened, seeds.

    `training` are the indices of the examples that are not held out: no crop reaches into what is not among them. Crops
    of one length share a batch; a step has as many batches as there are lengths among its crops.
    """
    request, parameters = tracks.request, tracks.request.parameters
    clip = max(1, round(parameters.clip_seconds * tracks.frames_a_second))
    longest = round(longest_seconds(request) * tracks.frames_a_second)
    order = CropOrder(tracks.stretches(training), clip, longest, parameters.batch_size, parameters.seed)
    in_metadata = kinds_in_metadata(request.caption_rule, backend.metadata)
    whole_share = backend.caption_dropout if parameters.caption_dropout is None else parameters.caption_dropout
    of_track: dict[str, list[Example]] = {}
    for index in training:
        of_track.setdefault(request.examples[index].audio_hash, []).append(request.examples[index])

    def sample(crop: Crop, seed: int) -> TrainExample:
        manifest = tracks.manifests[crop.track]
        start, end = crop.first / tracks.frames_a_second, crop.end / tracks.frames_a_second
        return TrainExample(
            key=f"{crop.track}@{crop.first}+{crop.frames}",
            encoded=tracks.cut(crop),
            conditioning=shortened(
                caption_of_span(of_track[crop.track], manifest, tracks.timelines.get(crop.track), start, end),
                in_metadata,
                part_share=parameters.part_dropout,
                whole_share=whole_share,
                seed=seed,
            ),
            seconds=stated_seconds(request.caption_rule, end - start, manifest.duration_seconds),
        )

    def prepare(step: int) -> StepData:
        batches: dict[object, tuple[list[TrainExample], list[int]]] = {}
        for number in range(parameters.accumulation):
            name = (parameters.seed, step, number)
            for place, crop in enumerate(order.batch((step - 1) * parameters.accumulation + number)):
                drawn = sample(crop, seed_of("caption", *name, place))
                examples, seeds = batches.setdefault((number, backend.bucket_key(drawn)), ([], []))
                examples.append(drawn)
                seeds.append(seed_of("draw", *name, place))
        return [Batch(examples, seeds) for examples, seeds in batches.values()]

    return prepare


def longest_seconds(request: TrainRequest) -> float:
    """Return the longest crop that the generator can hear at once."""
    return float(whole_recipe_for(request.backend).seconds)


def caption_of_span(
    examples: Sequence[Example], manifest: PreparedAudio, timeline: SongTimeline | None, start: float, end: float
) -> Example:
    """Return an example whose caption is true of a stretch of its track.

    It is that of the segment that has the most of it, with what the Live Set knows of the stretch itself in the place
    of what it knows of the segment.

    Args:
        examples: of one track.
        manifest: the track's.
        timeline: the track's; None where it is not aligned.
        start: of the stretch, in seconds.
        end: of the stretch, in seconds.
    """

    def shared(example: Example) -> float:
        segment_start, segment_end = manifest.span_of(example.index)
        return min(end, segment_end) - max(start, segment_start)

    nearest = max(examples, key=lambda example: (shared(example), -example.index))
    return nearest if timeline is None else with_facts(nearest, facts_of_span(timeline, start, end))


def _content(manifest: PreparedAudio) -> str:
    """Return what a track's latents depend on beside base and file: how it was cut, and how it is put together."""
    segments = [(segment.sha256, segment.gain_db) for segment in manifest.segments]
    content = json.dumps([CHUNKING, manifest.recipe, track_gain_db(manifest), segments])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
