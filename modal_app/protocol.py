"""The job protocol: what is asked of the worker, what it says meanwhile, and what it answers.

Requests, events and results cross process and machine borders as JSON. Every path in them is relative to the
worker's data root; every input is a URL that the worker can read (`file://` on one machine, signed elsewhere).
"""

from datetime import date
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from modal_app.config import BackendKind
from modal_app.paid_calls import Usage

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RecipeName = Literal["mono44", "stereo48"]
"""How audio is cut; see `modal_app/audio/recipe.py`."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobResult(_Message):
    """What a job leaves; each kind of job has its own."""


R = TypeVar("R", bound=JobResult)


class JobRequest(_Message, Generic[R]):
    """What is asked; each kind of job has its own, and names the result that answers it."""

    result_type: ClassVar[type[JobResult]]


class Event(_Message):
    """Something that happened during a job: a line of log, or progress."""

    kind: Literal["log", "progress"]
    message: str
    level: Literal["debug", "info", "warning", "error"] = "info"
    done: int | None = Field(None, description="how many of `total` are done")
    total: int | None = None
    figures: dict[str, float] = Field(default_factory=dict, description="e.g. step, loss, learning_rate")


# --- prepare: from audio files to segments in the write-once cache ---


class AudioSource(_Message):
    """One audio file: where to read it, and the SHA-256 of its bytes."""

    audio_hash: Sha256
    url: str
    name: str = Field(description="what to call it in messages")


class Segment(_Message):
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


class PreparedAudio(_Message):
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


class FailedAudio(_Message):
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


# --- tag: from segments in the cache to words ---


class SegmentToTag(_Message):
    """A segment in the cache, with what is known of its song."""

    audio_hash: Sha256
    index: int
    sha256: Sha256
    bpm: float | None = None


class SegmentTags(_Message):
    """What a tagger says of one segment."""

    sha256: Sha256
    model: str
    tag_prompt_version: str
    hint: str = Field(description="the known facts it was told, e.g. `bpm=124`; part of the row's key")
    text: str = Field(description="one line that a prompt can use")
    tags: dict[str, str | list[str]]
    figures: dict[str, float | None]
    cost_usd: float = 0.0


class FailedTags(_Message):
    """A segment that could not be tagged, with its one-line reason."""

    sha256: Sha256
    reason: str
    put_off: bool = Field(False, description="for a reason that passes (a budget, an outage)")


class HostedModel(_Message):
    """A model that is asked over the network. Its key is no part of a request: the worker has it."""

    name: str
    base_url: str | None = None
    input_usd: float | None = Field(None, description="per million tokens, where the worker knows no price of it")
    output_usd: float | None = None
    budget_usd: float = Field(5.0, description="what this job may spend")
    calls: int = Field(20_000, description="how many calls this job may make")
    at_once: int = 16
    timeout_seconds: float = 45.0


class TagResult(JobResult):
    """Every segment asked for is either in `tagged` or in `failed`."""

    kind: Literal["tag"] = "tag"
    tagged: list[SegmentTags]
    failed: list[FailedTags]
    used: Usage = Field(Usage(), description="by all paid calls, also those whose answer could not be used")
    recovered: Usage = Field(
        Usage(), description="what an earlier job that left no result had paid for answers that are given now"
    )
    stopped: str | None = Field(None, description="why the service can't be used any further, one line")


class TagRequest(JobRequest[TagResult]):
    """Tag these segments; they must be in the cache."""

    result_type: ClassVar[type[JobResult]] = TagResult
    kind: Literal["tag"] = "tag"
    tagger: Literal["offline", "gemini"] = "offline"
    model: HostedModel | None = Field(None, description="for `gemini`: what to ask")
    vocabulary: list[str] = Field(default_factory=list, description="the artist's own words for his style")
    recipe: Literal["mono44"] = "mono44"
    segments: list[SegmentToTag]


# --- inspect: whether a tagger can be used ---


class ModelHealth(JobResult):
    """Whether a model can be used now. `error`: it can't; `warning`: it can, but not for long or not for sure."""

    kind: Literal["inspect"] = "inspect"
    service: str = Field(description="who offers it, e.g. `openai`")
    model: str
    state: Literal["ok", "warning", "error"]
    detail: str = Field(description="one line, with the way out where something is wrong")
    ends_on: date | None = Field(None, description="when it is shut down, where that is known")


class InspectRequest(JobRequest[ModelHealth]):
    """Ask whether the tagger's key and model are good. Spends nothing."""

    result_type: ClassVar[type[JobResult]] = ModelHealth
    kind: Literal["inspect"] = "inspect"
    tagger: Literal["offline", "gemini"] = "offline"
    model: HostedModel | None = None


# --- publish: the view of spec/modal-app.md, swapped in whole ---


class PublishedSegment(_Message):
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


# --- train ---


class CaptionPart(_Message):
    """A piece of a caption that can be left out. What `tempo` and `key` say is then told in no other way either."""

    kind: Literal["trigger", "prompt", "tags", "key", "tempo"]
    text: str


class Example(_Message):
    """One segment and the caption it is trained with."""

    audio_hash: Sha256
    index: int
    sha256: Sha256
    song: str = Field(description="the name of its song; other versions of it are found by their names")
    parts: list[CaptionPart] = Field(description="the caption's, in order")
    gain_db: float = Field(description="what normalisation added, to be undone")
    bpm: float | None = None
    musical_key: str | None = Field(None, description="e.g. `A minor`")

    @property
    def caption(self) -> str:
        """The whole caption."""
        return " ".join(part.text for part in self.parts)


class TrainParameters(_Message):
    """Hyper-parameters, as they are written into the adapter's card."""

    steps: int
    batch_size: int
    learning_rate: float
    rank: int
    alpha: int
    seed: int
    accumulation: int = Field(1, description="batches a step")
    weight_decay: float = 0.01
    largest_gradient: float = Field(1.0, description="the norm at which gradients are clipped")
    warmup_steps: int | None = Field(None, description="None: a twentieth of the steps, at most 100")
    caption_dropout: float | None = Field(None, description="share of samples without text; None: the backend's own")
    part_dropout: float = Field(0.15, description="share of samples without a certain part of their caption")
    validation_share: float = Field(0.1, description="of the segments, held out by song; 0: nothing is held out")
    validate_every: int | None = Field(None, description="steps; None: a tenth of all steps, at least 10")
    patience: int = Field(5, description="validations without a better one before it ends; 0: it never ends early")
    checkpoint_gradients: bool = Field(False, description="from the start; else when memory does not suffice")
    licence_accepted: str = Field("", description="the non-commercial licence that was agreed to, e.g. `CC-BY-NC-4.0`")


class Validation(_Message):
    """The loss on the held-out segments after a step; step 0 is the base alone."""

    step: int
    loss: float


class TrainResult(JobResult):
    """Where the adapter lies under the data root, and how the training went."""

    kind: Literal["train"] = "train"
    request: str = Field("", description="SHA-256 of what was asked, but for its occasion")
    files: dict[str, Sha256] = Field(description="path under the data root -> hash, of every file of the run")
    steps: int = Field(description="that were done")
    losses: list[float] = Field(description="one a step")
    first_loss: float = Field(description="mean of the first tenth of the steps")
    final_loss: float = Field(description="mean of the last tenth")
    trainable_parameters: int
    seconds: float = Field(description="of all calls that had a part in it")
    stopped_because: str = Field("all steps are done", description="one line")
    split: str = Field("", description="what was held out, or why nothing; one line")
    held_out: list[str] = Field(default_factory=list, description="the names of the held-out songs")
    validations: list[Validation] = Field(default_factory=list)
    base_validation_loss: float | None = Field(None, description="before training")
    best_validation_loss: float | None = None
    kept_step: int | None = Field(None, description="the step whose adapter was kept")
    samples_per_second: float | None = Field(None, description="of the steps alone")
    steps_waited: int = Field(0, description="how many steps waited for their data")


class TrainRequest(JobRequest[TrainResult]):
    """Train one adapter on these examples, into `runs/<run_id>/` under the data root."""

    result_type: ClassVar[type[JobResult]] = TrainResult
    kind: Literal["train"] = "train"
    run_id: Identifier
    producer_id: Identifier
    model_name: Identifier
    backend: BackendKind
    base: str
    recipe: RecipeName = "mono44"
    dataset_fingerprint: str
    caption_rule: str = Field("", description="the name of the rule that made the captions, for the card")
    parameters: TrainParameters
    examples: list[Example]


# --- install: a finished adapter under the two paths of the spec ---


class InstallResult(JobResult):
    """The two published paths, relative to the data root."""

    kind: Literal["install"] = "install"
    lora_path: str
    peft_path: str
    changed: bool


class InstallRequest(JobRequest[InstallResult]):
    """Publish a run's adapter: `loras/<producer>_<model>.safetensors` and `models/<producer>/adapter_model…`."""

    result_type: ClassVar[type[JobResult]] = InstallResult
    kind: Literal["install"] = "install"
    run_id: Identifier
    producer_id: Identifier
    model_name: Identifier


# --- evaluate ---


class Rival(_Message):
    """Another run's adapter to compare with, and what it was trained on: on that its loss would say nothing."""

    run_id: Identifier
    songs: list[str] = Field(description="the names of the songs that it heard")
    audio: list[Sha256] = Field(description="their files")


class Rendering(_Message):
    """What can be said of rendered audio without hearing it; levels are those before any gain."""

    sample_rate: int
    samples: int
    expected_samples: int
    peak_dbfs: float | None = Field(description="None for digital zero")
    silent_share: float = Field(description="of the tenths of a second below −60 dBFS")
    clipped_share: float = Field(description="of the samples that lie on a plateau at the peak")


class EvaluateResult(JobResult):
    """How an adapter compares; what could not be measured is None. Losses are means over segments and a fixed grid."""

    kind: Literal["evaluate"] = "evaluate"
    files: dict[str, Sha256] = Field(description="path under the data root -> hash: audio of both, and a picture")
    split: str = Field(description="what was held out, or why nothing; one line")
    held_out: list[str] = Field(description="held-out songs; empty: the losses are those on trained songs")
    segments: int = Field(description="that the losses are means of")
    base_loss: float | None
    lora_loss: float | None
    shared: list[str] = Field(default_factory=list, description="held-out songs that the rival has not heard either")
    shared_lora_loss: float | None = Field(None, description="on the segments of those songs")
    shared_rival_loss: float | None = None
    base: Rendering
    lora: Rendering | None
    waveform_change: float | None = Field(description="level of the difference of both renderings over the base's")
    spectrum_change_db: float | None = Field(description="mean difference of their spectrograms")
    trouble: str | None = Field(None, description="why the adapter can't be used at all, one line")


class EvaluateRequest(JobRequest[EvaluateResult]):
    """Judge the adapter of a training that is done against its base, and against a rival's."""

    result_type: ClassVar[type[JobResult]] = EvaluateResult
    kind: Literal["evaluate"] = "evaluate"
    training: TrainRequest
    rival: Rival | None = None
    prompt: str
    duration_seconds: float = Field(gt=0, le=60)
    seed: int = 0


# --- generate ---


class GenerateResult(JobResult):
    """A wav under the data root."""

    kind: Literal["generate"] = "generate"
    path: str
    sample_rate: int
    samples: int
    peak_dbfs: float | None
    lora: str | None = Field(description="the adapter file that was attached; None for the base alone")
    run_id: str | None = Field(None, description="the training that this adapter is of")
    passed_over: list[str] = Field(default_factory=list, description="why a path before it was not taken")
    base_path: str | None = Field(None, description="the wav of the base alone, where it was asked for too")


class GenerateRequest(JobRequest[GenerateResult]):
    """Render audio from a text, with the adapter that `lora_id` (`producer:model`) names or without one."""

    result_type: ClassVar[type[JobResult]] = GenerateResult
    kind: Literal["generate"] = "generate"
    job_id: Identifier
    prompt: str
    lora_id: str | None = None
    duration_seconds: float = Field(gt=0, le=600)
    seed: int = 0
    backend: BackendKind = BackendKind.ACE_STEP
    base: str = "tiny"
    scale: float = 1.0
    with_base: bool = Field(False, description="also render the base alone with the same seed, to compare")


AnyRequest = Annotated[
    PrepareRequest
    | TagRequest
    | InspectRequest
    | PublishRequest
    | TrainRequest
    | EvaluateRequest
    | InstallRequest
    | GenerateRequest,
    Field(discriminator="kind"),
]
