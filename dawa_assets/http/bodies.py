"""A request's body as it comes: not more than its limit, not without end, and only of whom it may be taken."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import Message, Receive

from dawa_assets.http.errors import RefusedRequestError
from modal_app.errors import DawaError
from modal_app.web.body import SILENT_SECONDS


@dataclass(frozen=True)
class Patience:
    """How long a body is waited for."""

    silent_seconds: float
    seconds: float
    bytes_a_second: float = 0.0  # on average, once it has gone on for `slow_after_seconds`
    slow_after_seconds: float = 10.0


KNOWN = Patience(silent_seconds=SILENT_SECONDS, seconds=900.0)
UNAUTHENTICATED = Patience(silent_seconds=5.0, seconds=900.0, bytes_a_second=16_000.0)


class Body:
    """The receiving end of a request.

    Args:
        receive: what it comes by.
        most: how many bytes are taken.
        patience: how long it is waited for, from when somebody wants it.
        refusal: why nothing of it is read; None where it is.
        whole: called once, when all of it is there.
    """

    def __init__(
        self,
        receive: Receive,
        most: int,
        patience: Patience,
        *,
        refusal: DawaError | None = None,
        whole: Callable[[], None] = lambda: None,
    ) -> None:
        self._receive = receive
        self._most = most
        self._patience = patience
        self._refusal = refusal
        self._whole = whole
        self._size = 0
        self._is_whole = False
        self._began: float | None = None

    async def __call__(self) -> Message:
        """Return the next message.

        Raises:
            RefusedRequestError: it is too large, too slow, or of somebody who had to say who they are.
        """
        if self._is_whole:
            return await self._receive()
        if self._refusal is not None:
            raise RefusedRequestError.of(self._refusal)
        began = self._began = self._began or time.monotonic()
        wait = min(self._patience.silent_seconds, began + self._patience.seconds - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(wait, 0.0))
        except TimeoutError:
            raise _too_slow() from None
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._size > self._most:
            raise RefusedRequestError.too_large(self._most)
        if self._is_whole:
            self._whole()
        else:
            seconds = time.monotonic() - began
            if seconds > self._patience.slow_after_seconds and self._size < self._patience.bytes_a_second * seconds:
                raise _too_slow()
        return message


def _too_slow() -> RefusedRequestError:
    return RefusedRequestError(
        HTTPStatus.REQUEST_TIMEOUT, "the body stopped coming, or comes too slowly; send it again"
    )
