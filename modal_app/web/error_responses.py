"""What a web endpoint answers when something is wrong: `{"error": "one line"}` with a fitting status, whatever it is.

No traceback, no value that was sent (it may be a secret), no address of ours.
"""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from modal_app.errors import (
    BadRequestError,
    ConflictError,
    DawaError,
    InputError,
    JobCancelledError,
    QueueFullError,
    RefusedJobError,
    UnknownJobError,
    UnreachableError,
    UnreadableAudioError,
)
from modal_app.value_errors import reason_of

log = logging.getLogger(__name__)

UNEXPECTED = "something went wrong here; it is in the server's log"


def error_answer(status: int, line: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """`{"error": line}`: one line whatever names are in it, without halves of characters, which no answer can hold."""
    told = " ".join(line.split()).encode("utf-8", "replace").decode()
    return JSONResponse({"error": told}, status, headers)


def answer_to(error: DawaError) -> JSONResponse:
    """Return what an error of the project is answered with; its message is one line for people already."""
    headers = {}
    if isinstance(error, BadRequestError):
        status = error.status
    elif isinstance(error, QueueFullError):
        status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(error.retry_after)}
    elif isinstance(error, JobCancelledError | UnreachableError):
        status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"}
    elif isinstance(error, UnknownJobError):
        status = HTTPStatus.NOT_FOUND
    elif isinstance(error, ConflictError):
        status = HTTPStatus.CONFLICT
    elif isinstance(error, RefusedJobError | UnreadableAudioError):
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    else:
        status = HTTPStatus.BAD_REQUEST if isinstance(error, InputError) else HTTPStatus.INTERNAL_SERVER_ERROR
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("a job failed: %s", error)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "x-train-password"
    return error_answer(status, str(error), headers)


def first_problem(error: ValidationError | RequestValidationError) -> str:
    """Return the first thing that is wrong, without the value."""
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"] if part != "body") or "body"
    return f"{field}: {reason_of(problem)}"


def answer_errors(app: FastAPI) -> None:
    """Make an app answer every error so: ours, FastAPI's, unknown routes, wrong methods, and what nobody expected."""

    @app.exception_handler(DawaError)
    async def _ours(_request: Request, error: DawaError) -> JSONResponse:
        return answer_to(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return error_answer(HTTPStatus.BAD_REQUEST, first_problem(error))

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        return error_answer(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def _left(_request: Request, _error: ClientDisconnect) -> JSONResponse:  # nobody is there to be told
        return error_answer(HTTPStatus.BAD_REQUEST, "the body broke off; send it again")

    @app.exception_handler(Exception)
    async def _unexpected(_request: Request, _error: Exception) -> JSONResponse:
        return error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED)
