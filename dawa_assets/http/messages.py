"""What the dashboard's routes are sent and answer, in camelCase as it knows them; unknown fields are ignored."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modal_app.protocol.base import Identifier
from modal_app.protocol.musical_facts import AskedBpm, AskedSections, MusicalKey, TimeSignature
from modal_app.value_errors import ONE_LINE
from modal_app.web.messages import Prompt

_NAME = Field(min_length=1, max_length=255, pattern=ONE_LINE)
ParseId = Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE, examples=["3f2a9c0b7d41"])]
Name = Annotated[str, _NAME]


class Message(BaseModel):
    """Fields in camelCase; a client may send snake_case too."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class TrainRequest(Message):
    """Write the prompt of one Live Set."""

    artist_id: UUID
    parse_id: ParseId


class TrainAnswer(Message):
    """A prompt, the model that wrote it, and the version of the system prompt."""

    prompt: str = Field(examples=["Warm melodic house with glassy plucks over a patient, rolling bass.\nBPM: 122"])
    model: str = Field(examples=["gpt-6-luna"])
    version: str = Field(examples=["train-v1"])


class PairFields(Message):
    """What is said of a pair of audio and text that is to be saved, wherever its audio comes from."""

    parse_id: ParseId
    als_filename: Name | None = None
    project_name: Name | None = None
    prompt_text: str = Field(max_length=20_000, examples=["Warm deep house with a rolling bass.\nBPM: 122"])


class SaveRequest(PairFields):
    """Save a pair of audio and text as a training item of its own."""

    artist_id: UUID
    audio_base64: str = Field(alias="audioBase64", repr=False, description="the bytes of the mp3, wav, flac …")


class SaveAnswer(Message):
    """The item that the pair is now; the same for the same pair."""

    success: bool = True
    training_item_id: UUID
    findings: list[str] | None = Field(
        None, description="what is to be known of the audio, one line each; only where there is anything"
    )
    supersedes: list[UUID] | None = Field(
        None, description="items of the same audio whose text this one takes the place of; only where there are any"
    )


class ExportRequest(Message):
    """Export what is ready as one zip."""

    artist_id: UUID


class SupersededItem(Message):
    """A ready item that is in no dataset, because another one has the same audio and the text that counts."""

    training_item_id: UUID
    superseded_by: UUID
    reason: str


class ExportAnswer(Message):
    """Where the zip can be fetched for a day, by whoever has the link, and how many pairs are in it."""

    dataset_url: str
    item_count: int
    superseded: list[SupersededItem] | None = Field(
        None, description="items that are counted as ready and are in no dataset; only where there are any"
    )


class DatasetAnswer(ExportAnswer):
    """An artist's current dataset, and whether it is the whole one that the pipeline built (or a last export)."""

    sha256: str
    is_whole: bool


class GenerateRequest(Message):
    """Render music with an artist's LoRA, or by the base model alone."""

    artist_id: UUID
    lora_id: str | None = Field(None, max_length=200, examples=["nova:nawfside_lora"])
    prompt: Prompt
    duration_seconds: float = Field(60.0, ge=0.1, le=600, allow_inf_nan=False)
    seed: int | None = Field(None, ge=0, lt=2**31)
    scale: float = Field(1.0, ge=0, le=10, allow_inf_nan=False)
    bpm: AskedBpm | None = Field(None, description="the tempo; else the one that closes the prompt (`BPM: 124`)")
    key: MusicalKey | None = Field(None, examples=["A minor"])
    time_signature: TimeSignature | None = None
    section: AskedSections | None = Field(None, examples=["intro"], description="of a song; several in their order")
    backend_override: str | None = Field(None, max_length=100)
    job_id: Identifier | None = None


class GenerateAnswer(BaseModel):
    """A WAV, as base64 and as a data URL of the same."""

    audio_base64: str
    audio_url: str = Field(alias="audioUrl")


class UploadForm(Message):
    """A form: one audio file to store and train on."""

    producer_id: Identifier
    model_name: Identifier | None = None
    job_id: Identifier | None = None


class HealthAnswer(BaseModel):
    """That the server answers."""

    status: str = "ok"
