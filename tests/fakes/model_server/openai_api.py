"""OpenAI's Responses API and list of models, as far as a text goes in and a text comes out.

`question` is the first message of the user; what follows it (a bad answer, what was wrong with it) is the same
question asked again.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.fakes.model_server.answers import caption
from tests.fakes.model_server.core import Api, Core, Refusal
from tests.fakes.model_server.faults import REFUSALS, RULE_BREAKING, Faults

KEY = "sk-proj-Loopback0123456789abcdefKEY"
MODELS: dict[str, str | None] = {
    "gpt-4o-mini": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
    "gpt-5.4-mini": None,
    "gpt-6-luna": None,
}
BAD_ANSWERS = (*RULE_BREAKING, "empty", "nothing", "refusal", "incomplete", "filtered", "failed", "no_usage")
"""Answers with status 200 whose text, or whose account of what it took, is no good or not there."""
REASONING = ("gpt-5", "gpt-6", "o1", "o3", "o4")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_MAX_LENGTH = 400_000  # characters: about 100,000 tokens
_KNOWN = {
    "model", "instructions", "input", "max_output_tokens", "store", "temperature", "reasoning", "text", "user",
    "metadata", "safety_identifier", "prompt_cache_key", "service_tier", "top_p", "truncation", "background", "stream",
}  # fmt: skip


class OpenAIApi(Api):
    """`POST /v1/responses`, `GET /v1/models` and `GET /v1/models/{model}`."""

    name = "openai"
    bad_answers = BAD_ANSWERS

    def __init__(self, key: str = KEY) -> None:
        self.key = key

    def routes(self, core: Core) -> list[BaseRoute]:
        async def respond(request: Request) -> Response:
            body = await request.json()
            return await core.call(self, request, str(body.get("model", "")))

        async def models(request: Request) -> Response:
            if refusal := self._wrong_key(request.headers):
                return self._refused(refusal)
            data = [_model(name, end) for name, end in (MODELS | dict(core.faults.models)).items()]
            return JSONResponse({"object": "list", "data": data})

        async def model(request: Request) -> Response:
            known, name = MODELS | dict(core.faults.models), request.path_params["model"]
            refusal = self._wrong_key(request.headers) or (Refusal("no_model", name) if name not in known else None)
            return self._refused(refusal) if refusal else JSONResponse(_model(name, known[name]))

        return [
            Route("/v1/responses", respond, methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{model:path}", model),
        ]

    def question(self, body: Any) -> str:
        given = body.get("input")
        if isinstance(given, list):
            given = next((message.get("content") for message in given if message.get("role") == "user"), "")
        if isinstance(given, list):
            given = "".join(part.get("text", "") for part in given)
        return str(given)

    def refusal(self, headers: Mapping[str, str], model: str, body: Any, faults: Faults) -> Refusal | None:
        if refusal := self._wrong_key(headers):
            return refusal
        if model not in MODELS | dict(faults.models):
            return Refusal("no_model", model)
        if unknown := sorted(set(body) - _KNOWN):
            return Refusal("bad_request", f"Unknown parameter: '{unknown[0]}'.")
        reasons = model.startswith(REASONING)
        unfit = "temperature" if reasons and "temperature" in body else "reasoning.effort"
        if (reasons and "temperature" in body) or (not reasons and "reasoning" in body):
            return Refusal("bad_request", f"Unsupported parameter: '{unfit}' is not supported with this model.")
        if body.get("reasoning", {}).get("effort", "none") not in _EFFORTS:
            return Refusal("bad_request", "Invalid value: 'reasoning.effort'.")
        most = body.get("max_output_tokens")
        if most is not None and (not isinstance(most, int) or most < 16):
            return Refusal("bad_request", "Invalid 'max_output_tokens': integer below minimum value.")
        if len(str(body.get("input"))) > _MAX_LENGTH:
            return Refusal("too_long")
        return None

    def error(self, kind: str, message: str) -> Any:
        text, type_, code = _ERRORS.get(kind, ("The server had an error while processing your request.",) * 2 + (None,))
        # Answers that name the key are what keys get into logs by.
        return {
            "error": {
                "message": text.format(key=self.key, what=message),
                "type": type_,
                "param": None,
                "code": code,
            }
        }

    def answer(self, body: Any, model: str, kind: str, faults: Faults) -> Any:
        question = self.question(body)
        text = caption(question, kind) if kind not in ("good", "no_usage") or faults.text is None else faults.text
        content: dict[str, Any] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        if kind == "refusal":
            content = {"type": "refusal", "refusal": "I'm sorry, but I can't help with that."}
        status = {"incomplete": "incomplete", "filtered": "incomplete", "failed": "failed"}.get(kind, "completed")
        message = {"id": "msg_" + _id(question), "type": "message", "status": status, "role": "assistant"}
        output = [] if kind in ("failed", "nothing") else [{**message, "content": [content]}]
        if model.startswith(REASONING):
            output.insert(0, {"id": "rs_" + _id(question), "type": "reasoning", "summary": []})
        reason = {"incomplete": "max_output_tokens", "filtered": "content_filter"}.get(kind)
        into, out = (len(str(body.get("instructions"))) + len(str(body["input"]))) // 4, max(1, len(text) // 4)
        return {
            "id": "resp_" + _id(question),
            "object": "response",
            "created_at": 1_790_000_000,
            "status": status,
            "background": False,
            "error": {"code": "server_error", "message": "The model failed."} if kind == "failed" else None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "max_output_tokens": body.get("max_output_tokens"),
            "model": faults.answered_by.get(model, f"{model}-2026-09-01"),
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": body.get("reasoning", {}).get("effort"), "summary": None},
            "store": body.get("store", True),
            "temperature": body.get("temperature"),
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None
            if kind == "no_usage"
            else {
                "input_tokens": into,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": out,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": into + out,
            },
            "metadata": {},
        }

    def kept(self, body: Any) -> Any:
        return body

    def tokens(self, answer: Any) -> tuple[int, int]:
        usage = answer["usage"] or {}
        return usage.get("input_tokens", 0), usage.get("output_tokens", 0)

    def _wrong_key(self, headers: Mapping[str, str]) -> Refusal | None:
        return None if headers.get("authorization") == f"Bearer {self.key}" else Refusal("wrong_key")

    def _refused(self, refusal: Refusal) -> Response:
        return JSONResponse(self.error(refusal.kind, refusal.message), REFUSALS[refusal.kind])


_ERRORS: dict[str, tuple[str, str, str | None]] = {
    "wrong_key": ("Incorrect API key provided: {key}. Find yours in the console.", "invalid_request_error",
                  "invalid_api_key"),
    "forbidden": ("The project of {key} does not have access to this model.", "invalid_request_error",
                  "model_not_available"),
    "no_model": ("The model `{what}` does not exist or you do not have access to it.", "invalid_request_error",
                 "model_not_found"),
    "no_credit": ("You exceeded your current quota, please check your plan. Key: {key}", "insufficient_quota",
                  "insufficient_quota"),
    "busy": ("Rate limit reached on requests per min for {key}. Please try again in 1s.", "requests",
             "rate_limit_exceeded"),
    "too_long": ("Your input exceeds the context window of this model.", "invalid_request_error",
                 "context_length_exceeded"),
    "bad_request": ("{what} Request by {key}.", "invalid_request_error", "unsupported_parameter"),
    "overloaded": ("The engine is currently overloaded, please try again later", "overloaded_error", None),
}  # fmt: skip


def _model(name: str, shutdown_date: str | None) -> dict[str, Any]:
    model = {"id": name, "object": "model", "created": 1_721_172_741, "owned_by": "system"}
    return {**model, "shutdown_date": shutdown_date}


def _id(question: str) -> str:
    return hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()[:32]
