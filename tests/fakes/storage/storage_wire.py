"""The wire of the loopback Storage server: one connection, its calls and what goes wrong with them. No Storage here."""

import contextlib
import json
import socket
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.storage.storage_state import RefusedError, not_yours

if TYPE_CHECKING:
    from tests.fakes.storage.storage_server import StorageServer

BASE = "/storage/v1"
PIECE = 1 << 16


@dataclass
class Fault:
    """What goes wrong with the calls that match: one of them, after `skip` others, unless `times` says more."""

    method: str = ""
    path: str = ""  # a regular expression, searched in the decoded path below the base
    skip: int = 0
    times: int = 1
    delay: float = 0.0
    before: Callable[[], object] | None = None  # is done while the call waits
    status: int = 0  # answers this at once and does nothing
    message: str = "a fault"  # that comes with this status
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False  # cuts the connection as soon as the call is known, and does nothing
    cut_request_after: int | None = None  # bytes of the request's body that still come through
    cut_answer_after: int | None = None  # bytes of the answer's body that still go out
    lose_answer: bool = False  # does what it is asked, and cuts the connection


@dataclass
class Call:
    """One request as the server saw it: `received` and `sent` count bytes of bodies."""

    method: str
    path: str
    headers: dict[str, str]
    received: int = 0
    sent: int = 0
    status: int = 0


class CutError(Exception):
    """The connection is cut now."""


class Wire(BaseHTTPRequestHandler, ABC):
    """One connection; `route` answers a call."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_: "StorageServer"

    @abstractmethod
    def route(self, path: str) -> None:
        """Answer one call; raises RefusedError where the answer is an error."""

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _serve(self) -> None:
        self.left = int(self.headers.get("content-length") or 0)
        split = urlsplit(self.path)
        path = unquote(split.path).removeprefix(BASE)
        self.query = parse_qs(split.query)
        self.call = Call(self.command, path, {name.lower(): value for name, value in self.headers.items()})
        self.fault = self.server_.fault_for(self.call)
        try:
            time.sleep(self.fault.delay)
            if self.fault.before is not None:
                self.fault.before()
            if self.fault.cut:
                raise CutError
            if self.fault.status:
                self.drain()
                self.answer(self.fault.status, {"message": self.fault.message}, self.fault.headers)
            else:
                self.route(path)
        except RefusedError as refused:
            self.drain()
            if path.startswith("/upload/resumable"):
                plain = {"tus-resumable": "1.0.0", "content-type": "text/plain;charset=UTF-8"}
                self.answer(refused.status, refused.message.encode(), plain)
            else:
                self.answer(500 if refused.status == 500 else 400, refused.body)
        except (CutError, OSError):
            self._cut()

    def do_OPTIONS(self) -> None:
        """Answer a browser that asks beforehand what another origin's page may do: all of it, as a project's does."""
        told = {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "access-control-allow-headers": self.headers.get("access-control-request-headers", ""),
            "content-length": "0",
        }
        lines = ["HTTP/1.1 200 ", *(f"{name}: {value}" for name, value in told.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815 - called so by the base class

    def user(self) -> str | None:
        """The signed-in user whose token came with the call; None for every other role."""
        key = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        try:
            return str(self.server_.payload(key)["sub"]) if key.count(".") == 2 else None
        except (ValueError, KeyError):
            return None

    def role(self) -> str:
        key = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        if key == self.server_.secret_key:
            return "service_role"
        if key == self.server_.publishable_key:
            return "anon"
        if not key:
            raise RefusedError(
                "400", "Error", "headers should have required property 'authorization'", "InvalidRequest"
            )
        try:
            return str(self.server_.payload(key)["role"])
        except ValueError as error:
            raise RefusedError("403", "Unauthorized", str(error), "AccessDenied") from None

    def json(self, answer: Callable[[str], Any]) -> None:
        self.body = b"".join(self.pieces())
        self.answer(200, answer(self.role()))

    def asked(self) -> dict[str, Any]:
        asked: dict[str, Any] = json.loads(self.body or b"{}")
        return asked

    def upsert(self) -> bool:
        return self.headers.get("x-upsert") == "true"

    def may_write(self, role: str, name: str) -> None:
        """By the policies that `dawa migrate` makes: a user writes new files into the inboxes of their artists."""
        if role == "service_role":
            return
        folder, _, rest = name.partition("/")
        slug, _, rest = rest.partition("/")
        if role != "authenticated" or folder != "inbox" or "/" not in rest or not self.owns(slug) or self.upsert():
            raise not_yours()

    def may_read(self, role: str, name: str) -> bool:
        """By the same policies: a user reads what lies below the folders of their artists."""
        folder, _, rest = name.partition("/")
        slug, slash, _ = rest.partition("/")
        return role == "service_role" or (
            role == "authenticated" and folder == "artists" and bool(slash) and self.owns(slug)
        )

    def owns(self, slug: str) -> bool:
        return slug in self.server_.artists_of.get(self.user() or "", ())

    def pieces(self) -> Iterator[bytes]:
        """The rest of the request's body, up to where the connection is cut."""
        limit = self.fault.cut_request_after
        while self.left:
            size = min(PIECE, self.left, *([] if limit is None else [limit - self.call.received]))
            if not size or not (piece := self.rfile.read1(size)):
                raise CutError
            self.left -= len(piece)
            self.call.received += len(piece)
            yield piece
        if limit is not None:
            raise CutError

    def drain(self) -> None:
        for _ in self.pieces():
            pass

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        if self.fault.lose_answer:
            raise CutError
        self.call.status = status
        headers = {**self.__dict__.pop("extra", {}), **(headers or {})}
        if not isinstance(body, bytes) and not hasattr(body, "read"):
            body = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
            headers.setdefault("content-type", "application/json; charset=utf-8")
        if self.headers.get("origin"):  # a browser
            headers["access-control-allow-origin"] = "*"
            headers["access-control-expose-headers"] = "*"
        if status != 204:
            headers.setdefault("content-length", str(len(body) if isinstance(body, bytes) else 0))
        lines = [f"HTTP/1.1 {status} ", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1"))
        if self.command != "HEAD":
            self._send(body, int(headers.get("content-length", 0)))

    def _send(self, body: bytes | BinaryIO, length: int) -> None:
        limit = self.fault.cut_answer_after
        while self.call.sent < length:
            size = min(PIECE, length - self.call.sent, *([] if limit is None else [limit - self.call.sent]))
            sent = self.call.sent
            piece = body[sent : sent + size] if isinstance(body, bytes) else body.read(size)
            if not piece:
                raise CutError
            self.wfile.write(piece)
            self.call.sent += len(piece)
        if limit is not None:
            raise CutError

    def _cut(self) -> None:
        """Close the connection at once, as a network that breaks does."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            if self.fault.cut_answer_after is None:  # else what was sent must still arrive
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
