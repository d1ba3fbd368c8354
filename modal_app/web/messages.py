"""What the three endpoints are sent, as spec/modal-app.md has it: camelCase and snake_case, unknown fields ignored."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, AliasGenerator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modal_app.protocol.base import Identifier
from modal_app.protocol.musical_facts import AskedBpm, AskedSections, MusicalKey, TimeSignature
from modal_app.value_errors import LORA_ID

PASSWORD_FIELD = "x-train-password"  # noqa: S105 - the name of a field
_MAX_FILES = 500


def _spoken(prompt: str) -> str:
    if not prompt.strip():
        raise ValueError("is empty; say what the music should be like")
    return prompt


Prompt = Annotated[str, Field(max_length=2_000), AfterValidator(_spoken)]


class Body(BaseModel):
    """Field names in either style; what the password may be sent in, where the header can't be set."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        alias_generator=AliasGenerator(validation_alias=lambda name: AliasChoices(name, to_camel(name))),
    )

    password: str | None = Field(None, validation_alias=PASSWORD_FIELD, repr=False)


class StoreUploadBody(Body):
    """Store one file among a producer's uploads."""

    producer_id: Identifier
    job_id: Identifier
    filename: str
    content_base64: str = Field(repr=False)


class TrainBody(Body):
    """Train an adapter on files that are named by URL, or that were uploaded."""

    producer_id: Identifier
    upload_urls: list[str] | None = Field(None, max_length=_MAX_FILES)
    upload_paths: list[str] | None = Field(None, max_length=_MAX_FILES)
    model_name: Identifier | None = None
    metadata_per_file: list[dict[str, Any]] | None = Field(None, max_length=_MAX_FILES)
    job_id: Identifier | None = None
    skip_preprocess: bool = False
    tag_before_train: bool = False
    backend_override: str | None = Field(None, max_length=100)


class GenerateBody(Body):
    """Render audio from a text, with a trained adapter or by the base model alone."""

    prompt: Prompt
    lora_id: str | None = Field(None, pattern=LORA_ID, description="`producer:model`")
    duration_seconds: float = Field(60.0, ge=0.1, le=600, allow_inf_nan=False)
    backend_override: str | None = Field(None, max_length=100)
    job_id: Identifier | None = None
    seed: int | None = Field(None, ge=0, lt=2**31)
    scale: float = Field(1.0, ge=0, le=10, allow_inf_nan=False)
    bpm: AskedBpm | None = Field(None, description="the tempo; else the one that closes the prompt (`BPM: 124`)")
    key: MusicalKey | None = Field(None, examples=["A minor"])
    time_signature: TimeSignature | None = None
    section: AskedSections | None = Field(None, examples=["intro"], description="of a song; several in their order")


class StoredUpload(BaseModel):
    """Where an upload lies; `path` is what a training names it by."""

    path: str
    producer_id: str
    job_id: str


class TrainedAnswer(BaseModel):
    """A finished training."""

    job_id: str
    producer_id: str
    model_name: str
    backend: str
    lora_path: str
    failed: list[str] | None = Field(None, description="files that were left out, where there are any")
    note: str | None = Field(None, description="what the client should know of the name, where it is another one")


class AudioAnswer(BaseModel):
    """A rendered WAV."""

    audio_base64: str


class RunningAnswer(BaseModel):
    """A job that is not done yet; ask again. Its status comes first: to a browser, 202 is a success like 200."""

    status: Literal["running"] = "running"
    job_id: str
    call_id: str


class ErrorAnswer(BaseModel):
    """What is wrong, in one line."""

    error: str
