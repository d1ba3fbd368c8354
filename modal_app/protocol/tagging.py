"""Messages on tagging: from segments in the cache to words, and whether a tagger can be used."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import AliasChoices, Field

from modal_app.hosted_models.metered_requests import Usage
from modal_app.protocol.base import JobRequest, JobResult, Message, Sha256

# --- tag: from segments in the cache to words ---


class SegmentToTag(Message):
    """A segment in the cache, with what is known of its song."""

    audio_hash: Sha256
    index: int
    sha256: Sha256
    bpm: float | None = None


class SegmentTags(Message):
    """What a tagger says of one segment."""

    sha256: Sha256
    model: str
    tag_prompt_version: str
    hint: str = Field(description="the known facts it was told, e.g. `bpm=124`; part of the row's key")
    text: str = Field(description="one line that a prompt can use")
    tags: dict[str, str | list[str]]
    figures: dict[str, float | None]
    cost_usd: float = 0.0
    served_model: str | None = Field(None, description="who answered, where that is not the `model` that was asked")


class FailedTags(Message):
    """A segment that could not be tagged, with its one-line reason."""

    sha256: Sha256
    reason: str
    deferred: bool = Field(
        False,
        validation_alias=AliasChoices("deferred", "put_off"),  # as results that lie on a volume may say it
        description="for a reason that passes (a budget, an outage)",
    )


class HostedModel(Message):
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
    used_by: dict[str, Usage] = Field(
        default_factory=dict, description="`used` and `recovered` together, by the model that answered"
    )
    stopped: str | None = Field(None, description="why the service can't be used any further, one line")


class TagRequest(JobRequest[TagResult]):
    """Tag these segments; they must be in the cache."""

    result_type: ClassVar[type[JobResult]] = TagResult
    kind: Literal["tag"] = "tag"
    tagger: Literal["offline", "gemini"] = "offline"
    model: HostedModel | None = Field(None, description="for `gemini`: what to ask")
    vocabulary: list[str] = Field(default_factory=list, description="the artist's own words for their style")
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
