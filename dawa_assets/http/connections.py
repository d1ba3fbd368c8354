"""How long a connection may take to say what it wants, and to take what it asked for.

The HTTP server waits for headers without end, and for a reader that stopped reading. Here both have a deadline, and of
those who have not said what they want only so many are kept.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADER_SECONDS = 10.0
STALLED_SECONDS = 60.0
MAX_SILENT = 256
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def with_deadlines() -> type[asyncio.Protocol]:
    """Return the HTTP server's protocol, for one server, with deadlines for headers and for readers."""
    silent: dict[Any, None] = {}  # connections whose headers are yet to come, the oldest first
    base: Any = AutoHTTPProtocol

    class Protocol(base):  # type: ignore[misc]
        """One connection."""

        _headers_due: asyncio.TimerHandle | None = None
        _reader_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            """Expect headers soon; of too many who keep silent, the one that did so longest goes."""
            super().connection_made(transport)
            self._expect_headers()
            if len(silent) > MAX_SILENT:
                next(iter(silent)).give_up()

        def data_received(self, data: bytes) -> None:
            """Take what came; whether headers are whole now is seen by the request that began."""
            super().data_received(data)
            if self._is_answering():
                _cancel(self._headers_due)
                self._headers_due = None
                silent.pop(self, None)
            elif self._headers_due is None and not self.transport.is_closing():
                self._expect_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget it."""
            silent.pop(self, None)
            _cancel(self._headers_due)
            _cancel(self._reader_due)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            """Expect the client to read on before long."""
            super().pause_writing()
            _cancel(self._reader_due)
            self._reader_due = self._after(STALLED_SECONDS, self.transport.abort)

        def resume_writing(self) -> None:
            """The client reads."""
            _cancel(self._reader_due)
            super().resume_writing()

        def give_up(self) -> None:
            """End a connection whose headers did not come."""
            silent.pop(self, None)
            if self._is_answering() or self.transport.is_closing():
                return
            if self.cycle is None:
                self.transport.write(_TOO_SLOW)
            self.transport.close()

        def _expect_headers(self) -> None:
            silent[self] = None
            self._headers_due = self._after(HEADER_SECONDS, self.give_up)

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _after(self, seconds: float, do: Callable[[], None]) -> asyncio.TimerHandle:
            return asyncio.get_running_loop().call_later(seconds, do)

    return Protocol


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
