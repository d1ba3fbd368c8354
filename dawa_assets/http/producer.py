"""The dashboard's routes to the worker: upload and train, train on URLs, generate. The jobs are those of its endpoints.

What becomes of a job that was handed in is in `jobs.py`. The same request with the same job id is the same job.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from dawa_assets.errors import UnauthorizedError
from dawa_assets.http.access import MAY_BE_NAMED, CallerOf, identity_of
from dawa_assets.http.errors import RefusedRequestError, errors
from dawa_assets.http.forms import read_form
from dawa_assets.http.jobs import answer_to_job, check_producer
from dawa_assets.http.messages import GenerateAnswer, GenerateRequest, UploadForm
from dawa_assets.http.service import Service, ServiceOf
from modal_app.errors import InputError
from modal_app.web.body import SMALL_BODY
from modal_app.web.error_responses import first_problem
from modal_app.web.job_answers import RUNNING
from modal_app.web.messages import PASSWORD_FIELD, GenerateBody, TrainBody, TrainedAnswer
from modal_app.web.options import MAX_UPLOADED
from modal_app.web.work import generate_job, store_upload, train_job

MAX_FORM = MAX_UPLOADED + SMALL_BODY
"""How many bytes the form of an upload may have."""

router = APIRouter(tags=["producer"])
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
    responses=RUNNING | errors(404, 409, 422, 502, 503),
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
async def upload_and_train(request: Request, service: ServiceOf) -> Response:
    """Store one audio file, and train an adapter on it. The same form sent again is the same job."""
    caller = identity_of(request).caller
    async with _form(request, service, is_unauthenticated=caller is None) as form:
        if caller is None:
            caller = service.access.caller(_text(form, PASSWORD_FIELD) or "", None)
        fields, file = _fields(form)
        await check_producer(service, caller, fields.producer_id)
        job_id = fields.job_id or await service.reading(_job_id, fields, file)
        stored = await service.reading(
            store_upload, service.job_queue, fields.producer_id, job_id, file.filename or "", file.file
        )
    body = TrainBody(
        producer_id=fields.producer_id, upload_paths=[stored.path], model_name=fields.model_name, job_id=job_id
    )
    return await answer_to_job(service, request, train_job(body, service.web))


@router.post("/api/producer/train", response_model=TrainedAnswer, responses=RUNNING | errors(404, 409, 422, 502, 503))
async def train(body: TrainBody, request: Request, caller: CallerOf, service: ServiceOf) -> Response:
    """Train an adapter on audio files that are fetched from URLs."""
    await check_producer(service, caller, body.producer_id)
    return await answer_to_job(service, request, train_job(body, service.web))


@router.post(
    "/api/artist/generate",
    response_model=GenerateAnswer,
    responses=RUNNING | errors(404, 409, 422, 502, 503),
)
async def generate(body: GenerateRequest, request: Request, caller: CallerOf, service: ServiceOf) -> Response:
    """Render music from a text, with a LoRA or by the base model alone; a WAV.

    A user may ask for the LoRAs of the artist alone, whoever may see all for any.
    """
    artist = await service.quickly(caller.artist, service.ports.database, body.artist_id)
    if caller.user is not None and body.lora_id and body.lora_id.partition(":")[0] != artist.slug:
        raise RefusedRequestError(
            HTTPStatus.NOT_FOUND, f"loraId: is none of {artist.slug}; they are called {artist.slug}:NAME"
        )
    try:
        asked = GenerateBody(**body.model_dump(exclude={"artist_id"}))
    except ValidationError:  # of what the other model leaves open: only the LoRA's name
        raise InputError(f"loraId: is no LoRA's name; write producer:model, like {artist.slug}:nawfside_lora") from None
    if asked.lora_id and service.web.check_lora is not None:
        await service.quickly(service.web.check_lora, asked.lora_id)
    return await answer_to_job(service, request, generate_job(asked, service.web, artist.slug))


@asynccontextmanager
async def _form(request: Request, service: Service, *, is_unauthenticated: bool) -> AsyncIterator[FormData]:
    """The form, its file on disk. Of strangers, whose password is yet to come in it, only few are read at once."""
    async with AsyncExitStack() as stack:
        if is_unauthenticated:
            await stack.enter_async_context(service.unauthenticated)
        yield await stack.enter_async_context(read_form(request))


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
        raise UnauthorizedError(f"{name}: is a file; send it as a text")
    return value


def _job_id(fields: UploadForm, file: UploadFile) -> str:
    """Return the same for the same form, so that it is one job however often it is sent."""
    file.file.seek(0)
    digest = hashlib.file_digest(file.file, "sha256")  # type: ignore[arg-type]
    digest.update(f"{fields.producer_id}\n{fields.model_name or ''}\n{file.filename}".encode("utf-8", "replace"))
    return f"upload-{digest.hexdigest()[:32]}"
