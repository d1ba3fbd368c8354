"""Messages on pictures: what lies in the worker's cache, drawn where it lies."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modal_app.protocol.base import Identifier, JobRequest, JobResult, Message, Sha256
from modal_app.protocol.song_timeline import SongTimeline

MAX_TRACKS = 6


class PicturedTrack(Message):
    """A track whose segments are in the cache."""

    audio_hash: Sha256
    name: str = Field(description="what to call it in the picture")
    timeline: SongTimeline | None = Field(None, description="what plays when in it, by its own clock, if that is known")


class PicturedSegment(Message):
    """One segment in the cache."""

    audio_hash: Sha256
    index: int
    name: str = Field(description="what to call it in the picture")


class DepictResult(JobResult):
    """Where the PNGs lie."""

    kind: Literal["depict"] = "depict"
    waveforms: str
    spectrogram: str


class DepictRequest(JobRequest[DepictResult]):
    """Draw tracks' waveforms with their segments, and one segment's spectrogram, into `pictures/<producer>/<name>-*`.

    Pictures of another name that the producer has are removed.
    """

    result_type: ClassVar[type[JobResult]] = DepictResult
    kind: Literal["depict"] = "depict"
    producer_id: Identifier
    name: Identifier
    tracks: Annotated[list[PicturedTrack], Field(min_length=1, max_length=MAX_TRACKS)]
    of: int = Field(description="how many tracks there are altogether")
    segment: PicturedSegment
