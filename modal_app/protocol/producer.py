"""Messages on training for a producer over HTTP: audio that was uploaded or is fetched, straight to an adapter.

Such a job has a folder of its own and never touches what the pipeline made for an artist of the same name.
"""

from typing import ClassVar, Literal

from pydantic import Field

from modal_app.config import BackendKind
from modal_app.protocol.base import Identifier, JobRequest, JobResult, Message, Sha256
from modal_app.protocol.tagging import HostedModel
from modal_app.protocol.training import AskedTraining


class ProducerFile(Message):
    """One audio file: either a URL to fetch, or a path below the data root, in the producer's own upload folder."""

    url: str | None = None
    path: str | None = None
    title: str | None = Field(None, description="what the song is called; versions of one song are found by it")
    prompt: str | None = Field(None, description="what the music is like; the caption's main part")
    tags: list[str] = Field(default_factory=list)
    bpm: float | None = Field(None, ge=1, le=1000)
    musical_key: str | None = Field(None, description="e.g. `A minor`")


class ProducerTrainResult(JobResult):
    """Where the adapter was published, relative to the data root, and how the training went."""

    kind: Literal["train_producer"] = "train_producer"
    job_id: str
    producer_id: str
    model_name: str
    backend: BackendKind
    lora_path: str
    run_id: str
    files: dict[str, Sha256] = Field(description="path under the data root -> hash, of every file of the run")
    segments: int
    steps: int
    final_loss: float
    failed: list[str] = Field(default_factory=list, description="files that were left out, one line each")
    renamed_from: str | None = Field(None, description="the model name that was left as it is, being the pipeline's")


class ProducerTrainRequest(JobRequest[ProducerTrainResult]):
    """Train and publish one adapter for a producer on these files."""

    result_type: ClassVar[type[JobResult]] = ProducerTrainResult
    kind: Literal["train_producer"] = "train_producer"
    job_id: Identifier
    producer_id: Identifier
    model_name: Identifier
    may_rename: bool = Field(False, description="nobody asked for this name: take another one where it is taken")
    backend: BackendKind
    base: str
    parameters: AskedTraining = Field(description="the rest is the recipe's, of base and music")
    files: list[ProducerFile] = Field(min_length=1)
    skip_preprocess: bool = Field(False, description="train on the files as they are, uncut and at their own level")
    tagger: Literal["offline", "gemini"] | None = Field(None, description="who tags the segments; None: nobody")
    tag_model: HostedModel | None = Field(None, description="for `gemini`: what to ask")
