"""The endpoints of spec/modal-app.md over a `JobQueue`: store-upload, train, generate. Alone at `/`, or side by side.

Here is what is HTTP; what the endpoints do is in `work.py`, how a job is waited for and answered in `job_answers.py`.
One that outlasts the wait is asked for again by the same POST, or by GET with its `job_id`.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI, Query, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from pydantic import BaseModel

from modal_app.errors import BadRequestError
from modal_app.protocol.base import Identifier
from modal_app.protocol.producer import ProducerTrainResult
from modal_app.protocol.training import GenerateResult
from modal_app.web.body import SMALL_BODY, LongText, decoded, limit_with_file, read_json, streamed_body
from modal_app.web.error_responses import answer_errors, error_answer
from modal_app.web.job_answers import RUNNING, audio_answer, running_answer, submit
from modal_app.web.job_queue import Call, JobQueue
from modal_app.web.messages import (
    PASSWORD_FIELD,
    AudioAnswer,
    Body,
    ErrorAnswer,
    GenerateBody,
    StoredUpload,
    StoreUploadBody,
    TrainBody,
    TrainedAnswer,
)
from modal_app.web.options import WebOptions, is_set, require_password
from modal_app.web.work import (
    InThread,
    finished,
    generate_job,
    generate_key,
    store_upload,
    train_job,
    train_key,
    trained_answer,
)

B = TypeVar("B", bound=Body)

_UNAUTHENTICATED = 4
_PASSWORD = APIKeyHeader(name=PASSWORD_FIELD, auto_error=False, description="where a password is set")
_Password = Annotated[str | None, Security(_PASSWORD)]
_JobId = Annotated[Identifier, Query(description="as in the answer 202")]
_ERRORS: dict[int | str, dict[str, Any]] = {
    int(status): {"model": ErrorAnswer, "description": status.phrase}
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
}


def worker_router(job_queue: JobQueue, options: WebOptions) -> APIRouter:
    """Return all three: `/store-upload`, `/train`, `/generate`.

    The app must answer errors as `answer_errors` makes it.
    """
    router = APIRouter(tags=["producer"])
    router.include_router(store_upload_router(job_queue, options, "/store-upload"))
    router.include_router(train_router(job_queue, options, "/train"))
    router.include_router(generate_router(job_queue, options, "/generate"))
    return router


def web_app(title: str, router: APIRouter) -> FastAPI:
    """Return an app of one router, as a Modal web function serves it.

    Without pages that load scripts from elsewhere.
    """
    app = FastAPI(title=title, docs_url=None, redoc_url=None)
    answer_errors(app)
    app.include_router(router)
    return app


def closed_app(title: str, line: str) -> FastAPI:
    """Return an app that answers whatever it is asked with 503 and this line: what it needs is not set."""
    app = FastAPI(title=title, openapi_url=None)
    app.mount("/", error_answer(HTTPStatus.SERVICE_UNAVAILABLE, line))
    return app


def store_upload_router(job_queue: JobQueue, options: WebOptions, path: str = "/") -> APIRouter:
    """`POST {path}`: store an audio file among a producer's uploads."""
    router, in_thread, unauthenticated = APIRouter(), InThread(8), CapacityLimiter(_UNAUTHENTICATED)
    most = limit_with_file(options.most_uploaded)

    @router.post(path, response_model=StoredUpload, responses=_ERRORS, openapi_extra=_takes(StoreUploadBody))
    async def store(request: Request, password: _Password) -> Response:
        """Store one audio file; its `path` is what a training names it by. The same file again is success."""
        async with AsyncExitStack() as stack:
            if password is None and is_set(options.password):  # it may be in the body, which is large
                await stack.enter_async_context(unauthenticated)
            reading = _read(request, StoreUploadBody, options, password, most, in_thread)
            body, texts, file = await stack.enter_async_context(reading)

            def keep() -> StoredUpload:
                with tempfile.TemporaryDirectory() as folder:
                    target = Path(folder) / "upload"
                    decoded(file, body.content_base64, texts, target, options.most_uploaded)
                    with target.open("rb") as content:
                        return store_upload(job_queue, body.producer_id, body.job_id, body.filename, content)

            stored = await in_thread(keep)
        return JSONResponse(stored.model_dump())

    return router


def train_router(job_queue: JobQueue, options: WebOptions, path: str = "/") -> APIRouter:
    """`POST {path}`: train an adapter; `GET {path}`: ask how a training stands."""
    router, in_thread = APIRouter(), InThread()

    async def answer(request: Request, call: Call, job_id: str, producer_id: str) -> Response:
        if not isinstance(call.result, ProducerTrainResult):
            return _running(request, call, job_id, producer_id)
        return JSONResponse(trained_answer(call.result).model_dump(exclude_none=True))

    @router.post(path, response_model=TrainedAnswer, responses=RUNNING | _ERRORS, openapi_extra=_takes(TrainBody))
    async def train(request: Request, password: _Password) -> Response:
        """Train an adapter on files by URL, or on stored uploads, and publish it."""
        async with _read(request, TrainBody, options, password, SMALL_BODY, in_thread) as (body, _, _):
            job = train_job(body, options)
        call = await submit(job_queue, job, options.wait_seconds, in_thread, request)
        return await answer(request, call, job.job_id, body.producer_id)

    @router.get(path, response_model=TrainedAnswer, responses=RUNNING | _ERRORS)
    async def look(request: Request, password: _Password, job_id: _JobId, producer_id: Identifier) -> Response:
        """How a training stands, by its `job_id` and `producer_id`."""
        require_password(options.password, password)
        key = train_key(producer_id, job_id)
        call = await finished(job_queue, key, options.wait_seconds, in_thread, request.is_disconnected)
        return await answer(request, call, job_id, producer_id)

    return router


def generate_router(job_queue: JobQueue, options: WebOptions, path: str = "/") -> APIRouter:
    """`POST {path}`: render audio from a text; `GET {path}`: ask how a rendering stands."""
    router, in_thread = APIRouter(), InThread()

    async def answer(request: Request, call: Call, job_id: str, producer_id: str | None) -> Response:
        if not isinstance(call.result, GenerateResult):
            return _running(request, call, job_id, producer_id)
        gone = f"job {job_id}: its audio is no longer kept; ask for it with a new job_id"
        return await audio_answer(
            job_queue,
            call.result,
            in_thread,
            fields=[("audio_base64", "")],
            gone=gone,
            mark=options.mark,
            producer=producer_id,
        )

    @router.post(path, response_model=AudioAnswer, responses=RUNNING | _ERRORS, openapi_extra=_takes(GenerateBody))
    async def generate(request: Request, password: _Password) -> Response:
        """Render audio from a text, with the adapter `lora_id` or by the base model alone; a WAV in base64."""
        async with _read(request, GenerateBody, options, password, SMALL_BODY, in_thread) as (body, _, _):
            job = generate_job(body, options)
        if options.check_lora is not None and body.lora_id:
            lora_id, check = body.lora_id, options.check_lora
            await in_thread(lambda: check(lora_id))
        call = await submit(job_queue, job, options.wait_seconds, in_thread, request)
        return await answer(request, call, job.job_id, body.lora_id.partition(":")[0] if body.lora_id else None)

    @router.get(path, response_model=AudioAnswer, responses=RUNNING | _ERRORS)
    async def look(
        request: Request, password: _Password, job_id: _JobId, producer_id: Identifier | None = None
    ) -> Response:
        """How a rendering stands, by its `job_id` and, where it was with a LoRA, that one's producer."""
        require_password(options.password, password)
        key = generate_key(producer_id, job_id)
        call = await finished(job_queue, key, options.wait_seconds, in_thread, request.is_disconnected)
        return await answer(request, call, job_id, producer_id)

    return router


@asynccontextmanager
async def _read(
    request: Request, model: type[B], options: WebOptions, header: str | None, most: int, in_thread: InThread
) -> AsyncIterator[tuple[B, list[LongText], Any]]:
    """A request's body, after the password was looked at: in the header before anything is read, else in the body."""
    if header is not None:
        require_password(options.password, header)
    async with streamed_body(request, most) as file:
        try:
            body, texts = await in_thread(lambda: read_json(file, model))
        except BadRequestError:
            if header is None and is_set(options.password):
                require_password(options.password)  # a stranger is not told what is wrong with their body
            raise
        require_password(options.password, header, body.password)
        yield body, texts, file


def _running(request: Request, call: Call, job_id: str, producer_id: str | None) -> Response:
    asked = {"job_id": job_id} | ({"producer_id": producer_id} if producer_id else {})
    return running_answer(request, call, job_id, f"{request.url.path}?{urlencode(asked)}")


def _takes(model: type[BaseModel]) -> dict[str, Any]:
    """Return what the OpenAPI page says of a body; it is not read by FastAPI, which would hold it in memory."""
    schema = {key: value for key, value in model.model_json_schema().items() if key != "description"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
