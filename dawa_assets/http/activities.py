"""Work that a page starts and does not wait for: one of a kind at a time for an artist, and what became of the last.

Known to this process alone. What it does is safe to be killed anywhere: whoever comes next does it again.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import anyio.to_thread
from anyio import CapacityLimiter

from modal_app.errors import DawaError
from modal_app.web.error_responses import UNEXPECTED

log = logging.getLogger(__name__)

_BATCH_SIZE = 2
_MAX_KEPT = 2_000

Name = Literal["intake", "refresh-prompts", "renderings"]


@dataclass(frozen=True)
class Activity:
    """What was started, when, and how it stands; one line each of what came of it, or of why nothing did."""

    name: Name
    state: Literal["running", "done", "failed"]
    started_at: datetime
    ended_at: datetime | None = None
    headline: str | None = None
    error: str | None = None


class Activities:
    """All of this process; to be used from its event loop."""

    def __init__(self) -> None:
        self._known: dict[tuple[UUID, Name], Activity] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads: CapacityLimiter | None = None

    def start(self, artist_id: UUID, name: Name, work: Callable[[], str]) -> None:
        """Start it, unless it runs; `work` gives a headline."""
        known = self._known.get((artist_id, name))
        if known is not None and known.state == "running":
            return
        while len(self._known) >= _MAX_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known.pop((artist_id, name), None)
        self._known[artist_id, name] = Activity(name, "running", datetime.now(UTC))
        task = asyncio.create_task(self._run((artist_id, name), work))
        self._tasks.add(task)  # the loop itself holds tasks loosely
        task.add_done_callback(self._tasks.discard)

    def of(self, artist_id: UUID) -> list[Activity]:
        """Return the artist's, the latest start first."""
        found = [activity for (artist, _), activity in self._known.items() if artist == artist_id]
        return sorted(found, key=lambda activity: activity.started_at, reverse=True)

    async def _run(self, key: tuple[UUID, Name], work: Callable[[], str]) -> None:
        self._threads = self._threads or CapacityLimiter(_BATCH_SIZE)
        headline, error = None, None
        try:
            headline = await anyio.to_thread.run_sync(work, limiter=self._threads)
        except DawaError as refused:
            error = " ".join(str(refused).split())
        except Exception:
            # Nobody waits for it who could be told, and whatever went wrong, it no longer runs: as `running` it could
            # not be started again before the server is.
            log.exception("%s failed", key[1])
            error = UNEXPECTED
        began = self._known.get(key)
        if began is not None:
            state: Literal["done", "failed"] = "failed" if error else "done"
            self._known[key] = replace(began, state=state, ended_at=datetime.now(UTC), headline=headline, error=error)
