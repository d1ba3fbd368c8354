"""Messages on adapters: training, judging, publishing and rendering with them."""

import math
from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from modal_app.config import BackendKind
from modal_app.protocol.base import Identifier, JobRequest, JobResult, Message, RecipeName, Sha256
from modal_app.protocol.song_timeline import Section, SongTimeline

# --- train ---


def _is_nothing(value: object) -> bool:
    return not value


def _is_unset(value: object) -> bool:
    return value is None


class MusicalFacts(Message):
    """What is known of music beside a text; what is not known is None."""

    bpm: float | None = None
    musical_key: str | None = Field(None, description="e.g. `A minor`")
    time_signature: str | None = Field(None, description="e.g. `4/4`")
    sections: tuple[Section, ...] = Field((), description="of the song, in order; empty where none is known")


class CaptionPart(Message):
    """A piece of a caption that can be left out.

    What `section`, `tempo` and `key` say is then told in no other way either.
    """

    kind: Literal["trigger", "prompt", "section", "facts", "tags", "key", "tempo"]
    text: str


class Example(MusicalFacts):
    """One segment and the caption it is trained with; the facts are its song's, key, metre and sections its own."""

    audio_hash: Sha256
    index: int
    sha256: Sha256
    song: str = Field(description="the name of its song; other versions of it are found by their names")
    parts: list[CaptionPart] = Field(description="the caption's, in order")
    gain_db: float = Field(description="what normalisation added, to be undone")


class TrackTimeline(Message):
    """What plays when in a file, by its own clock: where its bars begin, and what is told of a crop."""

    audio_hash: Sha256
    timeline: SongTimeline


Targets = Literal["attention", "attention+mlp"]
"""Which of the generator's layers an adapter changes: its attention, or its feed-forward layers too."""


AdapterKind = Literal["lora", "rslora", "dora"]
"""How an adapter changes a layer: LoRA, with alpha over the rank's root (rsLoRA), or with a trained norm (DoRA)."""


class _SharedParameters(Message):
    """Hyper-parameters that are what they are for any base and any amount of music."""

    seed: int = 0
    adapter_kind: AdapterKind = "lora"
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

    @model_serializer(mode="wrap")
    def _without_the_plain_kind(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave a plain adapter's kind out: what was trained before there were others is the same training still."""
        content: dict[str, Any] = serialize(self)
        if content.get("adapter_kind") == "lora":
            del content["adapter_kind"]
        return content


class AskedTraining(_SharedParameters):
    """Hyper-parameters as they are asked for: a recipe, and what is to be other than it says (None: as it says)."""

    recipe: str = Field("auto", description="its name, or `auto`: by base and amount of music")
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    rank: int | None = None
    alpha: int | None = Field(None, description="None: in proportion to the rank")
    accumulation: int | None = None
    targets: Targets | None = None
    milestones: int | None = None
    clip_seconds: float | None = Field(
        None, ge=0, exclude_if=_is_unset, description="of random crops of whole tracks; 0: segments as they are"
    )


class TrainParameters(_SharedParameters):
    """Hyper-parameters, as they are written into the adapter's card."""

    steps: int
    batch_size: int
    learning_rate: float = Field(description="at its peak")
    rank: int
    alpha: int
    accumulation: int = Field(1, description="batches a step")
    targets: Targets = "attention"
    final_learning_rate: float = Field(0.0, description="at the last step, as a share of the peak")
    milestones: int = Field(6, description="adapters kept along the way, beside the best; the last one always")
    recipe: str = Field("", description="the recipe that these come from, e.g. `ace-step-2b-some@2`")
    clip_seconds: float = Field(
        0.0,
        ge=0,
        exclude_if=_is_nothing,  # a training of segments is the one that it was before there were crops
        description="of the random crops of whole tracks that it hears; 0: segments as they are",
    )

    @property
    def scaling(self) -> float:
        """By what B · A is multiplied: alpha / rank, with rsLoRA alpha / √rank (arXiv 2312.03732)."""
        return self.alpha / (math.sqrt(self.rank) if self.adapter_kind == "rslora" else self.rank)


class Validation(Message):
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
    milestones: list[int] = Field(default_factory=list, description="the steps whose adapters lie in `milestones/`")
    samples_per_second: float | None = Field(None, description="of the steps alone")
    steps_waited: int = Field(0, description="how many steps waited for their data")
    device: str = Field("", description="what it was trained on: a GPU's name, or `cpu`")
    peak_bytes: int | None = Field(None, description="the most memory that it held: of the GPU, else of the process")
    base_seconds: float | None = Field(None, description="until the base was loaded; 0.0 where it was there")
    base_seconds_saved: float | None = Field(None, description="what loading it took the training before, if it stayed")


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
    timelines: list[TrackTimeline] = Field(
        default_factory=list, exclude_if=_is_nothing, description="of the files that are aligned, where crops are heard"
    )


# --- install: a finished adapter under the two paths of the spec ---


class InstallResult(JobResult):
    """The two published paths, relative to the data root."""

    kind: Literal["install"] = "install"
    lora_path: str
    peft_path: str | None = Field(description="None where the folder is another's and stays as it is")
    changed: bool


class InstallRequest(JobRequest[InstallResult]):
    """Publish a run's adapter: `loras/<producer>_<model>.safetensors` and `models/<producer>/adapter_model…`."""

    result_type: ClassVar[type[JobResult]] = InstallResult
    kind: Literal["install"] = "install"
    run_id: Identifier
    producer_id: Identifier
    model_name: Identifier


class WithdrawResult(JobResult):
    """What lay under the published paths and is gone, relative to the data root."""

    kind: Literal["withdraw"] = "withdraw"
    removed: list[str]


class WithdrawRequest(JobRequest[WithdrawResult]):
    """Take a run's adapter off the published paths; another run's stays, and so do the run's own files."""

    result_type: ClassVar[type[JobResult]] = WithdrawResult
    kind: Literal["withdraw"] = "withdraw"
    run_id: Identifier
    producer_id: Identifier
    model_name: Identifier


# --- import: an adapter that another program trained ---


class Origin(Message):
    """Where an adapter comes from that was not trained here."""

    files: dict[str, Sha256] = Field(description="the names of the files that it was read from -> hash")
    scale: str = Field(description="how strong it is, and who says so; one line")
    base: str | None = Field(None, description="the base that it says it was trained on")
    imported_by: str


class ImportLoraResult(JobResult):
    """The files of the run, as a training would leave them."""

    kind: Literal["import_lora"] = "import_lora"
    files: dict[str, Sha256] = Field(description="path under the data root -> hash")
    trainable_parameters: int


class ImportLoraRequest(JobRequest[ImportLoraResult]):
    """Make `runs/<run_id>/` of the folded weights that were put into it, once they are known to fit the base."""

    result_type: ClassVar[type[JobResult]] = ImportLoraResult
    kind: Literal["import_lora"] = "import_lora"
    run_id: Identifier
    producer_id: Identifier
    model_name: Identifier
    backend: BackendKind
    base: str
    rank: int
    targets: list[str] = Field(description="what it changes in some layer, e.g. `self_attn.to_q`")
    trigger_word: str = ""
    origin: Origin
    base_revision: str | None = Field(None, description="with the base of `origin`: the weights that it needs")


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
    lora_id: str | None = Field(None, description="this and what follows: as it was asked for")
    backend: BackendKind | None = None
    base: str | None = None
    prompt: str | None = None
    seed: int | None = None


class GenerateRequest(JobRequest[GenerateResult]):
    """Render audio from a text, with the adapter that `lora_id` (`producer:model`) names or without one."""

    result_type: ClassVar[type[JobResult]] = GenerateResult
    kind: Literal["generate"] = "generate"
    job_id: Identifier
    prompt: str
    facts: MusicalFacts = Field(
        default_factory=MusicalFacts, description="of the music asked for; a tempo may also close the prompt"
    )
    lora_id: str | None = None
    duration_seconds: float = Field(gt=0, le=600)
    seed: int = 0
    backend: BackendKind = BackendKind.ACE_STEP
    base: str = "tiny"
    scale: float = 1.0
    with_base: bool = Field(False, description="also render the base alone with the same seed, to compare")
    run_id: Identifier | None = Field(None, description="the run of this LoRA that is heard, published or not")
