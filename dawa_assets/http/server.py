"""Where the server listens, what it says of that, and how it ends. Never beyond this machine while it is open."""

import errno
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from dawa_assets.http.access import Access
from dawa_assets.http.connections import with_deadlines
from modal_app.errors import InputError

_WAITING = 256  # connections that are not taken yet
_LAST_SECONDS = 30


@contextmanager
def listen(host: str, port: int, access: Access) -> Iterator[socket.socket]:
    """A listening socket for the length of the block.

    Raises:
        InputError: the address can't be listened at, or others could reach it and nothing protects it.
    """
    address, family = _address(host)
    if access.is_open and not ip_address(address).is_loopback:
        raise InputError(
            f"{host}: others could reach this address, and nothing protects it; set NAWFSIDE_APP_PASSWORD, or "
            "SUPABASE_URL for users' tokens, or listen at 127.0.0.1"
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(_WAITING)
        except OSError as error:
            way_out = "take another --port" if error.errno == errno.EADDRINUSE else "take another --host or --port"
            raise InputError(f"{host}:{port}: can't be listened at ({error.strerror}); {way_out}") from None
        yield listener


def run(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; what is under way is finished first, within limits."""
    Server(configuration(app)).run(sockets=[listener])


def configuration(app: ASGIApp, last_seconds: int = _LAST_SECONDS) -> uvicorn.Config:
    """Return how the app is served; what is under way at the end has `last_seconds` to be finished.

    Headers of proxies are not the server's to read: `proxies.py` does.
    """
    return uvicorn.Config(
        app,
        http=with_deadlines(),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=last_seconds,
    )


class Server(uvicorn.Server):
    """Ends well when it is told to end: not as if the signal had killed it."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as it is called
        """The first signal ends it when all is answered, another Ctrl-C at once."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def address_of(listener: socket.socket) -> str:
    """Return the address of the page, for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - everywhere is here too
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def summary(listener: socket.socket, access: Access, marks: str) -> list[str]:
    """Return what is served, where, who may, and how what is generated is marked: lines for a person."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    ways = []
    if access.by_password:
        ways.append("the password (x-train-password) for all artists")
    if access.by_token:
        ways.append("users' tokens for the artists they are linked to")
    who = f"protected by {', and '.join(ways)}" if ways else "open to this machine, and to nobody else"
    worker = "open to this machine" if not ways else "by the password" if access.by_password else "closed: no password"
    return [
        f"Serving at {url}, {who}.",
        f"  {f'{url}/':<49} Train Mode: the screen that artists and producers work on",
        "  /api/train, /api/train/save, /api/train/export    prompts, pairs and datasets",
        "  /api/producer/*, /api/artist/generate             trainings and renderings",
        f"  /store-upload, /train, /generate                  the worker's endpoints ({worker})",
        "  /files/artists/…                                  files of the bucket",
        f"  {f'{url}/docs, /healthz':<49} always open",
        f"Marks on what is generated: {marks}.",
    ]


def _address(host: str) -> tuple[str, socket.AddressFamily]:
    """Return the address of a host name: what is checked is what is listened at."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise InputError(f"{host}: is no address of this machine; take another --host") from None
    family, _, _, _, address = found[0]
    return str(address[0]).partition("%")[0], family
