"""Messages on judging adapters: what is rendered and measured of each, and what of it is copied."""

from typing import ClassVar, Literal

from pydantic import Field

from modal_app.config import BackendKind
from modal_app.protocol.base import Identifier, JobRequest, JobResult, Message, Sha256
from modal_app.protocol.training import MusicalFacts, TrainRequest


class Rival(Message):
    """Another run's adapter to compare with, and what it was trained on: on that its loss would say nothing."""

    run_id: Identifier
    songs: list[str] = Field(description="the names of the songs that it heard")
    audio: list[Sha256] = Field(description="their files")


class EvaluationPrompt(Message):
    """A text that every candidate renders."""

    kind: Literal["held out", "profile", "foreign"] = Field(description="whose it is: a song's, the artist's, nobody's")
    text: str
    facts: MusicalFacts = Field(default_factory=MusicalFacts)
    song: str | None = Field(None, description="the held-out song whose prompt it is")


class OtherSong(Message):
    """A song of another artist, as a control of distances; used where its segments are in the cache."""

    audio_hash: Sha256


class Rendering(Message):
    """What can be said of rendered audio without hearing it; levels are those before any gain."""

    sample_rate: int
    samples: int
    expected_samples: int
    peak_dbfs: float | None = Field(description="None for digital zero")
    silent_share: float = Field(description="of the tenths of a second below −60 dBFS")
    clipped_share: float = Field(description="of the samples that lie on a plateau at the peak")


class CopiedPassage(Message):
    """A passage of a rendering that lies in a song that was trained on, and where in both."""

    rendering: int = Field(description="in the order in which they were rendered, training captions last")
    start_seconds: float
    end_seconds: float
    song: str
    song_seconds: float
    hits: int = Field(description="landmarks that both have at this place")
    semitones: float = Field(description="by which the rendering lies above the song")
    speed: float = Field(description="of the rendering, over the song's")
    is_shared: bool = Field(False, description="another song that was trained on has it too: a loop, by right")


class CopyFindings(Message):
    """What of the songs that were trained on was found in renderings."""

    renderings: int
    songs: int = Field(description="that they were held against")
    threshold: int = Field(description="landmarks from which on a passage counts")
    is_calibrated: bool = Field(description="whether enough songs are held out to know how alike this artist's are")
    copied_seconds: float = Field(description="of the rendering that has most; what recurs across songs is left out")
    shared_seconds: float = Field(0.0, description="of the rendering that has most of what recurs across songs")
    code_seconds: float | None = Field(
        None, description="longest run of a song's own codes in a rendering; None where a generator has no codes"
    )
    code_song: str | None = Field(None, description="the song that the run is of")
    passages: list[CopiedPassage]


class CandidateFigures(Message):
    """What was measured of one candidate; what could not be is None. All rendered the same prompts by the same seeds.

    Distances are to music in features of the generator (×100, 0 on average for the same hand, may be negative).
    """

    who: Literal["base", "published", "milestone"]
    step: int | None = Field(None, description="of a milestone")
    strength: float = 1.0
    loss: float | None = Field(None, description="mean over the judged segments and the grid")
    distance: float | None = Field(None, description="of what it renders of held-out songs' prompts, to those songs")
    distance_low: float | None = Field(None, description="the middle 90 % of a bootstrap over songs")
    distance_high: float | None = None
    foreign_distance: float | None = Field(None, description="of the same to other music")
    diversity: float | None = Field(None, description="two seeds of a prompt, over two prompts")
    tempo_share: float | None = Field(
        None, description="of the renderings that keep the tempo asked for, less those that keep one 7 % off"
    )
    key_share: float | None = Field(None, description="of the renderings whose key signature is the one asked for")
    worst: Rendering | None = Field(None, description="the rendering with most silence or clipping")
    trouble: str | None = Field(None, description="why it can't be used, one line")
    copied_seconds: float | None = Field(None, description="None: not looked for")
    verdict: str = Field("", description="why it was chosen or not, one line")
    file: str | None = Field(None, description="its rendering of the first prompt, in the run's folder")

    @property
    def name(self) -> str:
        """What it is called on pages and in messages."""
        if self.step is None:
            return "adapter" if self.who == "milestone" else self.who
        return f"step {self.step}" + (f" at {self.strength:g}" if self.strength != 1 else "")


class DistanceEvidence(Message):
    """How distances were taken, and what they are between known music: controls of a scale that has no unit."""

    space: Literal["latents", "log-mel"]
    songs: int = Field(description="held-out songs, the sample")
    is_evidence: bool = Field(description="whether they are enough to decide by")
    other_music: str = Field("", description="what the foreign distance is to")
    other_distance: float | None = Field(None, description="of that other music to the held-out songs")


class EvaluateResult(JobResult):
    """How an adapter compares; what could not be measured is None. Losses are means over segments and a fixed grid.

    `lora` figures are those of the candidate that was chosen among the run's milestones.
    """

    kind: Literal["evaluate"] = "evaluate"
    files: dict[str, Sha256] = Field(description="path under the data root -> hash: audio of all, and a picture")
    split: str = Field(description="what was held out, or why nothing; one line")
    held_out: list[str] = Field(description="held-out songs; empty: the losses are those on trained songs")
    segments: int = Field(description="that the losses are means of")
    base_loss: float | None
    lora_loss: float | None
    shared: list[str] = Field(default_factory=list, description="held-out songs that the rival has not heard either")
    shared_lora_loss: float | None = Field(None, description="on the segments of those songs")
    shared_rival_loss: float | None = None
    rival_songs: int = Field(0, description="shared songs whose prompts both rendered")
    rival_difference: float | None = Field(None, description="how much farther than the rival it lies from those songs")
    rival_chance: float | None = Field(None, description="how likely chance alone makes as much of it")
    base: Rendering
    lora: Rendering | None
    waveform_change: float | None = Field(description="level of the difference of both renderings over the base's")
    spectrum_change_db: float | None = Field(description="mean difference of their spectrograms")
    copies: CopyFindings | None = Field(None, description="None: not looked for")
    trouble: str | None = Field(None, description="why the adapter can't be used at all, one line")
    candidates: list[CandidateFigures] = Field(default_factory=list)
    evidence: DistanceEvidence | None = Field(None, description="None where nothing could be held against anything")
    chosen_step: int | None = Field(None, description="None: the run has no milestones")
    chosen_strength: float = 1.0
    choice: str = Field("", description="why this one, one line")


class EvaluateRequest(JobRequest[EvaluateResult]):
    """Judge the adapters of a training that is done against their base, each other, and a rival's."""

    result_type: ClassVar[type[JobResult]] = EvaluateResult
    kind: Literal["evaluate"] = "evaluate"
    training: TrainRequest
    milestones: list[int] = Field(default_factory=list, description="steps to choose among; none: the run's adapter")
    rival: Rival | None = None
    prompts: list[EvaluationPrompt] = Field(min_length=1, max_length=32, description="the first one is shown")
    seeds: list[int] = Field(default=[0], min_length=1, max_length=8)
    others: list[OtherSong] = Field(default_factory=list, description="another artist's music")
    copy_renderings: int | None = Field(
        None, ge=0, le=32, description="renderings of training captions, to look for copies in; None: no look"
    )
    copy_seconds: float = Field(15.0, gt=0, le=60, description="length of each of those")
    duration_seconds: float = Field(gt=0, le=60)


class KeepCheckpointResult(JobResult):
    """The files of the run's adapter, which are those of the milestone now."""

    kind: Literal["keep_checkpoint"] = "keep_checkpoint"
    files: dict[str, Sha256] = Field(description="path under the data root -> hash")


class KeepCheckpointRequest(JobRequest[KeepCheckpointResult]):
    """Make a milestone the adapter of its run, with its strength baked into the weights."""

    result_type: ClassVar[type[JobResult]] = KeepCheckpointResult
    kind: Literal["keep_checkpoint"] = "keep_checkpoint"
    run_id: Identifier
    producer_id: Identifier
    model_name: Identifier
    backend: BackendKind
    step: int
    strength: float = Field(1.0, gt=0, le=2)
