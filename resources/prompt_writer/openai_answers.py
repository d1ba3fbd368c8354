"""What OpenAI's service answers: the text of a good answer, and what an answer without one means.

Nothing that the service says is trusted: its bodies may have any shape, and its messages may name the key.
"""

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from modal_app.errors import DawaError, RefusedQuestionError, ServiceError, TryLaterError
from modal_app.hosted_models.metered_requests import Usage
from modal_app.hosted_models.prices import Price, price_of_answer, who_answered

_MAX_TOKENS = 10**9
_KEY_LIKE = re.compile(r"\bsk-[\w*.…-]{4,}")
_NO_CREDIT = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"}
)
_PASSES = frozenset({"rate_limit_exceeded", "server_error"})
_OUR_PARAMETERS = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "invalid_value"})


@dataclass(frozen=True)
class Words:
    """What may be said of the service: never its key."""

    key: str = field(repr=False)
    model: str
    host: str
    is_gateway: bool

    def clean(self, value: Any, longest: int = 200) -> str:
        """Return what the service said, on one line, short, and without anything that looks like a key."""
        text = value if isinstance(value, str) else ""
        text = _KEY_LIKE.sub("(a key)", text.replace(self.key, "(the key)"))
        text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        return text if len(text) <= longest else f"{text[: longest - 1]}…"


@dataclass(frozen=True)
class Answered:
    """A body of status 200. `trouble` says why its text can't be used, whatever the text is."""

    text: str
    trouble: str
    response_id: str
    served_model: str
    """As the service says, which may be nothing."""
    answered_by: str
    """The model that is recorded: the one that was asked for, or the other one that the service names."""
    usage: Usage | None
    """None where the service named none."""


def read_answer(body: bytes, price: Price, words: Words) -> Answered | None:
    """Return what a body says; None where it is none of the API's.

    Raises:
        TryLaterError: the service says that it failed.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not isinstance(answer.get("output"), list):
        return None
    served_model = words.clean(answer.get("model"))
    answered_by = who_answered(words.model, served_model)
    usage = _usage(answer.get("usage"), price_of_answer("openai", words.model, answered_by, price))
    error = answer.get("error")
    if isinstance(error, dict) and isinstance(code := error.get("code"), str) and code in _PASSES:
        reason = f"OpenAI could not finish: {words.clean(error.get('message')) or code}"
        raise TryLaterError(reason, maybe_usd=usage.cost_usd if usage else 0.0)
    text, refusal = _text(answer["output"])
    return Answered(
        text=text.replace(words.key, "(the key)"),
        trouble=_trouble(answer, text, refusal, words),
        response_id=words.clean(answer.get("id")),
        served_model=served_model,
        answered_by=answered_by,
        usage=usage,
    )


def _text(output: list[Any]) -> tuple[str, str | None]:
    texts: list[str] = []
    refusal: str | None = None
    for message in output:
        if not isinstance(message, dict) or message.get("type") != "message":
            continue
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            if not isinstance(part, dict):
                continue
            if isinstance(part.get("text"), str):
                texts.append(part["text"])
            if part.get("type") == "refusal":
                refusal = str(part.get("refusal") or "")
    return "".join(texts), refusal


def _trouble(answer: dict[str, Any], text: str, refusal: str | None, words: Words) -> str:
    error, details = answer.get("error"), answer.get("incomplete_details")
    if isinstance(error, dict):
        return f"the service failed: {words.clean(error.get('message')) or 'it does not say why'}"
    if refusal is not None:
        return f"refused: {words.clean(refusal) or 'it does not say why'}"
    if answer.get("status") == "incomplete":
        reason = details.get("reason") if isinstance(details, dict) else None
        if reason == "content_filter":
            return "cut off by the service's content filter"
        return "cut off before its end; keep it short"
    if not text.strip():
        return "empty"
    return ""


def _usage(given: Any, price: Price) -> Usage | None:
    if not isinstance(given, dict):
        return None
    into, out = _count(given.get("input_tokens")), _count(given.get("output_tokens"))
    if into is None or out is None:
        return None
    details = given.get("input_tokens_details")
    # Cached tokens are cheaper, which is not counted; writing them into the cache costs a quarter more, which is.
    written = _count(details.get("cache_write_tokens")) if isinstance(details, dict) else None
    return Usage(1, into, out, price.of(into + math.ceil((written or 0) / 4), out))


def _count(given: Any) -> int | None:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= _MAX_TOKENS:
        return None
    return given


def what_status_means(status: int, headers: Mapping[str, str], body: Any, words: Words) -> DawaError:
    """Return the error for an answer that is not 200: `TryLaterError`, `RefusedQuestionError` or `ServiceError`."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    error = error if isinstance(error, dict) else {}
    code, message = error.get("code"), words.clean(error.get("message"))
    codes = {code for code in (code, error.get("type")) if isinstance(code, str)}
    because = f": {message}" if message else ""
    if codes & _NO_CREDIT:
        return ServiceError("OpenAI: no credit is left for this key; top it up in OpenAI's console and run again")
    if status == 401:
        return ServiceError(f"OpenAI: {words.host} refused the key; put a good one into OPENAI_API_KEY")
    if "model_not_found" in codes or status in (404, 410):
        way_out = "set DAWA_OPENAI_MODEL to one it has" + (" or mend DAWA_OPENAI_BASE_URL" if words.is_gateway else "")
        return ServiceError(f"OpenAI: {words.host} has no model {words.model!r} for this key; {way_out}")
    if status == 403:
        return ServiceError(
            f"OpenAI: {words.host} does not let this key use {words.model!r}{because}; "
            "allow it, or set DAWA_OPENAI_MODEL"
        )
    if status == 429:
        return TryLaterError("OpenAI is busy (HTTP 429)", after_seconds=wait_asked_for(headers))
    if status in (408, 409, 425) or status >= 500:
        return TryLaterError(f"OpenAI failed (HTTP {status})", after_seconds=wait_asked_for(headers))
    if codes & _OUR_PARAMETERS or status in (405, 415) or status < 400:
        what = "redirects" if 300 <= status < 400 else f"does not take the request (HTTP {status}{because})"
        way_out = "mend DAWA_OPENAI_BASE_URL" if words.is_gateway else "set DAWA_OPENAI_MODEL to another model"
        return ServiceError(f"OpenAI: {words.host} {what}; {way_out}")
    return RefusedQuestionError(f"OpenAI refused the request (HTTP {status}{because})")


def wait_asked_for(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the service asks to wait, in any of the ways in which it may say so; None: it doesn't."""
    for name, a_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / a_second
        except ValueError:
            continue
        if not math.isnan(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
