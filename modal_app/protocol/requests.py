"""Every request there is, as the worker reads them."""

from typing import Annotated

from pydantic import Field

from modal_app.protocol.audio import PrepareRequest, PublishRequest
from modal_app.protocol.forgetting import ForgetRequest
from modal_app.protocol.pictures import DepictRequest
from modal_app.protocol.producer import ProducerTrainRequest
from modal_app.protocol.tagging import InspectRequest, TagRequest
from modal_app.protocol.training import EvaluateRequest, GenerateRequest, InstallRequest, TrainRequest

AnyRequest = Annotated[
    PrepareRequest
    | TagRequest
    | InspectRequest
    | PublishRequest
    | DepictRequest
    | TrainRequest
    | ProducerTrainRequest
    | EvaluateRequest
    | InstallRequest
    | GenerateRequest
    | ForgetRequest,
    Field(discriminator="kind"),
]
