"""The server's core: takes a call of any API, lets it go wrong as was asked, and writes down what became of it."""

import asyncio
import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from tests.fakes.model_server.faults import BROKEN_LINES, GOOD, REFUSALS, Faults

TRANSPORT = "tests.transport"
"""The extension of a request's scope that holds its connection."""


@dataclass
class Call:
    """One call that was made. `paid`: answered with status 200, so that a real service would bill it."""

    number: int
    api: str
    model: str
    question: str
    """What tells this question from others; calls that ask the same again share it."""
    body: Any
    """What was sent, as far as the API keeps it."""
    header_names: list[str]
    """Of the request, without what they say: one of them is the key."""
    outcome: str
    """`good`, or the kind of the fault."""
    began: float
    """Seconds since the epoch, as `ended`."""
    status: int = 0
    """0 where nothing was answered."""
    ended: float = 0.0
    paid: bool = False
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def question_hash(self) -> str:
        """The SHA-256 of the question."""
        return hashlib.sha256(self.question.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Refusal:
    """Why a call is not even tried: a kind of `REFUSALS`, and what is to be said."""

    kind: str
    message: str = ""


class Api(ABC):
    """One service's API: its routes, its shapes, its answers. Faults are the core's."""

    name: str
    key: str
    """The only key that is let in."""
    bad_answers: Collection[str] | None = None
    """The kinds that its `answer` knows beside `good`; others are refused, for a misspelt one would be a good answer.
    None: not said."""

    @abstractmethod
    def routes(self, core: "Core") -> list[BaseRoute]:
        """Its endpoints; those that cost money answer with `await core.call(...)`."""

    @abstractmethod
    def question(self, body: Any) -> str:
        """What a request asks, apart from what is said when it is asked again."""

    @abstractmethod
    def refusal(self, headers: Mapping[str, str], model: str, body: Any, faults: Faults) -> Refusal | None:
        """Why a request can't be answered: its key, its model, its parameters."""

    @abstractmethod
    def error(self, kind: str, message: str) -> Any:
        """The body of a refused call."""

    @abstractmethod
    def answer(self, body: Any, model: str, kind: str, faults: Faults) -> Any:
        """The body of an answered call: `good`, or a kind of bad answer that the API has."""

    def kept(self, body: Any) -> Any:
        """What the log keeps of a request."""
        return body

    @abstractmethod
    def tokens(self, answer: Any) -> tuple[int, int]:
        """Tokens in and out that an answer names; 0 where it names none."""


@dataclass
class Core:
    """What the server knows between calls."""

    faults: Faults = field(default_factory=Faults)
    calls: list[Call] = field(default_factory=list)
    most_in_flight: int = 0
    _live: set[int] = field(default_factory=set)
    _asked: Counter[str] = field(default_factory=Counter)

    def reset(self) -> None:
        """Forget everything, also what is in flight."""
        self.faults, self.calls, self.most_in_flight = Faults(), [], 0
        self._live, self._asked = set(), Counter()

    def state(self) -> dict[str, Any]:
        """Counts, for who waits for something to happen."""
        return {
            "calls": len(self.calls),
            "paid": sum(call.paid for call in self.calls),
            "in_flight": len(self._live),
            "most_in_flight": self.most_in_flight,
            "outcomes": Counter(call.outcome for call in self.calls),
        }

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        """The calls from one number on."""
        return [{**asdict(call), "question_hash": call.question_hash} for call in self.calls[since:]]

    async def call(self, api: Api, request: Request, model: str) -> Response:
        """Answer one call that would cost money, or let it go wrong."""
        faults, began = self.faults, time.time()
        body = json.loads(await request.body() or b"null")
        question = api.question(body)
        refusal = api.refusal(request.headers, model, body, faults)
        number, times = len(self.calls), self._asked[question]
        kind = refusal.kind if refusal else faults.kind(question, number, times)
        call = Call(number, api.name, model, question, api.kept(body), sorted(request.headers), kind, began)
        self.calls.append(call)
        self._asked[question] += not refusal
        live = self._live
        live.add(number)
        self.most_in_flight = max(self.most_in_flight, len(live))
        try:
            await asyncio.sleep(faults.hang_seconds if kind == "hang" else faults.latency(question, times))
            return self._response(api, body, call, refusal, faults)
        finally:
            live.discard(number)
            call.ended = time.time()

    def _response(self, api: Api, body: Any, call: Call, refusal: Refusal | None, faults: Faults) -> Response:
        kind = call.outcome
        if kind in REFUSALS:
            call.status = REFUSALS[kind]
            headers = dict(faults.retry_after) if kind in ("busy", "unavailable", "overloaded") else {}
            return JSONResponse(api.error(kind, refusal.message if refusal else ""), call.status, headers)
        if kind in ("hang", "cut"):
            return _Cut(b"", after=None)
        if kind == "other_json":
            answer: Any = {"status": "ok", "data": [1, 2, {"text": None}], "output": "yes", "usage": "much"}
        else:
            kind = GOOD if kind in _BROKEN_ANSWERS else kind
            if kind != GOOD and api.bad_answers is not None and kind not in api.bad_answers:
                call.status = 418
                return JSONResponse({"error": {"message": f"{api.name} has no kind of answer {kind!r}"}}, call.status)
            answer = api.answer(body, call.model, kind, faults)
            call.input_tokens, call.output_tokens = api.tokens(answer)
        call.status, call.paid = 200, True
        content = json.dumps(answer).encode()
        if call.outcome == "cut_in_body":
            return _Cut(content, after=len(content) // 2)
        if call.outcome == "half_json":
            content = content[: len(content) // 2]
        if call.outcome == "no_json":
            return Response(b"<html><body>Welcome to the gateway</body></html>", media_type="text/html")
        return Response(content, media_type="application/json")


_BROKEN_ANSWERS = (*BROKEN_LINES, "half_json", "no_json")


class _Cut(Response):
    """Sends a part of its body, or not even a status, and cuts the connection."""

    def __init__(self, content: bytes, after: int | None) -> None:
        super().__init__(content, media_type="application/json")
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._after is not None:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body[: self._after], "more_body": True})
            await asyncio.sleep(0.01)  # so that the part is out before the connection is
        scope["extensions"][TRANSPORT]["transport"].abort()
