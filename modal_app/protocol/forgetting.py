"""Messages on forgetting: taking everything of one producer off the data root."""

from typing import ClassVar, Literal

from pydantic import Field

from modal_app.protocol.base import Identifier, JobRequest, JobResult, Message, Sha256


class Forgotten(Message):
    """How many files of one kind, and how many bytes they have together."""

    files: int
    bytes: int


class ForgetResult(JobResult):
    """What was removed by kind, or would be; a kind of which there was nothing is not named."""

    kind: Literal["forget"] = "forget"
    removed: dict[str, Forgotten]


class ForgetRequest(JobRequest[ForgetResult]):
    """Remove what lies under the data root of a producer: what has their name, and what these lists name."""

    result_type: ClassVar[type[JobResult]] = ForgetResult
    kind: Literal["forget"] = "forget"
    producer_id: Identifier
    model_names: list[Identifier] = Field(default_factory=list, description="of adapters without a readable card")
    run_ids: list[Identifier] = Field(default_factory=list, description="beside those whose card names the producer")
    audio_hashes: list[Sha256] = Field(default_factory=list, description="audio that nobody else has")
    segment_hashes: list[Sha256] = Field(default_factory=list, description="segments that nobody else has")
    outputs: list[Identifier] = Field(default_factory=list, description="beginnings of the names of rendered audio")
    dry_run: bool = Field(False, description="only count")
