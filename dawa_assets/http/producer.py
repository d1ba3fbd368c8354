"""The dashboard's routes to the worker: upload and train, train on URLs, generate. The jobs are those of its endpoints.

A job that outlasts the wait is answered with 202 and asked for again by the same request, with its job id.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from dawa_assets.errors import UnauthorizedError
from dawa_assets.http.access import MAY_BE_NAMED, Caller, CallerOf, identity_of
from dawa_assets.http.errors import RefusedError, errors
from dawa_assets.http.messages import GenerateAnswer, GenerateRequest, UploadForm
from dawa_assets.http.service import Service, service_of
from modal_app.errors import InputError, JobError
from modal_app.protocol.producer import ProducerTrainResult
from modal_app.protocol.training import GenerateResult
from modal_app.web.answers import first_problem
from modal_app.web.body import SMALL_BODY
from modal_app.web.desk import Call
from modal_app.web.messages import PASSWORD_FIELD, GenerateBody, RunningAnswer, TrainBody, TrainedAnswer
from modal_app.web.options import MOST_UPLOADED
from modal_app.web.work import Job, finished, generate_job, store_upload, train_job, trained_answer

MOST_FORM = MOST_UPLOADED + SMALL_BODY
"""How many bytes the form of an upload may have."""
_ASK_AGAIN_SECONDS = 2
_CHUNK = 3 << 16  # a multiple of three is whole base64

router = APIRouter(tags=["producer"])
ServiceOf = Annotated[Service, Depends(service_of)]
_RUNNING: dict[int | str, dict[str, Any]] = {
    202: {"model": RunningAnswer, "description": "not done yet; send the same again, with this job id"}
}
_FORM = {
    "type": "object",
    "required": ["file", "producerId"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "producerId": {"type": "string"},
        "modelName": {"type": "string"},
        "jobId": {"type": "string"},
        PASSWORD_FIELD: {"type": "string"},
    },
}


@router.post(
    "/api/producer/upload-and-train",
    response_model=TrainedAnswer,
    dependencies=MAY_BE_NAMED,
    responses=_RUNNING | errors(404, 409, 422, 502, 503),
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
async def upload_and_train(request: Request, service: ServiceOf) -> Response:
    """Store one audio file, and train an adapter on it. The same form sent again is the same job."""
    caller = identity_of(request).caller
    async with _form(request, service, is_stranger=caller is None) as form:
        if caller is None:
            caller = service.access.caller(_text(form, PASSWORD_FIELD) or "", None)
        fields, file = _fields(form)
        await _check_producer(service, caller, fields.producer_id)
        job_id = fields.job_id or await service.reading(_job_id, fields, file)
        stored = await service.reading(
            store_upload, service.desk, fields.producer_id, job_id, file.filename or "", file.file
        )
    body = TrainBody(
        producer_id=fields.producer_id, upload_paths=[stored.path], model_name=fields.model_name, job_id=job_id
    )
    return await _trained(service, request, train_job(body, service.web))


@router.post("/api/producer/train", response_model=TrainedAnswer, responses=_RUNNING | errors(404, 409, 422, 502, 503))
async def train(body: TrainBody, request: Request, caller: CallerOf, service: ServiceOf) -> Response:
    """Train an adapter on audio files that are fetched from URLs."""
    await _check_producer(service, caller, body.producer_id)
    return await _trained(service, request, train_job(body, service.web))


@router.post(
    "/api/artist/generate",
    response_model=GenerateAnswer,
    responses=_RUNNING | errors(404, 409, 422, 502, 503),
)
async def generate(body: GenerateRequest, request: Request, caller: CallerOf, service: ServiceOf) -> Response:
    """Render music from a text, with a LoRA of the artist or by the base model alone; a WAV."""
    artist = await service.quickly(caller.artist, service.ports.database, body.artist_id)
    if body.lora_id and body.lora_id.partition(":")[0] != artist.slug:
        raise RefusedError(
            HTTPStatus.NOT_FOUND, f"loraId: is none of {artist.slug}; they are called {artist.slug}:NAME"
        )
    asked = GenerateBody(**body.model_dump(exclude={"artist_id"}))
    job = generate_job(asked, service.web, artist.slug)
    call = await _call(service, request, job)
    if not isinstance(call.result, GenerateResult):
        return _running(call, job)
    path = call.result.path
    try:
        audio = await service.jobs(lambda: service.desk.open(path))
    except JobError:
        raise RefusedError(
            HTTPStatus.NOT_FOUND, f"job {job.job_id}: its audio is no longer kept; ask for it with a new jobId"
        ) from None
    return StreamingResponse(_audio(audio), media_type="application/json")


async def _check_producer(service: Service, caller: Caller, producer_id: str) -> None:
    """A user's producer is one of his artists, by slug; whoever may see all may use any name."""
    if caller.user is not None:
        await service.quickly(caller.artist_called, service.ports.database, producer_id)


async def _trained(service: Service, request: Request, job: Job) -> Response:
    call = await _call(service, request, job)
    if not isinstance(call.result, ProducerTrainResult):
        return _running(call, job)
    return JSONResponse(trained_answer(call.result).model_dump(exclude_none=True))


async def _call(service: Service, request: Request, job: Job) -> Call:
    call = await service.jobs(lambda: service.desk.submit(job.key, job.request))
    if call.status == "done":
        return call
    return await finished(service.desk, job.key, service.web.wait_seconds, service.jobs, request.is_disconnected)


def _running(call: Call, job: Job) -> Response:
    answer = RunningAnswer(job_id=job.job_id, call_id=call.call_id, status=call.status)
    headers = {"Retry-After": str(_ASK_AGAIN_SECONDS)}
    return JSONResponse(answer.model_dump(), HTTPStatus.ACCEPTED, headers)


@asynccontextmanager
async def _form(request: Request, service: Service, *, is_stranger: bool) -> AsyncIterator[FormData]:
    """The form, its file on disk. Of strangers, whose password is yet to come in it, only few are read at once."""
    async with AsyncExitStack() as stack:
        if is_stranger:
            await stack.enter_async_context(service.strangers)
        yield await stack.enter_async_context(request.form(max_files=1, max_fields=16, max_part_size=10_000))


def _fields(form: FormData) -> tuple[UploadForm, UploadFile]:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise InputError("file: is missing; send a multipart form with the audio as `file`")
    names = ("producerId", "modelName", "jobId")
    try:
        given = {name: text for name in names if (text := _text(form, name))}
        return UploadForm.model_validate(given), file
    except ValidationError as error:
        raise InputError(first_problem(error)) from None


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    if value is not None and not isinstance(value, str):
        raise UnauthorizedError(f"{name}: must be a text, not a file")
    return value


def _job_id(fields: UploadForm, file: UploadFile) -> str:
    """The same for the same form, so that it is one job however often it is sent."""
    file.file.seek(0)
    digest = hashlib.file_digest(file.file, "sha256")  # type: ignore[arg-type]
    digest.update(f"{fields.producer_id}\n{fields.model_name or ''}\n{file.filename}".encode("utf-8", "replace"))
    return f"upload-{digest.hexdigest()[:32]}"


def _audio(audio: BinaryIO) -> Iterator[bytes]:
    """The answer, piece by piece: a minute of audio twice in base64 is some 30 MB."""
    with audio:
        for before in (b'{"audio_base64":"', b'","audioUrl":"data:audio/wav;base64,'):
            yield before
            audio.seek(0)
            while chunk := audio.read(_CHUNK):
                yield base64.b64encode(chunk)
        yield b'"}'
