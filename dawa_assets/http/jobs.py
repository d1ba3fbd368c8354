"""The dashboard's jobs once they are handed in: waited for, answered, and asked for again by whoever may.

A job that outlasts the wait is answered with 202 and a `Location`, which can be asked until the answer is there: the
one that was waited for, or the error. So nothing that was sent is ever sent again.
"""

import base64
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from dawa_assets.http.access import Caller, CallerOf
from dawa_assets.http.errors import RefusedError, errors
from dawa_assets.http.messages import GenerateAnswer
from dawa_assets.http.service import Service, service_of
from modal_app.errors import JobError
from modal_app.protocol.base import Identifier
from modal_app.protocol.producer import ProducerTrainResult
from modal_app.protocol.training import GenerateResult
from modal_app.web.job_queue import Call
from modal_app.web.messages import RunningAnswer, TrainedAnswer
from modal_app.web.work import Job, finished, generate_key, train_key, trained_answer

RUNNING: dict[int | str, dict[str, Any]] = {
    202: {"model": RunningAnswer, "description": "not done yet; GET the `Location` for the answer"}
}
_KEYS = {"train": train_key, "generate": generate_key}
_ASK_AGAIN_SECONDS = 2
_MAX_WAIT = 140.0
_CHUNK = 3 << 16  # a multiple of three is whole base64

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
    call = await service.jobs(lambda: service.job_queue.submit(job.key, job.request))
    if call.status != "done":
        call = await finished(
            service.job_queue, job.key, service.web.wait_seconds, service.jobs, request.is_disconnected
        )
    return await _answer(service, request, call, job.key)


async def _answer(service: Service, request: Request, call: Call, key: str) -> Response:
    if isinstance(call.result, ProducerTrainResult):
        return JSONResponse(trained_answer(call.result).model_dump(exclude_none=True))
    job_id = key.rpartition("/")[2]
    if isinstance(call.result, GenerateResult):
        path = call.result.path
        try:
            audio = await service.jobs(lambda: service.job_queue.open(path))
        except JobError:
            raise RefusedError(
                HTTPStatus.NOT_FOUND, f"job {job_id}: its audio is no longer kept; ask for it with a new jobId"
            ) from None
        return StreamingResponse(_audio(audio), media_type="application/json")
    answer = RunningAnswer(job_id=job_id, call_id=call.call_id)
    headers = {"Location": _location(request, key), "Retry-After": str(_ASK_AGAIN_SECONDS)}
    return JSONResponse(answer.model_dump(), HTTPStatus.ACCEPTED, headers)


def _location(request: Request, key: str) -> str:
    _, producer_id, job_id = key.split("/")
    kind = next(kind for kind, of in _KEYS.items() if of(producer_id, job_id) == key)
    return f"{request.scope.get('root_path', '')}/api/jobs/{kind}/{producer_id}/{job_id}"


def _audio(audio: BinaryIO) -> Iterator[bytes]:
    """The answer, piece by piece: a minute of audio twice in base64 is some 30 MB."""
    with audio:
        for before in (b'{"audio_base64":"', b'","audioUrl":"data:audio/wav;base64,'):
            yield before
            audio.seek(0)
            while chunk := audio.read(_CHUNK):
                yield base64.b64encode(chunk)
        yield b'"}'
