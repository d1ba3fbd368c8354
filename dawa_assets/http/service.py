"""What every route needs: the ports, who may, the desk for jobs, and threads for work that would hold up the server.

Work that blocks runs in threads of three kinds, so that many who wait for one kind hold up nobody else: looking
something up, one artist's work under a lease, and reading files. Their numbers bound the connections to the database.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import Request

from modal_app.http.desk import Desk
from modal_app.http.options import WebOptions
from modal_app.http.work import InThread
from resources.ports import Ports

if TYPE_CHECKING:
    from dawa_assets.http.access import Access
    from dawa_assets.http.links import Links

T = TypeVar("T")

_LOOK_UPS, _WORK, _FILES = 6, 4, 12
_Turn = tuple[UUID, str]


@dataclass
class Service:
    """One server's parts. `ports` wait for other processes no longer than a client does."""

    ports: Ports
    access: "Access"
    links: "Links"
    desk: Desk
    web: WebOptions
    jobs: InThread = field(default_factory=lambda: InThread(8))
    turns: "Turns" = field(default_factory=lambda: Turns())
    look_ups: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_LOOK_UPS))
    work: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_WORK))
    files: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_FILES))

    async def quickly(self, look_up: Callable[..., T], *given: object) -> T:
        """Look something up: one connection, a moment."""
        return await anyio.to_thread.run_sync(functools.partial(look_up, *given), limiter=self.look_ups)

    async def working(self, artist_id: UUID, step: str, do: Callable[..., T], *given: object) -> T:
        """Do one step of an artist under its lease, one after the other: none holds a thread to wait for another.

        A client that leaves does not stop it, and the next of the same artist waits until it has ended.
        """
        async with self.turns.of((artist_id, step)):
            return await anyio.to_thread.run_sync(functools.partial(do, *given), limiter=self.work)

    async def reading(self, do: Callable[..., T], *given: object) -> T:
        """Read or write files, or decode what was sent."""
        return await anyio.to_thread.run_sync(functools.partial(do, *given), limiter=self.files)


class Turns:
    """One at a time for each artist and step; what nobody waits for takes no room."""

    def __init__(self) -> None:
        self._locks: dict[_Turn, asyncio.Lock] = {}
        self._wanted: Counter[_Turn] = Counter()

    @asynccontextmanager
    async def of(self, turn: _Turn) -> AsyncIterator[None]:
        """The artist's turn at a step, for the length of the block."""
        lock = self._locks.setdefault(turn, asyncio.Lock())
        self._wanted[turn] += 1
        try:
            async with lock:
                yield
        finally:
            self._wanted[turn] -= 1
            if not self._wanted[turn]:
                del self._wanted[turn], self._locks[turn]


def waiting_no_longer_than(ports: Ports, seconds: float) -> Ports:
    """The ports with settings by which a lease is waited for no longer than so."""
    wait = min(ports.settings.lease_wait_seconds, seconds)
    return replace(ports, settings=ports.settings.model_copy(update={"lease_wait_seconds": wait}))


def service_of(request: Request) -> Service:
    """The service of a request's app."""
    service: Service = request.app.state.service
    return service
