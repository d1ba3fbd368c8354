"""Runs the server until its parent closes its standard input: `python -m tests.fakes.model_server [port]`.

Its first line on standard output is its address.
"""

import asyncio
import gc
import socket
import sys

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.fakes.model_server.app import apis, application
from tests.fakes.model_server.core import TRANSPORT


class _Protocol(HttpToolsProtocol):
    """Hands out its connection, so that it can be cut."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


async def _serve(listening: socket.socket) -> None:
    config = uvicorn.Config(
        application(apis()), http=_Protocol, ws="none", lifespan="off", log_level="critical", access_log=False,
        timeout_keep_alive=60, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    reader = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({serving, reader}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving


def main() -> None:
    """Listen on a loopback port, say which, and serve."""
    # With its protocol named, or asyncio doesn't switch Nagle's waiting off and each answer takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    listening.listen(512)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)  # noqa: T201 - who started it waits for it
    gc.freeze()
    asyncio.run(_serve(listening))


if __name__ == "__main__":
    main()
