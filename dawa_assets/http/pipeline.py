"""The dashboard's three routes: write a prompt, save a pair, export what is ready. Thin calls into the domain."""

import functools
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from dawa_assets.artists.paths import own_object
from dawa_assets.http.access import CallerOf
from dawa_assets.http.errors import RefusedRequestError, errors
from dawa_assets.http.file_links import base_of
from dawa_assets.http.messages import (
    DatasetAnswer,
    ExportAnswer,
    ExportRequest,
    SaveAnswer,
    SaveRequest,
    SupersededItem,
    TrainAnswer,
    TrainRequest,
)
from dawa_assets.http.saving import pair_of, saved_answer
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.items.save import save_pair
from dawa_assets.tables.artists import Artist
from modal_app.errors import BadRequestError
from modal_app.web.body import LongText, decoded, limit_with_file, read_json, streamed_body
from modal_app.web.options import MAX_UPLOADED
from resources.ports import Ports

if TYPE_CHECKING:
    from dawa_assets.tables.datasets import Dataset

MAX_SAVED_BODY = limit_with_file(MAX_UPLOADED)
"""How many bytes the body of a save may have."""
_LINK_SECONDS = 24 * 3600

router = APIRouter(tags=["train mode"])


@router.post("/api/train", responses=errors(404, 502, 503))
async def train(body: TrainRequest, caller: CallerOf, service: ServiceOf) -> TrainAnswer:
    """Write the prompt of one Live Set, or give the one that was written for the same before. No item is changed."""
    from dawa_assets.prompting.single_prompt import known_prompt, write_single_prompt

    ports = service.ports
    artist = await service.quickly(caller.artist, ports.database, body.artist_id)
    asked = await service.quickly(known_prompt, ports, artist, body.parse_id)
    if asked is None:
        asked = await service.prompting(artist.id, write_single_prompt, ports, artist, body.parse_id)
    return TrainAnswer(prompt=asked.text, model=asked.model_name, version=asked.system_prompt_version)


@router.post(
    "/api/train/save",
    response_model_exclude_none=True,
    responses=errors(404, 415, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": SaveRequest.model_json_schema(by_alias=True)}},
        }
    },
)
async def save(request: Request, caller: CallerOf, service: ServiceOf) -> SaveAnswer:
    """Save a pair as a ready training item; its text is a person's, and no refresh replaces it.

    The same pair sent again is the same item. The format of the audio is told by its bytes.
    """
    async with streamed_body(request, MAX_SAVED_BODY) as file:
        body, long_texts = await service.reading(read_json, file, SaveRequest)
        artist = await service.quickly(caller.artist, service.ports.database, body.artist_id)
        item = await service.saving(_save, service.ports, artist, body, file, long_texts, caller.user)
    return await service.quickly(saved_answer, service.ports, artist, item)


@router.post("/api/train/export", response_model_exclude_none=True, responses=errors(404, 503))
async def export(body: ExportRequest, request: Request, caller: CallerOf, service: ServiceOf) -> ExportAnswer:
    """Put every ready item into one zip, and move them to `exported`. Nothing ready is an error (400).

    Asked for again before anything changed, it is the same zip again.
    """
    from dawa_assets.datasets.build import build_dataset

    ports = service.ports
    artist = await service.quickly(caller.artist, ports.database, body.artist_id)
    build = functools.partial(build_dataset, ports, artist.slug, new_items_only=True)
    report = await service.exporting(artist.id, build)
    if report.state == "nothing ready" or report.storage_path is None:
        left_out = report.failed + [(each.item, each.reason) for each in report.superseded if each.status == "ready"]
        why = f" ({left_out[0][0]}: {left_out[0][1]})" if left_out else ""
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, f"no ready training items to export{why}; save some first")
    url = await _link(service, request, report.storage_path)
    superseded = [
        SupersededItem(training_item_id=each.id, superseded_by=each.by_id, reason=f"{each.item} {each.reason}")
        for each in report.superseded
    ]
    return ExportAnswer(dataset_url=url, item_count=report.item_count, superseded=superseded or None)


@router.get("/api/train/dataset", responses=errors(404, 503))
async def dataset(
    artist_id: Annotated[UUID, Query(alias="artistId")], request: Request, caller: CallerOf, service: ServiceOf
) -> DatasetAnswer:
    """The artist's current dataset: the whole one that was built last, else the last export."""
    artist = await service.quickly(caller.artist, service.ports.database, artist_id)
    found, is_whole = await service.quickly(_current, service.ports, artist)
    is_there = functools.partial(own_object, service.ports.bucket, artist.slug)
    if found is None or await service.reading(is_there, found.storage_path) is None:
        raise RefusedRequestError(
            HTTPStatus.NOT_FOUND, f"{artist.slug}: there is no dataset yet; export one, or let the pipeline build it"
        )
    url = await _link(service, request, found.storage_path)
    return DatasetAnswer(dataset_url=url, item_count=found.item_count, sha256=found.sha256 or "", is_whole=is_whole)


def _current(ports: Ports, artist: Artist) -> tuple["Dataset | None", bool]:
    from dawa_assets.tables.datasets import current_dataset, last_export

    with ports.database.transaction() as connection:
        current = current_dataset(connection, artist.id)
        return current or last_export(connection, artist.id), current is not None


async def _link(service: Service, request: Request, key: str) -> str:
    """Where a file can be fetched for a day: by a link of the bucket's, or where nobody else could follow it, ours."""
    url = await service.reading(service.ports.bucket.sign, key, _LINK_SECONDS)
    if not url.startswith("file:"):
        return url
    return await service.reading(
        service.links.make, base_of(request, service.ports.settings.serve_url), key, _LINK_SECONDS
    )


def _save(
    ports: Ports, artist: Artist, body: SaveRequest, file: IO[bytes], long_texts: list[LongText], user: UUID | None
) -> UUID:
    with TemporaryDirectory(prefix="dawa-") as folder:
        audio = Path(folder) / "audio"
        try:
            decoded(file, body.audio_base64, long_texts, audio, MAX_UPLOADED)
        except BadRequestError as error:
            raise BadRequestError(error.status, str(error).replace("content_base64", "audioBase64")) from None
        return save_pair(ports, artist, pair_of(body, user), audio)
