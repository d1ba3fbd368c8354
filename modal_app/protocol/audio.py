"""Messages on audio: from files to segments in the cache, and segments to the published view."""

from typing import ClassVar, Literal

from pydantic import Field

from modal_app.protocol.base import Identifier, JobRequest, JobResult, Message, RecipeName, Sha256

# --- prepare: from audio files to segments in the write-once cache ---


class AudioSource(Message):
    """One audio file: where to read it, and the SHA-256 of its bytes."""

    audio_hash: Sha256
    url: str
    name: str = Field(description="what to call it in messages")


class Segment(Message):
    """One segment as it lies in the cache."""

    index: int
    sha256: Sha256 = Field(description="of the wav file's bytes")
    start_seconds: float
    samples: int = Field(description="at the recipe's rate")
    gain_db: float = Field(description="what normalisation added; 0 for silence")
    peak_dbfs: float | None = Field(description="sample peak before gain; None for digital zero")
    true_peak_dbfs: float | None = Field(description="4x oversampled peak before gain")
    dc_offset: float
    silent: bool


class PreparedAudio(Message):
    """The segments of one audio file; also the content of its `manifest.json` in the cache."""

    audio_hash: Sha256
    recipe: str
    sample_rate: int
    source_sample_rate: int
    source_channels: int
    source_samples: int = Field(description="frames decoded, at the source's rate")
    duration_seconds: float
    segments: list[Segment]
    warnings: list[str]

    def seconds_of(self, index: int) -> float:
        """Return how long a segment is."""
        return self.segments[index].samples / self.sample_rate

    def span_of(self, index: int) -> tuple[float, float]:
        """Return begin and end of a segment, in seconds of the file."""
        start = self.segments[index].start_seconds
        return start, start + self.seconds_of(index)


class FailedAudio(Message):
    """An audio file that could not be prepared, with its one-line reason."""

    audio_hash: Sha256
    name: str
    reason: str
    unreadable: bool = Field(False, description="the bytes are no audio: asking again gives the same answer")


class PrepareResult(JobResult):
    """Every source is either in `prepared` or in `failed`."""

    kind: Literal["prepare"] = "prepare"
    prepared: list[PreparedAudio]
    failed: list[FailedAudio]
    computed: int = Field(description="how many sources were not in the cache")


class PrepareRequest(JobRequest[PrepareResult]):
    """Bring the segments of these files into the cache. What is there already is not computed again."""

    result_type: ClassVar[type[JobResult]] = PrepareResult
    kind: Literal["prepare"] = "prepare"
    recipe: RecipeName = "mono44"
    sources: list[AudioSource]


# --- publish: the view of spec/modal-app.md, swapped in whole ---


class PublishedSegment(Message):
    """One pair of the view: `audio/seg_NNNN.wav` and, where there is text, `text/seg_NNNN.txt`."""

    audio_hash: Sha256
    index: int
    sha256: Sha256
    text: str | None = None


class PublishResult(JobResult):
    """`view` is the folder with `audio/` and `text/`; `changed` is false where it was there already."""

    kind: Literal["publish"] = "publish"
    view: str
    segments: int
    changed: bool


class PublishRequest(JobRequest[PublishResult]):
    """Make `training_data/<producer>/{audio,text}/seg_0000.*` hold exactly these segments, in this order."""

    result_type: ClassVar[type[JobResult]] = PublishResult
    kind: Literal["publish"] = "publish"
    producer_id: Identifier
    recipe: Literal["mono44"] = "mono44"
    segments: list[PublishedSegment]
