"""What runs for an artist, how far it is, and what waits: asked for, or sent whenever it changes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import Field
from sse_starlette import EventSourceResponse, ServerSentEvent

from dawa_assets.http.access import Caller, CallerOf
from dawa_assets.http.api.common import ArtistOf
from dawa_assets.http.api.library_messages import Badges, all_badges
from dawa_assets.http.errors import errors
from dawa_assets.http.messages import Message
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.tables.artists import Artist
from modal_app.errors import DawaError

router = APIRouter(tags=["progress"])

_RETRY_MILLISECONDS = 2_000
_ALLOWED_FOR = 15  # looks before it is asked again whether the caller may still see the artist


class StepAnswer(Message):
    """A step that somebody works on, on whatever machine."""

    step: str = Field(examples=["training"])
    since: datetime | None
    done: int | None = Field(examples=[40])
    total: int | None = Field(examples=[60])
    message: str | None = Field(examples=["step 40 of 60, loss 0.93"])
    seconds_left: float | None = Field(examples=[12.0])


class ActivityAnswer(Message):
    """Work that was started here, or what became of the last one of its kind."""

    name: str = Field(examples=["intake"])
    state: Literal["running", "done", "failed"]
    started_at: datetime
    ended_at: datetime | None
    headline: str | None = Field(examples=["2 taken in; 3/10 items ready"])
    error: str | None


class NoticeAnswer(Message):
    """Something that waits, failed or was rejected, and why."""

    what: str = Field(examples=["item"])
    name: str = Field(examples=["Midnight Drive Project/Midnight Drive"])
    reason: str = Field(examples=["waits for its bounce"])


class ProgressAnswer(Message):
    """How an artist's work stands; `version` changes with whatever lists show."""

    version: str
    ready: int = Field(examples=[3])
    exported: int = Field(examples=[4])
    total: int = Field(examples=[10])
    badges: Badges
    running: list[StepAnswer]
    activities: list[ActivityAnswer]
    waiting: list[NoticeAnswer]


@router.get("/api/artists/{artist_id}/progress", responses=errors(404, 503))
async def progress(artist: ArtistOf, service: ServiceOf) -> ProgressAnswer:
    """Tell what runs for an artist, at which step and how far, what waits, and whether lists changed."""
    return await _progress(service, artist)


@router.get(
    "/api/artists/{artist_id}/events",
    response_class=Response,
    responses=errors(404, 503)
    | {200: {"description": "`progress` events, each as GET …/progress answers", "content": {"text/event-stream": {}}}},
)
async def events(artist: ArtistOf, caller: CallerOf, service: ServiceOf) -> EventSourceResponse:
    """Send an artist's progress at once and whenever it changes, as server-sent events."""
    return EventSourceResponse(_follow(service, artist, caller), ping=15)


async def _follow(service: Service, artist: Artist, caller: Caller) -> AsyncIterator[ServerSentEvent]:
    last, looks = "", 0
    while True:
        try:
            looks += 1
            if looks % _ALLOWED_FOR == 0:
                await service.quickly(caller.artist, service.ports.database, artist.id)
            current = (await _progress(service, artist)).model_dump_json(by_alias=True)
        except DawaError:
            return  # whoever listens asks again, and is told why
        if current != last:
            last = current
            yield ServerSentEvent(data=current, event="progress", retry=_RETRY_MILLISECONDS)
        await asyncio.sleep(1)


async def _progress(service: Service, artist: Artist) -> ProgressAnswer:
    seen = await service.progress.look(service.quickly, service.ports, artist)
    now = seen.progress
    return ProgressAnswer(
        version=now.version,
        ready=now.ready,
        exported=now.exported,
        total=now.total,
        badges=all_badges(now.badges),
        running=[
            StepAnswer(
                step=step.step,
                since=step.since,
                done=step.done,
                total=step.total,
                message=step.message,
                seconds_left=step.seconds_left,
            )
            for step in now.running
        ],
        activities=[ActivityAnswer(**vars(activity)) for activity in service.activities.of(artist.id)],
        waiting=[NoticeAnswer(**vars(notice)) for notice in seen.notices],
    )
