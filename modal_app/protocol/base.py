"""What all messages between orchestrator and worker have in common: requests, events, results.

They cross process and machine borders as JSON. Every path in them is relative to the worker's data root; every input is
a URL that the worker can read (`file://` on one machine, signed elsewhere).
"""

from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from modal_app.value_errors import IDENTIFIER

Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RecipeName = Literal["mono44", "stereo48", "whole32", "whole48"]
"""How audio is cut; see `modal_app/audio/recipe.py`."""


class Message(BaseModel):
    """Nothing beside what is named, and nothing changed on the way."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JobResult(Message):
    """What a job leaves; each kind of job has its own."""


R = TypeVar("R", bound=JobResult, covariant=True)


class JobRequest(Message, Generic[R]):
    """What is asked; each kind of job has its own, and names the result that answers it."""

    result_type: ClassVar[type[JobResult]]


class Event(Message):
    """Something that happened during a job: a line of log, or progress."""

    kind: Literal["log", "progress"]
    message: str
    level: Literal["debug", "info", "warning", "error"] = "info"
    done: int | None = Field(None, description="how many of `total` are done")
    total: int | None = None
    figures: dict[str, float] = Field(default_factory=dict, description="e.g. step, loss, learning_rate")
