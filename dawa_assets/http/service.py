"""What every route needs: the ports, who may, the queue of jobs, and threads for work that would hold up the server.

Work that blocks runs in threads of several kinds, so that many who wait for one kind hold up nobody else. Each thread
has one connection to the database at a time, those that read files none, two that mark audio: sixteen in all, which
fits a session pooler.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import Depends, Request

from dawa_assets.http.activities import Activities
from dawa_assets.http.progress_watch import ProgressWatch
from modal_app.web.job_queue import JobQueue
from modal_app.web.options import WebOptions
from modal_app.web.work import InThread
from resources.ports import Ports

if TYPE_CHECKING:
    from dawa_assets.http.access import Access
    from dawa_assets.http.file_links import Links

T = TypeVar("T")

_LOOK_UPS, _PROMPTS, _DATASETS, _SAVES, _FILES, _DECODINGS = 4, 4, 2, 4, 12, 2
_IDENTITIES, _UNAUTHENTICATED = 8, 4
_Turn = tuple[UUID, str]


@dataclass
class Service:
    """One server's parts. `ports` wait for other processes no longer than a client does."""

    ports: Ports
    access: "Access"
    links: "Links"
    job_queue: JobQueue
    web: WebOptions
    jobs: InThread = field(default_factory=lambda: InThread(8))
    activities: Activities = field(default_factory=Activities)
    progress: ProgressWatch = field(default_factory=ProgressWatch)
    turns: "PerArtistLocks" = field(default_factory=lambda: PerArtistLocks())
    look_ups: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_LOOK_UPS))
    prompts: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_PROMPTS))
    datasets: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_DATASETS))
    saves: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_SAVES))
    files: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_FILES))
    decodings: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_DECODINGS))
    identities: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_IDENTITIES))
    unauthenticated: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_UNAUTHENTICATED))
    """Of requests that are read before it is known who asks; not of threads."""

    async def identifying(self, check: Callable[..., T], *given: object) -> T:
        """Find out who asks; the project's keys may have to be fetched for it."""
        return await _in_thread(self.identities, check, *given)

    async def quickly(self, look_up: Callable[..., T], *given: object) -> T:
        """Look something up: a moment."""
        return await _in_thread(self.look_ups, look_up, *given)

    async def prompting(self, artist_id: UUID, ask: Callable[..., T], *given: object) -> T:
        """Have a prompt written, one after the other for an artist, as its lease would have it anyway.

        So nobody holds a thread to wait for another. A client that leaves stops nothing.
        """
        async with self.turns.of((artist_id, "prompts")):
            return await _in_thread(self.prompts, ask, *given)

    async def exporting(self, artist_id: UUID, build: Callable[..., T], *given: object) -> T:
        """Build a dataset, one after the other for an artist."""
        async with self.turns.of((artist_id, "dataset")):
            return await _in_thread(self.datasets, build, *given)

    async def saving(self, save: Callable[..., T], *given: object) -> T:
        """Decode what was sent, and store it with its rows."""
        return await _in_thread(self.saves, save, *given)

    async def reading(self, read: Callable[..., T], *given: object) -> T:
        """Read or write files, without the database."""
        return await _in_thread(self.files, read, *given)

    async def decoding(self, artist_id: UUID, decode: Callable[..., T], *given: object) -> T:
        """Decode a whole file, one after the other for an artist: an hour of music keeps a processor busy for long.

        Who waits for that holds no thread, so files that are at hand go on being read.
        """
        async with self.turns.of((artist_id, "audio")):
            return await _in_thread(self.decodings, decode, *given)


async def _in_thread(limiter: CapacityLimiter, do: Callable[..., T], *given: object) -> T:
    return await anyio.to_thread.run_sync(functools.partial(do, *given), limiter=limiter)


class PerArtistLocks:
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
    """Return the ports with settings by which a lease is waited for no longer than so."""
    wait = min(ports.settings.lease_wait_seconds, seconds)
    return replace(ports, settings=ports.settings.model_copy(update={"lease_wait_seconds": wait}))


def service_of(request: Request) -> Service:
    """Return the service of a request's app."""
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(service_of)]
"""The service, as routes take it."""
