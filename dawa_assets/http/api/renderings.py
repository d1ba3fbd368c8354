"""Renderings to be heard side by side: asked for, shown as far as they are, brought to one loudness."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from dawa_assets.errors import UnknownItemError
from dawa_assets.http.api.common import ArtistOf, file_link
from dawa_assets.http.api.training_messages import (
    MissingAnswer,
    PartAnswer,
    RenderingAnswer,
    RenderingsAnswer,
    RenderRequest,
)
from dawa_assets.http.api.uploads import UploadIdInPath
from dawa_assets.http.errors import errors
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.renderings import Rendering

router = APIRouter(tags=["renderings"])

_MAX_COUNT = 100


@router.post(
    "/api/artists/{artist_id}/renderings",
    status_code=202,
    responses=errors(404, 503) | {200: {"model": RenderingAnswer, "description": "it was rendered before"}},
)
async def render(body: RenderRequest, artist: ArtistOf, service: ServiceOf, response: Response) -> RenderingAnswer:
    """Render a prompt by the base, the published adapter and a candidate; the same again is the same rendering."""

    def begin() -> Rendering:
        from dawa_assets.training.renderings import Asked, begin_rendering

        asked = Asked(body.prompt, body.seed, body.seconds, tuple(body.who), body.run_id, body.scale)
        return begin_rendering(service.ports, artist, asked)

    rendering = await service.saving(begin)
    if rendering.is_open:
        _go_on(service, artist)
    else:
        response.status_code = 200
    return _shown(service, artist, rendering)


@router.get("/api/artists/{artist_id}/renderings", responses=errors(404, 503))
async def renderings(artist: ArtistOf, service: ServiceOf) -> RenderingsAnswer:
    """List what was rendered, the latest first."""

    def look() -> list[Rendering]:
        from dawa_assets.tables.renderings import list_renderings

        with service.ports.database.transaction() as connection:
            return list_renderings(connection, artist.id, _MAX_COUNT)

    found = await service.quickly(look)
    if any(rendering.is_open for rendering in found):
        _go_on(service, artist)
    return RenderingsAnswer(renderings=[_shown(service, artist, rendering) for rendering in found])


@router.get("/api/artists/{artist_id}/renderings/{rendering_id}", responses=errors(404, 503))
async def rendering(rendering_id: UploadIdInPath, artist: ArtistOf, service: ServiceOf) -> RenderingAnswer:
    """Show a rendering as far as it is."""

    def look() -> Rendering | None:
        from dawa_assets.tables.renderings import find_rendering

        if not (rendering_id.isascii() and rendering_id.isprintable()):
            return None
        with service.ports.database.transaction() as connection:
            return find_rendering(connection, artist.id, rendering_id)

    found = await service.quickly(look)
    if found is None:
        raise UnknownItemError(
            f"rendering {rendering_id!r}: {artist.slug} has none of this id (any more); render it again"
        )
    if found.is_open:
        _go_on(service, artist)
    return _shown(service, artist, found)


def _go_on(service: Service, artist: Artist) -> None:
    """Have what is open rendered, unless that is under way: also after whoever did it was killed."""

    def work() -> str:
        from dawa_assets.training.renderings import render_open

        return render_open(service.ports, artist)

    service.activities.start(artist.id, "renderings", work)


def _shown(service: Service, artist: Artist, rendering: Rendering) -> RenderingAnswer:
    heard = [part for part in rendering.parts if part.missing is None]
    quietest = min((part.lufs for part in heard if part.lufs is not None), default=None)
    parts = [
        PartAnswer(
            who=part.who,
            run_id=part.run_id,
            state="done" if part.key else "failed" if part.error else "queued",
            error=part.error,
            url=file_link(service, artist, part.key),
            lufs=part.lufs,
            true_peak_dbtp=part.true_peak_dbtp,
            gain_db=0.0 if quietest is None or part.lufs is None else round(quietest - part.lufs, 2),
        )
        for part in heard
    ]
    failed = [part.error for part in heard if part.error]
    return RenderingAnswer(
        id=rendering.id,
        state="running" if rendering.is_open else "failed" if len(failed) == len(heard) else "done",
        error=failed[0] if failed and not rendering.is_open else None,
        prompt=rendering.prompt,
        seed=rendering.seed,
        seconds=rendering.seconds,
        parts=parts,
        missing=[MissingAnswer(who=part.who, reason=part.missing) for part in rendering.parts if part.missing],
        created_at=rendering.created_at or datetime.now(UTC),
    )
