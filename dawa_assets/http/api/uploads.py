"""Files on their way in: uploads in parts, saving an uploaded pair, what waits for its set, taking in the inbox."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.requests import ClientDisconnect

from dawa_assets.http.access import CallerOf
from dawa_assets.http.api.common import ArtistOf, item_of
from dawa_assets.http.api.item_messages import ItemAnswer
from dawa_assets.http.api.upload_messages import (
    BouncesAnswer,
    FileAnswer,
    InboxUpload,
    PairByHand,
    PairedAnswer,
    PairRequest,
    RejectedUpload,
    StartedAnswer,
    UploadAnswer,
    UploadRequest,
    UploadsAnswer,
    WaitingBounce,
)
from dawa_assets.http.errors import RefusedRequestError, errors
from dawa_assets.http.messages import SaveAnswer
from dawa_assets.http.saving import pair_of, saved_answer
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.intake import part_uploads
from dawa_assets.intake.announced_files import GivenFile
from dawa_assets.intake.part_uploads import MAX_FILES, PART_BYTES
from dawa_assets.items.save import save_pair
from dawa_assets.tables.artists import Artist
from modal_app.errors import InputError
from resources.ports import Ports

router = APIRouter(tags=["uploads"])

_PART_PATH = re.compile(r"/api/(artists/[^/]+/)?uploads/[^/]+/files/[^/]+")
_CHUNK = 1 << 20
UploadIdInPath = Annotated[str, Path(max_length=60)]
FileInPath = Annotated[int, Path(ge=1, le=MAX_FILES)]
BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def most_of_a_part(path: str) -> int | None:
    """Return how many bytes a request to this path may bring, where it is one that brings a part of a file."""
    return PART_BYTES if _PART_PATH.fullmatch(path) else None


@router.post("/api/artists/{artist_id}/uploads", status_code=201, responses=errors(404, 503))
async def begin(body: UploadRequest, artist: ArtistOf, service: ServiceOf) -> UploadAnswer:
    """Announce files: those that can't be used are refused at once, the others are to be sent in parts."""
    given = [GivenFile(file.path, file.size, file.type) for file in body.files]
    upload = await service.reading(part_uploads.begin, service.ports, artist, body.purpose, given)
    return UploadAnswer.of(upload)


@router.get("/api/artists/{artist_id}/uploads", responses=errors(404, 503))
async def uploads(artist: ArtistOf, service: ServiceOf) -> UploadsAnswer:
    """List the artist's uploads that are not closed, to go on with them."""
    found = await service.reading(part_uploads.list_open, service.ports.settings, artist)
    return UploadsAnswer(uploads=[UploadAnswer.of(upload) for upload in found])


@router.get("/api/artists/{artist_id}/uploads/{upload_id}", responses=errors(404, 503))
async def upload(upload_id: UploadIdInPath, artist: ArtistOf, service: ServiceOf) -> UploadAnswer:
    """Show how much of each file is there, with links that are good for another while."""
    return UploadAnswer.of(await service.reading(part_uploads.look, service.ports, artist, upload_id))


@router.delete("/api/artists/{artist_id}/uploads/{upload_id}", status_code=204, responses=errors(404, 503))
async def cancel(upload_id: UploadIdInPath, artist: ArtistOf, service: ServiceOf) -> Response:
    """Forget an upload, and what arrived of it."""
    await service.reading(part_uploads.cancel, service.ports.settings, artist, upload_id)
    return Response(status_code=204)


@router.put(
    "/api/artists/{artist_id}/uploads/{upload_id}/files/{number}",
    responses=errors(404, 409, 503),
    openapi_extra=BYTES,
)
async def send_part(
    upload_id: UploadIdInPath,
    number: FileInPath,
    request: Request,
    artist: ArtistOf,
    service: ServiceOf,
    offset: Annotated[int, Query(ge=0, le=2**40, description="where in the file the part begins")],
) -> FileAnswer:
    """Send the next part of a file: raw bytes that begin where it ends here. What arrives of a part that is cut stays.

    With its last byte audio is decoded; what can't be is refused.
    """
    settings = service.ports.settings
    waiting = bytearray()
    try:
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= _CHUNK:
                piece, waiting = bytes(waiting), bytearray()
                offset = await service.reading(part_uploads.receive, settings, artist, upload_id, number, offset, piece)
    except (ClientDisconnect, RefusedRequestError):  # the line was cut, or fell silent
        await service.reading(part_uploads.receive, settings, artist, upload_id, number, offset, bytes(waiting))
        raise
    await service.reading(part_uploads.receive, settings, artist, upload_id, number, offset, bytes(waiting))
    return FileAnswer.of(await service.reading(part_uploads.settle, settings, artist, upload_id, number))


@router.post("/api/artists/{artist_id}/uploads/{upload_id}/complete", responses=errors(404, 409, 503))
async def complete(upload_id: UploadIdInPath, artist: ArtistOf, service: ServiceOf) -> UploadAnswer:
    """Close an upload: an inbox's files lie in the inbox then. Asked twice, it is done once."""
    return UploadAnswer.of(await service.saving(part_uploads.complete, service.ports, artist, upload_id))


@router.post("/api/artists/{artist_id}/pairs", response_model_exclude_none=True, responses=errors(404, 409, 422, 503))
async def save(body: PairRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf) -> SaveAnswer:
    """Save uploaded audio and a text as a ready item, as `/api/train/save` does; the same again is the same item."""
    item = await service.saving(_save, service.ports, artist, body, caller.user)
    return await service.quickly(saved_answer, service.ports, artist, item)


@router.post("/api/artists/{artist_id}/intake", status_code=202, responses=errors(404, 503))
async def intake(artist: ArtistOf, service: ServiceOf) -> StartedAnswer:
    """Take in what lies in the inbox: sets, then bounces, paired by the pipeline's rules. One at a time."""
    service.activities.start(artist.id, "intake", lambda: _take_in(service.ports, artist))
    return StartedAnswer()


@router.get("/api/artists/{artist_id}/bounces", responses=errors(404, 503))
async def bounces(artist: ArtistOf, service: ServiceOf) -> BouncesAnswer:
    """Show which audio waits for its set and why, what lies in the inbox, and what was rejected."""

    def look() -> BouncesAnswer:
        from dawa_assets.library.bounces import arrivals

        found = arrivals(service.ports, artist)
        return BouncesAnswer(
            waiting=[WaitingBounce(**vars(each)) for each in found.waiting],
            inbox=[InboxUpload(**vars(each)) for each in found.inbox],
            rejected=[RejectedUpload(**vars(each)) for each in found.rejected],
        )

    return await service.quickly(look)


@router.post("/api/artists/{artist_id}/bounces/{bounce_id}/pair", responses=errors(404, 409, 422, 503))
async def pair(bounce_id: UUID, body: PairByHand, artist: ArtistOf, service: ServiceOf) -> PairedAnswer:
    """Give a waiting bounce to an item, or to the item of a Live Set, whatever it is called."""
    return await service.saving(_pair, service, artist, bounce_id, body)


def _save(ports: Ports, artist: Artist, body: PairRequest, user: UUID | None) -> UUID:
    audio = part_uploads.whole_file(ports.settings, artist, body.upload_id, body.file)
    item = save_pair(ports, artist, pair_of(body, user), audio)
    part_uploads.mark_used(ports.settings, artist, body.upload_id)
    return item


def _take_in(ports: Ports, artist: Artist) -> str:
    from dawa_assets.intake.live_sets import take_in_live_sets
    from dawa_assets.items.update import update_training_items

    sets = take_in_live_sets(ports, artist.slug)
    items = update_training_items(ports, artist.slug)
    return f"{sets.headline}; {items.headline}"


def _pair(service: Service, artist: Artist, bounce_id: UUID, body: PairByHand) -> PairedAnswer:
    from dawa_assets.library.bounces import item_of_set, pair_by_hand

    ports, item_id = service.ports, body.item_id
    if (item_id is None) == (body.parse_id is None):
        raise InputError("itemId, parseId: both or none are there; send one of the two")
    if item_id is None:
        item_id = item_of_set(ports, artist, body.parse_id or "")
    pair_by_hand(ports, artist, bounce_id, item_id)
    return PairedAnswer(item=ItemAnswer.of(service, artist, item_of(ports, artist, item_id)))
