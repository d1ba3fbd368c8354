"""The step `segments`: the current dataset's audio cut into segments, and the view of them published."""

import time
from dataclasses import dataclass
from typing import Literal

from dawa_assets.pipeline.step import artist_step
from dawa_assets.segments.prepared_dataset import PreparedDataset, TrackSegments, prepare_dataset, publish_view
from modal_app.protocol.audio import PublishResult
from modal_app.protocol.song_timeline import SpanFacts
from resources.ports import Ports


@dataclass(frozen=True)
class SegmentedTrack:
    """One item of the dataset, for a table."""

    item: str
    audio_sha256: str
    seconds: float
    source_rate: int
    channels: int
    segments: int
    silent: int
    warnings: str


@dataclass(frozen=True)
class KnownSegment:
    """What the Live Set knows of one segment, for a table; `density` is beside the song's own mean."""

    item: str
    begins: float
    bars: str
    sections: str
    plays: str
    comes_and_goes: str
    density: float | None
    key: str
    metre: str


@dataclass(frozen=True)
class SegmentsReport:
    """What was cut now, and what the dataset has altogether. `computed` counts files, not segments.

    `facts` are of the segments of bounces that are aligned with their Live Sets.
    """

    headline: str
    state: Literal["segmented", "no dataset"]
    dataset_id: str | None
    segments: int
    silent: int
    computed: int
    cached: int
    seconds_of_audio: float
    view: str | None
    view_changed: bool
    tracks: list[SegmentedTrack]
    facts: list[KnownSegment]
    warnings: list[tuple[str, str]]
    failed: list[tuple[str, str]]
    seconds: float


def prepare_segments(ports: Ports, slug: str) -> SegmentsReport:
    """Cut the current dataset's audio into segments, where that was not done before, and publish the view.

    A file that can't be decoded fails its item and the others go on. With no dataset yet, nothing happens and the
    report says so.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        BusyError: another process works on this artist's segments and did not end in time.
        JobError: the worker could not do it at all.
    """
    started = time.monotonic()
    with artist_step(ports, slug, "segments") as step:
        prepared = prepare_dataset(ports, step.artist, step.held)
        view = None if prepared is None else publish_view(ports, step.artist, prepared)
    return _report(prepared, view, time.monotonic() - started)


def _report(prepared: PreparedDataset | None, view: PublishResult | None, seconds: float) -> SegmentsReport:
    parts = [] if prepared is None else prepared.tracks
    tracks = [_track(part) for part in parts]
    computed = 0 if prepared is None else prepared.computed
    segments = sum(track.segments for track in tracks)
    cached = len({part.audio.audio_hash for part in parts}) - computed
    return SegmentsReport(
        headline="segments: no dataset yet"
        if prepared is None
        else f"segments: {segments} of {len(tracks)} tracks, {computed} tracks newly cut",
        state="no dataset" if prepared is None else "segmented",
        dataset_id=None if prepared is None else str(prepared.dataset.id),
        segments=segments,
        silent=sum(track.silent for track in tracks),
        computed=computed,
        cached=cached,
        seconds_of_audio=round(sum(track.seconds for track in tracks), 3),
        view=None if view is None else view.view,
        view_changed=view is not None and view.changed,
        tracks=tracks,
        facts=[
            _known(part.track.name, each)
            for part in parts
            for each in part.facts
            if each is not None and each.instruments
        ],
        warnings=[(part.track.name, warning) for part in parts for warning in part.audio.warnings],
        failed=[] if prepared is None else prepared.failed,
        seconds=round(seconds, 3),
    )


def _track(part: TrackSegments) -> SegmentedTrack:
    return SegmentedTrack(
        item=part.track.name,
        audio_sha256=part.audio.audio_hash,
        seconds=round(part.audio.duration_seconds, 3),
        source_rate=part.audio.source_sample_rate,
        channels=part.audio.source_channels,
        segments=len(part.audio.segments),
        silent=sum(segment.silent for segment in part.audio.segments),
        warnings="; ".join(part.audio.warnings),
    )


def _known(item: str, facts: SpanFacts) -> KnownSegment:
    coming = [f"{each.instrument} in at {each.seconds:.1f} s" for each in facts.enters]
    going = [f"{each.instrument} out at {each.seconds:.1f} s" for each in facts.leaves]
    return KnownSegment(
        item=item,
        begins=facts.start,
        bars=f"{facts.first_bar} to {facts.last_bar}",
        sections=", ".join(facts.sections),
        plays=", ".join(each.instrument for each in facts.instruments),
        comes_and_goes=", ".join([*coming, *going]),
        density=facts.density,
        key=facts.musical_key or "",
        metre=facts.time_signature or "",
    )
