"""A Storage server on loopback that answers as a real one was recorded to answer, and fails when it is told to.

Bytes lie on disk, so it holds large objects. It is made of plain sockets and threads rather than of a web framework:
a fault must be able to cut a connection at a given byte.
"""

import base64
import hmac
import json
import os
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.fakes.storage import storage_state as kept
from tests.fakes.storage.storage_calls import Calls
from tests.fakes.storage.storage_state import State
from tests.fakes.storage.storage_wire import Call, Fault


class StorageServer:
    """The server, its keys and its faults. Use as a context manager; `url` is what `SUPABASE_URL` would be."""

    secret_key = "sb_secret_" + "loopback0123456789abcdef"
    publishable_key = "sb_publishable_" + "loopback0123456789abcdef"

    def __init__(self, folder: Path | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="storage-", dir=folder))
        self.state = State(self._folder)
        self.clock: Callable[[], float] = time.time
        self.largest_upload: int | None = None  # of resumable ones
        self.told_scheme = "https"  # in the address of a resumable upload, as a project says it behind its proxy
        self.artists_of: dict[str, set[str]] = {}  # user's id -> slugs
        self.calls: list[Call] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._jwt_secret = os.urandom(32)
        self.legacy_key = self.jwt({"role": "service_role", "iss": "supabase"})
        self.anon_key = self.jwt({"role": "anon", "iss": "supabase"})
        self._http = _Server(("127.0.0.1", 0), type("Handler", (Calls,), {"server_": self}))
        self._scheme = "https" if tls else "http"
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "StorageServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        kept.clear(self._folder)

    def sign_in(self, user: str, *slugs: str) -> str:
        """The token of a signed-in user who is linked to these artists."""
        self.artists_of[user] = set(slugs)
        return self.jwt({"role": "authenticated", "aud": "authenticated", "sub": user, "exp": self.clock() + 3600})

    def fail(self, **what: Any) -> Fault:
        """Let calls go wrong; see `Fault`."""
        fault = Fault(**what)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def called(self, method: str = "", path: str = "") -> list[Call]:
        """The calls so far whose method and path match."""
        with self._lock:
            return [call for call in self.calls if call.method.startswith(method) and re.search(path, call.path)]

    def jwt(self, payload: dict[str, Any]) -> str:
        """A token signed by this server."""
        head = _b64(b'{"alg":"HS256","typ":"JWT"}')
        signed = f"{head}.{_b64(json.dumps(payload).encode())}"
        return f"{signed}.{_b64(hmac.digest(self._jwt_secret, signed.encode(), 'sha256'))}"

    def payload(self, token: str) -> dict[str, Any]:
        """What a token of this server says; raises ValueError with the reason for any other."""
        if token.count(".") != 2:
            raise ValueError("Invalid Compact JWS")
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(_b64(hmac.digest(self._jwt_secret, signed.encode(), "sha256")), signature):
            raise ValueError("signature verification failed")
        payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
        if payload.get("exp", float("inf")) <= self.clock():
            raise ValueError('"exp" claim timestamp check failed')
        return payload

    def fault_for(self, call: Call) -> Fault:
        with self._lock:
            self.calls.append(call)
            for fault in self._faults:
                if fault.times and call.method.startswith(fault.method) and re.search(fault.path, call.path):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return Fault()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that is gone is what the tests are about."""


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
