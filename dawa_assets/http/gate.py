"""What a request passes before any route sees it: an open server's own hosts only, bodies within limits, not too many.

Each finished request is one line in the log: no query, no header, nothing that was sent.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dawa_assets.http.errors import RefusedError
from modal_app.web.answers import error_answer

log = logging.getLogger(__name__)

_AT_ONCE = 256
_HEALTH = "/healthz"  # answers whatever else waits
_SILENT_SECONDS = 30.0
_BODY_SECONDS = 900.0


class Gate:
    """Wraps an app.

    Args:
        app: what is behind it.
        is_foreign: whether a request's Host and Origin are refused.
        most: how many bytes the body of a request to a path may have.
    """

    def __init__(
        self, app: ASGIApp, is_foreign: Callable[[str | None, str | None], bool], most: Callable[[str], int]
    ) -> None:
        self._app = app
        self._is_foreign = is_foreign
        self._most = most
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        started, told = time.monotonic(), _Status(send)
        self._inside += 1
        try:
            refusal = self._refusal(scope, headers)
            if refusal is None:
                await self._app(scope, _Body(receive, self._most(scope["path"])), told)
            else:
                answer = error_answer(refusal.status_code, str(refusal.detail), dict(refusal.headers or {}))
                await answer(scope, receive, told)
        except Exception:
            told.status = HTTPStatus.INTERNAL_SERVER_ERROR  # it is answered outside of here
            raise
        finally:
            self._inside -= 1
            path = scope.get("raw_path", b"").decode("latin-1")
            took = time.monotonic() - started
            log.info("%s %s %s %.0f ms", scope["method"], path[:300], told.status or "left", took * 1000)

    def _refusal(self, scope: Scope, headers: Headers) -> RefusedError | None:
        if self._is_foreign(headers.get("host"), headers.get("origin")):
            return RefusedError(
                HTTPStatus.FORBIDDEN,
                "this server is open to this machine only, by its own names; set NAWFSIDE_APP_PASSWORD to use others",
            )
        if self._inside > _AT_ONCE and scope["path"] != _HEALTH:
            return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; ask again in a moment")
        declared = headers.get("content-length", "")
        most = self._most(scope["path"])
        return _too_large(most) if declared.isdecimal() and int(declared) > most else None


class _Body:
    """A request's body as it comes: not more than the limit, and not without end."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._size = 0
        self._is_whole = False
        self._deadline = time.monotonic() + _BODY_SECONDS

    async def __call__(self) -> Message:
        if self._is_whole:
            return await self._receive()
        wait = min(_SILENT_SECONDS, self._deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(wait, 0.0))
        except TimeoutError:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "the body stopped coming; send it again") from None
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._size > self._most:
            raise _too_large(self._most)
        return message


class _Status:
    """Hands on what is sent, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _too_large(most: int) -> RefusedError:
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is too large; at most {most} bytes are taken")
