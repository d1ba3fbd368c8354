"""The current dataset's audio as segments: brought into the worker's cache, recorded, and published as its view.

What the Live Sets know of each segment is kept beside them.

Every step that needs segments begins here. What is cached costs nothing, so a data root that was deleted is made
again by whichever step comes first.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dawa_assets.artists.paths import is_own
from dawa_assets.pipeline.job_progress import logged
from dawa_assets.pipeline.step import artist_step
from dawa_assets.segments.tagger import tagger_of
from dawa_assets.tables.alignments import BounceTimeline, bounce_timeline
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.audio_segments import record_segments
from dawa_assets.tables.datasets import Dataset, TrainingTrack, current_dataset, dataset_tracks, fail_item
from dawa_assets.tables.item_exclusions import excluded_positions
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.segment_facts import keep_facts
from dawa_assets.tables.segment_tags import TagKey, known_tags
from dawa_assets.tables.training_items import note_findings
from modal_app.audio.recipe import MONO44, Recipe
from modal_app.protocol.audio import (
    AudioSource,
    FailedAudio,
    PreparedAudio,
    PrepareRequest,
    PublishedSegment,
    PublishRequest,
    PublishResult,
    Segment,
)
from modal_app.protocol.song_timeline import SpanFacts
from modal_app.tagging.tag_key import hint_of
from modal_app.training.span_facts import facts_of_span
from resources.errors import ObjectNotFoundError
from resources.ports import Ports

log = logging.getLogger(__name__)

_SIGNED_SECONDS = 6 * 3600  # a worker may work through a large catalogue before it gets to the last file


@dataclass(frozen=True)
class TrackSegments:
    """One item of the dataset with its segments."""

    track: TrainingTrack
    audio: PreparedAudio
    bounce: BounceTimeline | None = None
    """What its Live Set knows of it; None unless they are aligned."""

    @cached_property
    def facts(self) -> list[SpanFacts | None]:
        """What is known of each segment, in order."""
        bounce = self.bounce
        return [None if bounce is None else facts_of_span(bounce.timeline, *span) for span in _spans(self.audio)]

    @property
    def bpm(self) -> float | None:
        """The tempo that it was rendered at, where it is aligned; else the one that its Live Set has now."""
        speed = 1.0 if self.bounce is None else self.bounce.speed
        return None if self.track.bpm is None else round(self.track.bpm * speed, 2)

    @property
    def hint(self) -> str:
        """What the tagger is told of this song; part of its tags' key."""
        return hint_of(self.track.bpm)


@dataclass(frozen=True)
class PreparedDataset:
    """The current dataset's items that could be segmented, in order, and why the others could not."""

    dataset: Dataset
    tracks: list[TrackSegments]
    failed: list[tuple[str, str]]
    computed: int

    def segments(self) -> list[tuple[TrackSegments, Segment]]:
        """Return every segment in the order of the view."""
        return [(part, segment) for part in self.tracks for segment in part.audio.segments]


def prepare_dataset(ports: Ports, artist: Artist, held: Lease) -> PreparedDataset | None:
    """Return the current dataset with its segments in the worker's cache; None where there is no dataset.

    What was excluded since the dataset was built is left out. A file that is no audio, or that is gone, fails its item
    (if the item still has that file) and is reported; a passing trouble is only reported.

    Raises:
        JobError: the worker could not do it at all.
        LostLeaseError: somebody else took over this step.
    """
    with ports.database.transaction() as connection:
        dataset = current_dataset(connection, artist.id)
        tracks = [] if dataset is None else dataset_tracks(connection, dataset.id)
        out = set() if dataset is None else excluded_positions(connection, dataset.id)
    if dataset is None:
        return None
    if out:
        log.info("%s: %d of the dataset's tracks are left out, they were excluded since", artist.slug, len(out))
        tracks = [track for track in tracks if track.position not in out]
    urls = {track.audio_hash: _url(ports, artist, track) for track in tracks}
    result = ports.compute.run(PrepareRequest(sources=_sources(tracks, urls)), logged("segments"))
    by_hash = {audio.audio_hash: audio for audio in result.prepared}
    failures = {failure.audio_hash: _explained(failure, urls[failure.audio_hash]) for failure in result.failed}
    with ports.database.transaction() as connection:
        held.check(connection)
        record_segments(connection, result.prepared)
        parts = [
            TrackSegments(
                track,
                by_hash[track.audio_hash],
                bounce_timeline(connection, artist.id, track.parse_id, track.audio_hash),
            )
            for track in tracks
            if track.audio_hash in by_hash
        ]
        for part in parts:
            if part.track.parse_id is not None:
                keep_facts(connection, artist.id, part.track.parse_id, part.track.audio_hash, part.facts)
        for track in tracks:
            found = by_hash.get(track.audio_hash)
            if found is not None and found.warnings and track.training_item_id is not None:
                note_findings(connection, track.training_item_id, track.audio_hash, found.warnings)
            failure = failures.get(track.audio_hash)
            if failure is not None and failure.unreadable and track.training_item_id is not None:
                fail_item(connection, track.training_item_id, track.audio_hash, failure.reason)
    return PreparedDataset(
        dataset=dataset,
        tracks=parts,
        failed=[(track.name, failures[track.audio_hash].reason) for track in tracks if track.audio_hash in failures],
        computed=result.computed,
    )


def cut_as(ports: Ports, artist: Artist, prepared: PreparedDataset, recipe: Recipe) -> dict[str, PreparedAudio]:
    """Return the dataset's tracks as another recipe cuts them, by the hash of their audio.

    Raises:
        JobError: the worker could not do it at all.
    """
    if recipe is MONO44:
        return {part.audio.audio_hash: part.audio for part in prepared.tracks}
    tracks = [part.track for part in prepared.tracks]
    urls = {track.audio_hash: _url(ports, artist, track) for track in tracks}
    request = PrepareRequest(recipe=recipe.name, sources=_sources(tracks, urls))
    result = ports.compute.run(request, logged(f"segments for training, {recipe.name}"))
    return {audio.audio_hash: audio for audio in result.prepared}


def texts_of(ports: Ports, prepared: PreparedDataset) -> dict[TagKey, str]:
    """Return the tags that are known of the dataset's segments, by segment and hint."""
    tagger = tagger_of(ports.settings)
    hashes = [segment.sha256 for _, segment in prepared.segments()]
    with ports.database.transaction() as connection:
        return known_tags(connection, tagger, hashes)


def publish_view(ports: Ports, artist: Artist, prepared: PreparedDataset) -> PublishResult:
    """Make the artist's view hold these segments with all texts that are known now.

    Two steps never publish at once: the later one would have read its texts earlier.
    """
    with artist_step(ports, artist, "view"):
        texts = texts_of(ports, prepared)
        segments = [
            PublishedSegment(
                audio_hash=part.audio.audio_hash,
                index=segment.index,
                sha256=segment.sha256,
                text=texts.get((segment.sha256, part.hint)),
            )
            for part, segment in prepared.segments()
        ]
        return ports.compute.run(PublishRequest(producer_id=artist.slug, segments=segments), logged("view"))


def _spans(audio: PreparedAudio) -> Iterator[tuple[float, float]]:
    for segment in audio.segments:
        yield segment.start_seconds, segment.start_seconds + segment.samples / audio.sample_rate


def _sources(tracks: list[TrainingTrack], urls: dict[str, str | None]) -> list[AudioSource]:
    return [
        AudioSource(audio_hash=track.audio_hash, url=urls[track.audio_hash] or "missing:", name=track.name)
        for track in tracks
    ]


def _url(ports: Ports, artist: Artist, track: TrainingTrack) -> str | None:
    """Return where the worker can read a track's audio; None where it may not or can't be read."""
    if not is_own(artist.slug, track.audio_path):
        return None
    try:
        return ports.bucket.sign(track.audio_path, _SIGNED_SECONDS)
    except ObjectNotFoundError:
        return None


def _explained(failure: FailedAudio, url: str | None) -> FailedAudio:
    if url is not None:
        return failure
    reason = "its audio is not in the bucket; upload the file again"
    return failure.model_copy(update={"reason": reason, "unreadable": True})
