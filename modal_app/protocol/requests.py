"""Every request there is, as the worker reads them."""

from typing import Annotated, Any, get_args

from pydantic import Field

from modal_app.config import BackendKind
from modal_app.protocol.audio import PrepareRequest, PublishRequest
from modal_app.protocol.base import JobRequest
from modal_app.protocol.evaluation import EvaluateRequest, KeepCheckpointRequest
from modal_app.protocol.forgetting import ForgetRequest
from modal_app.protocol.pictures import DepictRequest
from modal_app.protocol.producer import ProducerTrainRequest
from modal_app.protocol.tagging import InspectRequest, TagRequest
from modal_app.protocol.training import (
    GenerateRequest,
    ImportLoraRequest,
    InstallRequest,
    TrainRequest,
    WithdrawRequest,
)

AnyRequest = Annotated[
    PrepareRequest
    | TagRequest
    | InspectRequest
    | PublishRequest
    | DepictRequest
    | TrainRequest
    | ProducerTrainRequest
    | EvaluateRequest
    | KeepCheckpointRequest
    | ImportLoraRequest
    | InstallRequest
    | WithdrawRequest
    | GenerateRequest
    | ForgetRequest,
    Field(discriminator="kind"),
]

REQUESTS: dict[str, type[JobRequest[Any]]] = {
    request.model_fields["kind"].default: request for request in get_args(get_args(AnyRequest)[0])
}
"""Kind of job → its request."""


def generator_of(request: JobRequest[Any]) -> BackendKind | None:
    """Return the generator that a job loads or writes adapters for; None for one that needs none."""
    if isinstance(request, EvaluateRequest):
        return request.training.backend
    if isinstance(
        request, TrainRequest | ProducerTrainRequest | GenerateRequest | ImportLoraRequest | KeepCheckpointRequest
    ):
        return request.backend
    return None


def kind_of(request: JobRequest[Any]) -> str:
    """Return the kind of job, as `modal_app/worker/job_table.py` names it."""
    kind: str = type(request).model_fields["kind"].default
    return kind
