"""What a request passes before any route sees it, and by whose rules it is read.

First whether it comes from where it may, then who asks, by the headers alone. Who is known and who is not have places
of their own, so that nobody whom the server does not know holds up those whom it does. Nothing is read of a body whose
sender had to say who they are and did not. Each finished request is one line in the log: no query, no header, nothing
that was sent.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dawa_assets.http.access import Access, Identity
from dawa_assets.http.bodies import KNOWN, UNAUTHENTICATED, Body
from dawa_assets.http.errors import RefusedRequestError
from dawa_assets.http.local_only import is_asked_by_a_page_of_here, is_foreign
from dawa_assets.http.password_attempts import FailedAttempts
from modal_app.errors import DawaError
from modal_app.web.error_responses import UNEXPECTED, error_answer
from modal_app.web.messages import PASSWORD_FIELD

log = logging.getLogger(__name__)

_HEALTH = "/healthz"  # answers whatever else waits
_KNOWN, _UNAUTHENTICATED, _TOKENS = "known", "strangers", "tokens"
_MAX_INSIDE = {_KNOWN: 256, _UNAUTHENTICATED: 64, _TOKENS: 256}
_MAX_PER_USER = 64
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_ALWAYS = {"Cross-Origin-Resource-Policy": "same-site", "X-Content-Type-Options": "nosniff"}


class Gate:
    """Wraps an app.

    Args:
        app: what is behind it.
        access: who gets in.
        origins: other sites whose pages may ask an open server.
        most: how many bytes the body of a request to a path may have.
        by_body: the paths where the password may come in the body.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        origins: Collection[str],
        most: Callable[[str], int],
        by_body: Collection[str],
    ) -> None:
        self._app = app
        self._access = access
        self._origins = origins
        self._most = most
        self._by_body = by_body if access.by_password else ()
        self._inside: Counter[Hashable] = Counter()
        self._failed = FailedAttempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, sending = time.monotonic(), _Sending(send)
        path = scope.get("raw_path", b"").decode("latin-1")
        try:
            await self._pass(scope, Headers(scope=scope), receive, sending)
        except RefusedRequestError as refused:
            answer = error_answer(refused.status_code, str(refused.detail), dict(refused.headers or {}))
            await answer(scope, receive, sending)
        except Exception:
            # Whatever it is: what answers it further out adds no headers, and without those a page of another site
            # could not read that it failed. An answer that has begun can only be broken off.
            if sending.status is not None:
                raise
            log.exception("%s %s: failed", scope["method"], path[:300])
            await error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED)(scope, receive, sending)
        finally:
            took = time.monotonic() - started
            log.info("%s %s %s %.0f ms", scope["method"], path[:300], sending.status or "left", took * 1000)

    async def _pass(self, scope: Scope, headers: Headers, receive: Receive, sending: "_Sending") -> None:
        if self._access.is_open and is_foreign(headers, scope["method"], self._origins):
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN,
                "this server is open to this machine only, by its own names and to its own pages; set "
                "NAWFSIDE_APP_PASSWORD to use others, DAWA_WEB_ORIGINS for pages of other sites",
            )
        if self._access.is_open and is_asked_by_a_page_of_here(headers):
            sending.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # `localhost` to `127.0.0.1`
        most = self._most(scope["path"])
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise RefusedRequestError.too_large(most)
        if scope["path"] == _HEALTH:
            await self._app(scope, receive, sending)
            return
        given = self._given(headers)
        by_body = scope["path"] in self._by_body and scope["method"] == "POST" and given == (None, None)
        if by_body or given[0] is not None:
            self._failed.require_patience(_address(scope))
        identity = await self._identity(scope, *given)
        scope.setdefault("state", {})["identity"] = identity
        if identity.caller is not None:
            with self._place(_KNOWN), self._place(identity.caller.user, _MAX_PER_USER):
                await self._app(scope, Body(receive, most, KNOWN), sending)
        elif by_body:
            with self._unauthenticated() as comes_in:
                await self._app(scope, Body(receive, most, UNAUTHENTICATED, whole=comes_in), sending)
            if sending.status == HTTPStatus.UNAUTHORIZED:
                self._failed.note(_address(scope))
        else:
            refusal = None if scope["method"] in _WITHOUT_BODY else identity.refusal
            with self._place(_UNAUTHENTICATED):
                await self._app(scope, Body(receive, most, UNAUTHENTICATED, refusal=refusal), sending)

    def _given(self, headers: Headers) -> tuple[str | None, str | None]:
        """Return the password and the token that the headers have, of what counts here."""
        scheme, token = get_authorization_scheme_param(headers.get("authorization"))
        is_token = self._access.by_token and scheme.lower() == "bearer"
        return headers.get(PASSWORD_FIELD) if self._access.by_password else None, token if is_token else None

    async def _identity(self, scope: Scope, password: str | None, token: str | None) -> Identity:
        """Return who asks. A token may have to be checked with keys that are fetched first."""
        access = self._access
        try:
            if token is None or password is not None:
                return Identity(access.caller(password, None))
            with self._place(_TOKENS):
                return Identity(await scope["app"].state.service.identifying(access.caller, None, token))
        except DawaError as error:
            if password is not None:
                self._failed.note(_address(scope))
            return Identity(refusal=error)

    @contextmanager
    def _place(self, who: Hashable, most: int | None = None) -> Iterator[None]:
        """A place among the requests of `who` (None: nobody in particular, no limit)."""
        if who is None:
            yield
            return
        self._enter(who, most)
        try:
            yield
        finally:
            self._leave(who)

    @contextmanager
    def _unauthenticated(self) -> Iterator[Callable[[], None]]:
        """A stranger's place. What it gives is called when the body is there: it is decided at once who they are."""
        held = [_UNAUTHENTICATED]
        self._enter(_UNAUTHENTICATED)

        def comes_in() -> None:
            if held == [_UNAUTHENTICATED]:
                self._enter(_KNOWN)
                self._leave(_UNAUTHENTICATED)
                held[0] = _KNOWN

        try:
            yield comes_in
        finally:
            self._leave(held[0])

    def _enter(self, who: Hashable, most: int | None = None) -> None:
        if self._inside[who] >= (_MAX_INSIDE[str(who)] if most is None else most):
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; ask again in a moment"
            )
        self._inside[who] += 1

    def _leave(self, who: Hashable) -> None:
        self._inside[who] -= 1
        if not self._inside[who]:
            del self._inside[who]


class _Sending:
    """Hands on what is sent, with the headers that every answer has, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.headers = dict(_ALWAYS)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in self.headers.items():
                headers.setdefault(name, value)
            message = {**message, "headers": headers.raw}
        await self._send(message)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
