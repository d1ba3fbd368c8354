"""The dashboard's jobs: who may hand one in and ask for it, and under which address.

How a job is waited for and answered is in `modal_app/web/job_answers.py`, for the worker's endpoints too.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from dawa_assets.http.access import Caller, CallerOf
from dawa_assets.http.errors import errors
from dawa_assets.http.messages import GenerateAnswer
from dawa_assets.http.service import Service, service_of
from modal_app.protocol.base import Identifier
from modal_app.protocol.producer import ProducerTrainResult
from modal_app.protocol.training import GenerateResult
from modal_app.web.job_answers import RUNNING, audio_answer, running_answer, submit
from modal_app.web.job_queue import Call
from modal_app.web.messages import TrainedAnswer
from modal_app.web.work import Job, finished, generate_key, train_key, trained_answer

_KEYS = {"train": train_key, "generate": generate_key}
_MAX_WAIT = 140.0
_AUDIO_FIELDS = [("audio_base64", ""), ("audioUrl", "data:audio/wav;base64,")]

router = APIRouter(tags=["producer"])


@router.get(
    "/api/jobs/{kind}/{producer_id}/{job_id}",
    response_model=TrainedAnswer | GenerateAnswer,
    responses=RUNNING | errors(404, 409, 422, 502, 503),
)
async def look(
    kind: Literal["train", "generate"],
    producer_id: Identifier,
    job_id: Identifier,
    request: Request,
    caller: CallerOf,
    service: Annotated[Service, Depends(service_of)],
    wait: Annotated[float, Query(ge=0, le=_MAX_WAIT, description="how many seconds to wait for its end")] = 0.0,
) -> Response:
    """How a job stands: its answer, as the request that began it would have had it, or 202."""
    await check_producer(service, caller, producer_id)
    key = _KEYS[kind](producer_id, job_id)
    seconds = min(wait, service.web.wait_seconds)
    call = await finished(service.job_queue, key, seconds, service.jobs, request.is_disconnected)
    return await _answer(service, request, call, key)


async def check_producer(service: Service, caller: Caller, producer_id: str) -> None:
    """Let pass a user whose artist's slug this is, and whoever may see all.

    Raises:
        UnknownArtistError: the user has no such artist.
    """
    if caller.user is not None:
        await service.quickly(caller.artist_called, service.ports.database, producer_id)


async def answer_to_job(service: Service, request: Request, job: Job) -> Response:
    """Hand in a job, or find it, and give its answer, or 202 where it takes longer than a request may wait.

    Raises:
        JobError: it ended without a result.
    """
    call = await submit(service.job_queue, job, service.web.wait_seconds, service.jobs, request)
    return await _answer(service, request, call, job.key)


async def _answer(service: Service, request: Request, call: Call, key: str) -> Response:
    if isinstance(call.result, ProducerTrainResult):
        return JSONResponse(trained_answer(call.result).model_dump(exclude_none=True))
    job_id = key.rpartition("/")[2]
    if isinstance(call.result, GenerateResult):
        gone = f"job {job_id}: its audio is no longer kept; ask for it with a new jobId"
        return await audio_answer(
            service.job_queue,
            call.result,
            service.jobs,
            fields=_AUDIO_FIELDS,
            gone=gone,
            mark=service.web.mark,
            producer=key.split("/")[1],
        )
    return running_answer(request, call, job_id, _path(key))


def _path(key: str) -> str:
    _, producer_id, job_id = key.split("/")
    kind = next(kind for kind, of in _KEYS.items() if of(producer_id, job_id) == key)
    return f"/api/jobs/{kind}/{producer_id}/{job_id}"
