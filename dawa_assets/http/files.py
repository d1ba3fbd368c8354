"""Files of the bucket, for those who may see their artist: a fresh signed link, or the bytes where there is none.

What is sent comes from strangers: nothing of it is shown as a page, whatever it claims to be.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from pathlib import PurePosixPath
from typing import Annotated, BinaryIO
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from dawa_assets.http.access import EVERYBODY, MAY_BE_NAMED, identity_of
from dawa_assets.http.errors import RefusedRequestError, errors
from dawa_assets.http.service import Service, service_of
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_items import hash_of_audio
from resources.bucket.base import Bucket
from resources.bucket.keys import check_key
from resources.errors import ObjectNotFoundError
from resources.ports import Ports

router = APIRouter(tags=["files"])

_LINK_SECONDS = 300
_CHUNK = 1 << 18
_MAX_PICTURE_BYTES = 1 << 25  # ours have less than a thirtieth of it
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_SHOWN = {
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".wave": "audio/wav",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".png": "image/png",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
"""What a browser may show in place, and as what; all else is a download."""
_NOTHING = "default-src 'none'; sandbox"
_ONE_PLAYER = "default-src 'none'; media-src 'self'"
"""The page that a browser makes for an opened sound loads it again, from `self`: a sandboxed page has none."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "Accept-Ranges": "bytes",
}


@router.get(
    "/files/{key:path}",
    response_class=Response,
    dependencies=MAY_BE_NAMED,
    responses=errors(404, 416, 422, 503)
    | {
        200: {"description": "the file, where the bucket is a folder", "content": {"application/octet-stream": {}}},
        206: {"description": "the part that a Range asked for"},
        307: {"description": "where to fetch it, for some minutes"},
    },
)
async def file(
    key: str,
    request: Request,
    service: Annotated[Service, Depends(service_of)],
    expires: Annotated[str | None, Query(max_length=20)] = None,
    signature: Annotated[str | None, Query(max_length=100, description="of a link that this server made")] = None,
    decoded: Annotated[bool, Query(description="an item's audio as FLAC, in which every place is found")] = False,
    width: Annotated[int | None, Query(ge=16, le=2_000, description="a PNG, no wider than so many pixels")] = None,
) -> Response:
    """A file below `artists/{slug}/`, of an artist whom the caller may see, or by a link that this server made."""
    check_key(key)
    parts = key.split("/")
    if len(parts) < 3 or parts[0] != "artists":
        raise ObjectNotFoundError(f"{key[:200]}: no file that is given out; they lie below artists/")
    by_link = expires is not None and signature is not None
    if by_link:
        if not await service.quickly(service.links.is_good, key, expires, signature):
            raise RefusedRequestError(
                HTTPStatus.UNAUTHORIZED, "the link has run out, or is not one of this server's; ask for a new one"
            )
        caller = EVERYBODY
    else:
        caller = identity_of(request).require()
    artist = await service.quickly(caller.artist_called, service.ports.database, parts[1])
    if decoded:
        answer = await _sent_decoded(service, artist, key, request)
    elif width is not None and key.lower().endswith(".png"):
        opened = await service.reading(_open_scaled, service.ports.bucket, key, width)
        answer = _answer(service, opened, key.rpartition("/")[2], request)
    else:
        answer = await sent_file(service, key, request)
    if by_link:  # whoever has it may show it, on any page
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer


async def sent_file(service: Service, key: str, request: Request) -> Response:
    """Return a file that the caller may have: where to fetch it, or the bytes or the part of them that they asked for.

    Raises:
        ObjectNotFoundError: it is not there.
    """
    bucket = service.ports.bucket
    url = await service.reading(bucket.sign, key, _LINK_SECONDS)
    if not url.startswith("file:"):
        if PurePosixPath(key).suffix.lower() not in _SHOWN:
            name = key.rpartition("/")[2]
            url += f"{'&' if '?' in url else '?'}download={quote(name, safe='')}"
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return RedirectResponse(url, HTTPStatus.TEMPORARY_REDIRECT, headers)
    return _answer(service, await service.reading(_open, bucket, key), key.rpartition("/")[2], request)


async def _sent_decoded(service: Service, artist: Artist, key: str, request: Request) -> Response:
    from dawa_assets.items.waveforms import is_copied

    ports = service.ports
    sha256 = await service.quickly(_hash_of_audio, ports, artist, key)
    if await service.reading(is_copied, ports.settings, sha256):
        opened = await service.reading(_open_copy, ports, key, sha256)
    else:
        opened = await service.decoding(artist.id, _open_copy, ports, key, sha256)
    return _answer(service, opened, PurePosixPath(key).with_suffix(".flac").name, request)


router.head("/files/{key:path}", include_in_schema=False)(file)


@dataclass(frozen=True)
class _Opened:
    stream: BinaryIO
    size: int
    closing: ExitStack


def _open(bucket: Bucket, key: str) -> _Opened:
    return _opened(bucket.open(key))


def _open_copy(ports: Ports, key: str, sha256: str) -> _Opened:
    from dawa_assets.items.waveforms import open_copy

    return _opened(open_copy(ports, key, sha256))


def _open_scaled(bucket: Bucket, key: str, width: int) -> _Opened:
    from dawa_assets.plots.png_size import no_wider_than

    with bucket.open(key) as stream:
        png = stream.read(_MAX_PICTURE_BYTES)
    return _opened(closing(BytesIO(no_wider_than(png, width))))


def _opened(file: AbstractContextManager[BinaryIO]) -> _Opened:
    closing = ExitStack()
    stream = closing.enter_context(file)
    size = stream.seek(0, 2)
    stream.seek(0)
    return _Opened(stream, size, closing)


def _hash_of_audio(ports: Ports, artist: Artist, key: str) -> str:
    with ports.database.transaction() as connection:
        found = hash_of_audio(connection, artist.id, key)
    if found is None:
        raise ObjectNotFoundError(f"{key}: is no audio of an item that was taken in; only that is decoded")
    return found


def _answer(service: Service, opened: _Opened, name: str, request: Request) -> Response:
    shown = _SHOWN.get(PurePosixPath(name).suffix.lower())
    start, end, status = 0, opened.size, HTTPStatus.OK
    headers = dict(_HEADERS)
    headers["Content-Security-Policy"] = _ONE_PLAYER if shown and shown.startswith("audio/") else _NOTHING
    headers["Content-Disposition"] = f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(name, safe='')}"
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted and any(wanted.groups()) and "if-range" not in request.headers:
        start, end = _part(wanted, opened.size)
        if start >= end:
            opened.closing.close()
            headers = {"Content-Range": f"bytes */{opened.size}"}
            refusal = RefusedRequestError(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "the file is not as long as that; ask for less of it"
            )
            refusal.headers = headers
            raise refusal
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{opened.size}"
        status = HTTPStatus.PARTIAL_CONTENT
    headers["Content-Length"] = str(end - start)
    length = 0 if request.method == "HEAD" else end - start
    opened.stream.seek(start)
    media_type = shown or "application/octet-stream"
    return _Streamed(opened, _pieces(service, opened, length), status, headers, media_type)


def _part(wanted: re.Match[str], size: int) -> tuple[int, int]:
    first, last = wanted.groups()
    if not first:
        return max(size - int(last), 0), size if int(last) else 0
    return int(first), min(int(last) + 1, size) if last else size


async def _pieces(service: Service, opened: _Opened, left: int) -> AsyncIterator[bytes]:
    while left and (piece := await service.reading(opened.stream.read, min(_CHUNK, left))):
        left -= len(piece)
        yield piece


class _Streamed(StreamingResponse):
    """A file on its way; closed when that ends, however it ends."""

    def __init__(
        self, opened: _Opened, pieces: AsyncIterator[bytes], status: int, headers: dict[str, str], media_type: str
    ) -> None:
        super().__init__(pieces, status, headers, media_type)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._opened.closing.close()
