"""One look a second at how an artist's work stands, for all who ask within it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from dawa_assets.library.progress import Progress, progress_of
from dawa_assets.observability.status import artist_statuses
from dawa_assets.tables.artist_status import Notice
from dawa_assets.tables.artists import Artist
from resources.ports import Ports

_FRESH_SECONDS = 0.9
_MAX_KEPT = 500


@dataclass(frozen=True)
class Seen:
    """What was seen, and when by the process's clock."""

    at: float
    progress: Progress
    notices: list[Notice]


class ProgressWatch:
    """To be used from one event loop. What waits is looked at only when something changed."""

    def __init__(self) -> None:
        self._seen: dict[UUID, Seen] = {}
        self._locks: dict[UUID, asyncio.Lock] = {}

    async def look(self, in_thread: Callable[..., Awaitable[Seen]], ports: Ports, artist: Artist) -> Seen:
        """Return how it stands, at most a second ago."""
        async with self._locks.setdefault(artist.id, asyncio.Lock()):
            seen = self._seen.get(artist.id)
            if seen is None or time.monotonic() - seen.at > _FRESH_SECONDS:
                seen = await in_thread(_look, ports, artist, seen)
                self._seen.pop(artist.id, None)
                self._seen[artist.id] = seen
                self._forget()
        return seen

    def _forget(self) -> None:
        while len(self._seen) > _MAX_KEPT:
            gone = next(iter(self._seen))
            del self._seen[gone]
            if not self._locks[gone].locked():
                del self._locks[gone]


def _look(ports: Ports, artist: Artist, before: Seen | None) -> Seen:
    progress = progress_of(ports.database, artist, None if before is None else before.progress)
    if before is not None and before.progress.version == progress.version:
        return Seen(time.monotonic(), progress, before.notices)
    notices = [notice for status in artist_statuses(ports, artist.slug) for notice in status.notices]
    return Seen(time.monotonic(), progress, notices)
