"""What a web endpoint answers when something is wrong: `{"error": "one line"}` with a fitting status, whatever it is.

No traceback, no value that was sent (it may be a secret), no address of ours.
"""

import logging
from collections.abc import Mapping
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

Statuses = tuple[tuple[type[DawaError], HTTPStatus], ...]
STATUSES: Statuses = (
    (QueueFullError, HTTPStatus.SERVICE_UNAVAILABLE),
    (JobCancelledError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnreachableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnknownJobError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (RefusedJobError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnreadableAudioError, HTTPStatus.UNPROCESSABLE_ENTITY),
)
"""The status of each of the worker's errors; another face puts its own before them."""
FALLBACKS: Statuses = ((InputError, HTTPStatus.BAD_REQUEST), (DawaError, HTTPStatus.INTERNAL_SERVER_ERROR))
"""The status of every other error of the project."""
_HEADERS = {HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "x-train-password"}}

UNEXPECTED = "something went wrong here; it is in the server's log"


def error_answer(status: int, line: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """`{"error": line}`: one line whatever names are in it, without halves of characters, which no answer can hold."""
    clean = " ".join(line.split()).encode("utf-8", "replace").decode()
    return JSONResponse({"error": clean}, status, headers)


def status_of(error: DawaError, statuses: Statuses) -> HTTPStatus:
    """Return the status of an error: its own, else the first that fits."""
    if isinstance(error, BadRequestError):
        return error.status
    return next(status for kind, status in statuses if isinstance(error, kind))


def answer_to(
    error: DawaError,
    statuses: Statuses = (*STATUSES, *FALLBACKS),
    headers: Mapping[HTTPStatus, Mapping[str, str]] = _HEADERS,
) -> JSONResponse:
    """Return what an error of the project is answered with; its message is one line for people already.

    Args:
        error: what went wrong.
        statuses: the status of each kind of error, the first that fits counts.
        headers: what an answer of a status has beside its line.
    """
    status = status_of(error, statuses)
    also = dict(headers.get(status, {}))
    if isinstance(error, QueueFullError):
        also["Retry-After"] = str(error.retry_after)
    elif isinstance(error, JobCancelledError | UnreachableError):
        also["Retry-After"] = "1"
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("a job failed: %s", error)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s", " ".join(str(error).split()))
    return error_answer(status, str(error), also)


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
