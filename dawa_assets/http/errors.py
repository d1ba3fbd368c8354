"""How errors leave over HTTP: always `{"error": "message"}`, with a status that fits, and no traceback.

The worker's endpoints answer theirs alike (`modal_app/web/error_responses.py`); here are those of databases,
buckets and writers.
"""

import logging
from http import HTTPStatus
from typing import Any, Self

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from dawa_assets.errors import (
    BusyError,
    LostLeaseError,
    UnauthorizedError,
    UnknownArtistError,
    UnknownItemError,
    UnknownLiveSetError,
)
from modal_app.errors import DawaError, JobError, MissingLoraError, ServiceError
from modal_app.web.body import NOT_JSON, is_json
from modal_app.web.error_responses import (
    FALLBACKS,
    STATUSES,
    Statuses,
    answer_errors,
    answer_to,
    error_answer,
    first_problem,
    status_of,
)
from modal_app.web.messages import ErrorAnswer
from resources.errors import (
    BucketError,
    DatabaseError,
    InvalidKeyError,
    NotNowError,
    ObjectNotFoundError,
    PromptWriterError,
    SettingsError,
)

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5
_STATUSES: Statuses = (
    (UnauthorizedError, HTTPStatus.UNAUTHORIZED),
    (UnknownArtistError, HTTPStatus.NOT_FOUND),
    (UnknownLiveSetError, HTTPStatus.NOT_FOUND),
    (UnknownItemError, HTTPStatus.NOT_FOUND),
    (MissingLoraError, HTTPStatus.NOT_FOUND),
    (ObjectNotFoundError, HTTPStatus.NOT_FOUND),
    (InvalidKeyError, HTTPStatus.NOT_FOUND),
    (SettingsError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (LostLeaseError, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotNowError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BucketError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ServiceError, HTTPStatus.SERVICE_UNAVAILABLE),
    (PromptWriterError, HTTPStatus.BAD_GATEWAY),
    *STATUSES,
    (JobError, HTTPStatus.BAD_GATEWAY),  # the worker could not do it, for no fault of the client's nor of this server
    *FALLBACKS,
)
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(_RETRY_SECONDS)},
}


class RefusedRequestError(HTTPException):
    """A request that is refused before anybody looks at what it wants."""

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, message, headers or _HEADERS.get(status))

    @classmethod
    def too_large(cls, most: int) -> Self:
        """Return the refusal of a body that has more than `most` bytes."""
        return cls(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is too large; at most {most} bytes are taken")

    @classmethod
    def of(cls, error: DawaError) -> Self:
        """Return the refusal that one of the project's errors is, with the status that it is answered with."""
        status = status_of(error, _STATUSES)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s", _line(error))
        return cls(status, _line(error))


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route's page says of its errors; 400, 401, 413 and 415 belong to every one."""
    return {status: {"model": ErrorAnswer} for status in sorted({400, 401, 413, 415, *statuses})}


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of the app leave as the contract says."""
    answer_errors(app)
    app.add_exception_handler(DawaError, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)


def answer_of(error: DawaError) -> JSONResponse:
    """Return what one of the project's errors is answered with."""
    return answer_to(error, _STATUSES, _HEADERS)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DawaError)  # noqa: S101 - registered for these
    return answer_of(error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for these
    if error.errors()[0]["type"] == "json_invalid":
        return error_answer(HTTPStatus.BAD_REQUEST, "the body is no JSON; send an object with the fields of this route")
    if error.errors()[0]["loc"][:1] == ("body",) and not is_json(request):
        return error_answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, NOT_JSON)
    return error_answer(HTTPStatus.BAD_REQUEST, first_problem(error))


def _line(error: DawaError) -> str:
    return " ".join(str(error).split())
