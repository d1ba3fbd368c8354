"""Items: what they are, their audio and its waveform, their texts, leaving them out and taking them in again."""

from typing import Annotated
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from dawa_assets.artists.paths import is_own
from dawa_assets.errors import UnknownItemError
from dawa_assets.http.access import CallerOf
from dawa_assets.http.api.common import ArtistOf, author_of, item_of
from dawa_assets.http.api.item_messages import (
    AcceptAnswer,
    AcceptRequest,
    CheckAnswer,
    CheckRequest,
    EditAnswer,
    EditRequest,
    ExcludeRequest,
    ExclusionAnswer,
    IncludeRequest,
    ItemAnswer,
    ItemsAnswer,
    ItemWithTexts,
    LoudnessAnswer,
    RegenerateAnswer,
    RuleAnswer,
    TrainedOnAnswer,
    WaveformAnswer,
)
from dawa_assets.http.errors import errors
from dawa_assets.http.files import sent_file
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_items import ShownItem, shown_items
from resources.ports import Ports

router = APIRouter(tags=["items"])

_MAX_POINTS = 8_192


@router.get("/api/artists/{artist_id}/items", responses=errors(404, 503))
async def items(artist: ArtistOf, service: ServiceOf) -> ItemsAnswer:
    """List an artist's items, oldest first."""

    def look() -> ItemsAnswer:
        with service.ports.database.transaction() as connection:
            found = shown_items(connection, artist.id)
        return ItemsAnswer(items=[ItemAnswer.of(service, artist, item) for item in found])

    return await service.quickly(look)


@router.get("/api/artists/{artist_id}/items/{item_id}", responses=errors(404, 503))
async def item(item_id: UUID, artist: ArtistOf, service: ServiceOf) -> ItemWithTexts:
    """Show an item with every text that it had, and who wrote each."""

    def look() -> ItemWithTexts:
        from dawa_assets.tables.item_lookup import texts_of_item

        shown = item_of(service.ports, artist, item_id)
        with service.ports.database.transaction() as connection:
            texts = texts_of_item(connection, artist.id, shown.id)
        return ItemWithTexts.with_texts(service, artist, shown, texts)

    return await service.quickly(look)


@router.get(
    "/api/artists/{artist_id}/items/{item_id}/audio",
    response_class=Response,
    responses=errors(404, 416, 503)
    | {
        200: {"description": "the audio, where the bucket is a folder", "content": {"audio/wav": {}}},
        206: {"description": "the part that a Range asked for"},
        307: {"description": "where to fetch it, for some minutes"},
    },
)
async def audio(item_id: UUID, artist: ArtistOf, service: ServiceOf, request: Request) -> Response:
    """Send an item's audio, or the part that a Range asks for."""
    key = await service.quickly(_audio_of, service.ports, artist, item_id)
    return await sent_file(service, key[0], request)


@router.get("/api/artists/{artist_id}/items/{item_id}/waveform", responses=errors(404, 422, 503))
async def waveform(
    item_id: UUID,
    artist: ArtistOf,
    service: ServiceOf,
    start: Annotated[float | None, Query(alias="from", ge=0, le=6 * 3600, allow_inf_nan=False)] = None,
    end: Annotated[float | None, Query(alias="to", ge=0, le=6 * 3600, allow_inf_nan=False)] = None,
    points: Annotated[int, Query(ge=1, le=_MAX_POINTS)] = 2_000,
) -> WaveformAnswer:
    """Give a stretch of an item's waveform as numbers, and how loud the whole of it is.

    The first call for a content decodes it from end to end; what it measures is kept.
    """
    from dawa_assets.items.waveforms import is_measured

    key, sha256 = await service.quickly(_audio_of, service.ports, artist, item_id)
    if await service.reading(is_measured, service.ports.settings, sha256):
        return await service.reading(_waveform, service.ports, key, sha256, start, end, points)
    return await service.decoding(artist.id, _waveform, service.ports, key, sha256, start, end, points)


@router.put("/api/artists/{artist_id}/items/{item_id}/text", responses=errors(404, 409, 503))
async def edit(item_id: UUID, body: EditRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf) -> EditAnswer:
    """Give an item a person's text, which no model replaces; rules that it breaks all the same are said."""

    def save() -> EditAnswer:
        from dawa_assets.prompting.edit import edit_prompt

        ports = service.ports
        item_of(ports, artist, item_id)
        author = author_of(caller, body.author)
        done = edit_prompt(
            ports.database, str(item_id), body.text, author=author, artist=artist.slug, seen=body.seen_text
        )
        return EditAnswer(
            changed=done.changed,
            before=done.before,
            after=done.after,
            warnings=done.warnings,
            item=_shown(service, artist, item_id),
        )

    return await service.saving(save)


@router.post("/api/artists/{artist_id}/items/{item_id}/regenerate", responses=errors(404, 502, 503))
async def regenerate(item_id: UUID, artist: ArtistOf, service: ServiceOf) -> RegenerateAnswer:
    """Have the model write another text for an item, now; a person's text makes way for it."""

    def write() -> RegenerateAnswer:
        from dawa_assets.prompting.rewrite import rewrite_item

        item_of(service.ports, artist, item_id)
        done = rewrite_item(service.ports, artist, item_id)
        return RegenerateAnswer(**vars(done), item=_shown(service, artist, item_id))

    return await service.prompting(artist.id, write)


@router.post("/api/artists/{artist_id}/check-text", responses=errors(404, 503))
async def check(body: CheckRequest, artist: ArtistOf, service: ServiceOf) -> CheckAnswer:
    """Hold a text against the rules of a set or an item, while it is being written. Nothing is stored."""

    def look() -> CheckAnswer:
        from dawa_assets.prompting.check import check_text

        done = check_text(service.ports.database, artist, body.text, parse_id=body.parse_id, item_id=body.item_id)
        rules = [RuleAnswer(name=rule.name, kept=not rule.reason, reason=rule.reason or None) for rule in done.rules]
        return CheckAnswer(rules=rules, refusal=done.refusal, bpm_line=done.bpm_line)

    return await service.quickly(look)


@router.post("/api/artists/{artist_id}/items/{item_id}/exclude", responses=errors(404, 503))
async def exclude(
    item_id: UUID, body: ExcludeRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf
) -> ExclusionAnswer:
    """Leave an item out of the next datasets and trainings; adapters that were trained on it are named."""
    author = author_of(caller, body.author)
    return await service.saving(_set_excluded, service, artist, item_id, True, body.reason, author)


@router.post("/api/artists/{artist_id}/items/{item_id}/include", responses=errors(404, 503))
async def include(
    item_id: UUID, body: IncludeRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf
) -> ExclusionAnswer:
    """Take an item in again that was left out."""
    author = author_of(caller, body.author)
    return await service.saving(_set_excluded, service, artist, item_id, False, "", author)


@router.post("/api/artists/{artist_id}/items/{item_id}/accept", responses=errors(404, 409, 503))
async def accept(
    item_id: UUID, body: AcceptRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf
) -> AcceptAnswer:
    """Use an item in spite of what was found of its audio; it holds for this audio, and who said so and why is kept."""

    def save() -> AcceptAnswer:
        from dawa_assets.items.acceptances import set_accepted

        item_of(service.ports, artist, item_id)
        done = set_accepted(
            service.ports.database,
            str(item_id),
            body.finding,
            accepted=not body.withdraw,
            reason=body.reason,
            author=author_of(caller, body.author),
            artist=artist.slug,
        )
        return AcceptAnswer(changed=done.changed, item=_shown(service, artist, item_id))

    return await service.saving(save)


def _set_excluded(
    service: Service, artist: Artist, item_id: UUID, excluded: bool, reason: str, author: str
) -> ExclusionAnswer:
    from dawa_assets.items.exclusions import set_excluded

    item_of(service.ports, artist, item_id)
    changes, trained = set_excluded(
        service.ports.database, [str(item_id)], excluded=excluded, author=author, reason=reason, artist=artist.slug
    )
    return ExclusionAnswer(
        changed=changes[0].changed,
        item=_shown(service, artist, item_id),
        trained_on=[
            TrainedOnAnswer(run_id=lora.run, model_name=lora.model_name, is_published=lora.published)
            for lora in trained
        ],
    )


def _shown(service: Service, artist: Artist, item_id: UUID) -> ItemAnswer:
    return ItemAnswer.of(service, artist, item_of(service.ports, artist, item_id))


def _audio_of(ports: Ports, artist: Artist, item_id: UUID) -> tuple[str, str | None]:
    """Return the key of an item's audio, and its hash as far as it is known."""
    shown: ShownItem = item_of(ports, artist, item_id)
    path = shown.audio_path
    if path is None or not is_own(artist.slug, path):
        raise UnknownItemError(f"item {shown.name}: has no audio; upload its bounce")
    return path, shown.audio_hash


def _waveform(
    ports: Ports, key: str, sha256: str | None, start: float | None, end: float | None, points: int
) -> WaveformAnswer:
    from dawa_assets.items.waveforms import waveform_of
    from modal_app.audio.waveform import in_window

    found, measured = waveform_of(ports, key, sha256)
    begin = min(start or 0.0, measured.seconds)
    until = max(min(measured.seconds if end is None else end, measured.seconds), begin)
    window = (begin, until, points)
    return WaveformAnswer(
        sha256=found,
        seconds=measured.seconds,
        sample_rate=measured.sample_rate,
        channels=measured.channels,
        start=begin,
        end=until,
        points=points,
        low=in_window(measured.low, *window, np.minimum).tolist(),
        high=in_window(measured.high, *window, np.maximum).tolist(),
        rms=in_window(measured.rms, *window, np.add).tolist(),
        loudness=LoudnessAnswer(**vars(measured.loudness)),
    )
