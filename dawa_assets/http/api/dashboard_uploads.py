"""Uploads from a dashboard: `/api/uploads`, for whichever artist the caller may see; the bytes go straight to Storage.

The same uploads as those below `/api/artists/{artistId}/uploads` (`uploads.py`), without the artist in the address.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from dawa_assets.errors import UnknownArtistError
from dawa_assets.http.access import CallerOf
from dawa_assets.http.api import uploads
from dawa_assets.http.api.upload_messages import AnnouncedFile, FileAnswer, UploadAnswer, UploadId
from dawa_assets.http.api.uploads import BYTES, FileInPath, UploadIdInPath
from dawa_assets.http.errors import errors
from dawa_assets.http.messages import Message
from dawa_assets.http.service import ServiceOf
from dawa_assets.intake import part_uploads
from dawa_assets.intake.announced_files import GivenFile
from dawa_assets.intake.part_uploads import MAX_FILES
from dawa_assets.library.uploaded_files import SentUpload, State, sent_uploads
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_sets import artists_seen_by
from modal_app.errors import InputError

router = APIRouter(tags=["uploads"])

_MAX_ARTISTS = 20


class DashboardUpload(Message):
    """Begin an upload into an artist's inbox."""

    artist_id: UUID
    files: list[AnnouncedFile] = Field(min_length=1, max_length=MAX_FILES)


class SentFileAnswer(Message):
    """What became of a file: `open` is on its way, `arrived` in the inbox, `waiting` for its set.

    A file that is `taken` is in its place; `refused` and `rejected` ones have a reason.
    """

    path: str = Field(examples=["Song Project/song.wav"])
    size: int = Field(examples=[52_428_800])
    state: State
    reason: str | None = Field(examples=["fits no Live Set by its name"])
    item_id: UUID | None = Field(description="the item that has it")
    parse_id: str | None = Field(examples=["3f2a9c0b7d41"], description="of a Live Set, what it was read as")
    at: datetime | None = Field(description="since when it is so; null while it is on its way")


class SentUploadAnswer(Message):
    """An upload of the caller's; `isClosed`: nothing more is expected of it."""

    id: UploadId
    artist_id: UUID
    is_closed: bool
    files: list[SentFileAnswer]

    @classmethod
    def of(cls, upload: SentUpload) -> "SentUploadAnswer":
        """Return as it stands."""
        files = [SentFileAnswer(**vars(file)) for file in upload.files]
        return cls(id=upload.id, artist_id=upload.artist.id, is_closed=upload.is_closed, files=files)


class SentUploadsAnswer(Message):
    """The latest uploads first, two hundred at most."""

    uploads: list[SentUploadAnswer]


async def _artist_of_upload(upload_id: UploadIdInPath, caller: CallerOf, service: ServiceOf) -> Artist:
    ports = service.ports
    artist_id = await service.reading(part_uploads.artist_of, ports.settings, upload_id)
    try:
        return await service.quickly(caller.artist, ports.database, artist_id)
    except UnknownArtistError:  # not even whose it is
        raise part_uploads.unknown(upload_id) from None


ArtistOfUpload = Annotated[Artist, Depends(_artist_of_upload)]


@router.post("/api/uploads", status_code=201, responses=errors(404, 503))
async def begin(body: DashboardUpload, caller: CallerOf, service: ServiceOf) -> UploadAnswer:
    """Announce Live Sets and bounces: each has a link straight to Storage, or (`link: null`) sends its parts here.

    What can't be used is refused by itself, with its reason.
    """
    artist = await service.quickly(caller.artist, service.ports.database, body.artist_id)
    given = [GivenFile(file.path, file.size, file.type) for file in body.files]
    return UploadAnswer.of(await service.reading(part_uploads.begin, service.ports, artist, "inbox", given))


@router.get("/api/uploads", responses=errors(404, 503))
async def sent(
    caller: CallerOf,
    service: ServiceOf,
    artist_id: Annotated[UUID | None, Query(alias="artistId", description="of this artist alone")] = None,
) -> SentUploadsAnswer:
    """List what was sent for the caller's artists, and what became of each file."""
    ports = service.ports

    def look() -> SentUploadsAnswer:
        if artist_id is not None:
            return _answer([caller.artist(ports.database, artist_id)])
        with ports.database.transaction() as connection:
            seen = [line.id for line in artists_seen_by(connection, caller.user)]
        if len(seen) > _MAX_ARTISTS:
            raise InputError(f"artistId: there are {len(seen):,} artists whom you may see; name one of them")
        return _answer([caller.artist(ports.database, each) for each in seen])

    def _answer(artists: list[Artist]) -> SentUploadsAnswer:
        return SentUploadsAnswer(uploads=[SentUploadAnswer.of(upload) for upload in sent_uploads(ports, artists)])

    return await service.reading(look)


@router.get("/api/uploads/{upload_id}", responses=errors(404, 503))
async def upload(upload_id: UploadIdInPath, artist: ArtistOfUpload, service: ServiceOf) -> UploadAnswer:
    """Show how much of each file is there, with links that are good for another while."""
    return await uploads.upload(upload_id, artist, service)


@router.delete("/api/uploads/{upload_id}", status_code=204, responses=errors(404, 503))
async def cancel(upload_id: UploadIdInPath, artist: ArtistOfUpload, service: ServiceOf) -> Response:
    """Forget an upload, and what arrived of it here."""
    return await uploads.cancel(upload_id, artist, service)


@router.put("/api/uploads/{upload_id}/files/{number}", responses=errors(404, 409, 503), openapi_extra=BYTES)
async def send_part(
    upload_id: UploadIdInPath,
    number: FileInPath,
    request: Request,
    artist: ArtistOfUpload,
    service: ServiceOf,
    offset: Annotated[int, Query(ge=0, le=2**40, description="where in the file the part begins")],
) -> FileAnswer:
    """Send the next part of a file that has no link: raw bytes that begin where it ends here, 8 MiB at most."""
    return await uploads.send_part(upload_id, number, request, artist, service, offset)


@router.post("/api/uploads/{upload_id}/complete", responses=errors(404, 409, 503))
async def complete(upload_id: UploadIdInPath, artist: ArtistOfUpload, service: ServiceOf) -> UploadAnswer:
    """Close an upload when all of its files are there: it is looked at within seconds. Asked twice, it is done once."""
    return await uploads.complete(upload_id, artist, service)
