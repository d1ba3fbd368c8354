"""What a failed call to Gemini means: try later, this question is the trouble, or nothing will be answered.

Messages are put together here, from status codes and short cleaned words of the service: never a key, a URL's query
or a traceback.
"""

import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from modal_app.errors import RefusedQuestionError, ServiceError, TryLaterError
from modal_app.protocol.tagging import HostedModel
from modal_app.tagging.text_sanitizing import plain_line

_MAX_LENGTH = 160
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s?")


def trouble(error: Exception, model: HostedModel, *, maybe_usd: float) -> Exception:
    """Return the failure of a call as what it means.

    `maybe_usd` is what the call may have cost where it went through.
    """
    import httpx
    from google.genai.errors import APIError

    if isinstance(error, APIError):
        return _answered(error, model)
    if isinstance(error, (TimeoutError, httpx.TimeoutException)):
        return TryLaterError(f"no answer within {model.timeout_seconds:g} s", maybe_usd=maybe_usd)
    if isinstance(error, httpx.ConnectError):
        return TryLaterError(f"no connection to {_host(model)}")
    if isinstance(error, httpx.HTTPError):
        return TryLaterError(f"the connection to {_host(model)} was cut", maybe_usd=maybe_usd)
    if isinstance(error, (ValueError, RecursionError)):  # the client reads the JSON before we do
        return TryLaterError("what came back was no answer", maybe_usd=maybe_usd)
    return error


def _answered(error: Any, model: HostedModel) -> Exception:
    reason = _message_of(error)
    code = int(error.code or 0)
    if code in (401, 403) or (code == 400 and "API_KEY" in str(error.details)):
        return ServiceError(f"{model.name}: the key in GEMINI_API_KEY was refused ({code}{reason}); set a valid one")
    if code == 404:
        return ServiceError(f"{model.name}: there is no such model ({code}{reason}); set DAWA_GEMINI_MODEL")
    if code == 402 or error.status == "FAILED_PRECONDITION":
        return ServiceError(f"{model.name}: the account can't be used ({code}{reason}); look at its billing")
    if code == 429:
        return TryLaterError("the service is busy (429)", after_seconds=_wait(error))
    if code in (408, 425, 499) or code >= 500:
        return TryLaterError(f"the service is broken ({code})", after_seconds=_wait(error))
    if code < 400:
        return ServiceError(f"{model.name}: {_host(model)} answered {code}; set DAWA_GEMINI_BASE_URL to the API itself")
    return RefusedQuestionError(f"the service refused it ({code}{reason})")


def _message_of(error: Any) -> str:
    """Return the service's own words, without the key should it have repeated it."""
    key = os.environ.get("GEMINI_API_KEY", "").strip()
    message = str(error.message or "")
    line = plain_line(message.replace(key, "…") if key else message, _MAX_LENGTH)
    return f": {line}" if line else ""


def _wait(error: Any) -> float | None:
    """Return what the service asks to wait, in seconds: the header `Retry-After`, else `RetryInfo` in the body."""
    headers = getattr(error.response, "headers", None) or {}
    named = [headers.get("retry-after"), *_retry_info(error.details)]
    for value in named:
        if isinstance(value, str) and (match := _SECONDS.fullmatch(value.strip())):
            return float(match.group(1))
    return None


def _retry_info(details: Any) -> Iterator[Any]:
    body = details.get("error", details) if isinstance(details, dict) else None
    parts = body.get("details") if isinstance(body, dict) else None
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and str(part.get("@type", "")).endswith("RetryInfo"):
            yield part.get("retryDelay")


def _host(model: HostedModel) -> str:
    return urlsplit(model.base_url or "").hostname or "Google"
