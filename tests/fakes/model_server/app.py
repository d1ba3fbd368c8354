"""The application: every API's routes, and the endpoints by which a test controls the server."""

import json
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.model_server.core import Api, Core
from tests.fakes.model_server.faults import Faults
from tests.fakes.model_server.gemini_api import GeminiApi
from tests.fakes.model_server.openai_api import OpenAIApi


class _AnyJSON(JSONResponse):
    """Half characters included, which Starlette's own can't send."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


def apis() -> list[Api]:
    """All APIs that the server speaks."""
    return [OpenAIApi(), GeminiApi()]


def application(served: Sequence[Api]) -> Starlette:
    """The server, with nothing wrong with it yet."""
    core = Core()

    async def log(request: Request) -> Response:
        return _AnyJSON(core.log(int(request.query_params.get("since", "0"))))

    async def state(_: Request) -> Response:
        return JSONResponse(core.state())

    async def faults(request: Request) -> Response:
        core.faults = Faults.of(await request.json())
        return _AnyJSON(core.faults.as_json())

    async def reset(_: Request) -> Response:
        core.reset()
        return JSONResponse(core.state())

    control = [
        Route("/control/log", log),
        Route("/control/state", state),
        Route("/control/faults", faults, methods=["PUT"]),
        Route("/control/reset", reset, methods=["POST"]),
    ]
    return Starlette(routes=[*(route for api in served for route in api.routes(core)), *control])
