"""Artists, and what each has: Live Sets with their badges, and one set with all that is known of it."""

from typing import Annotated

from fastapi import APIRouter, Path

from dawa_assets.http.access import CallerOf
from dawa_assets.http.api.common import ArtistOf
from dawa_assets.http.api.item_messages import ItemAnswer
from dawa_assets.http.api.library_messages import (
    ArtistAnswer,
    ArtistsAnswer,
    EntryAnswer,
    LibraryAnswer,
    LiveSetAnswer,
    all_badges,
)
from dawa_assets.http.errors import errors
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.library.live_set import show_live_set
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_items import shown_items
from dawa_assets.tables.library_sets import artists_seen_by, entries_of

router = APIRouter(tags=["library"])
ParseIdInPath = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


@router.get("/api/artists", responses=errors(503))
async def artists(caller: CallerOf, service: ServiceOf) -> ArtistsAnswer:
    """List the artists that the caller may see, by name, with the number of Live Sets by badge."""

    def look() -> ArtistsAnswer:
        with service.ports.database.transaction() as connection:
            lines = artists_seen_by(connection, caller.user)
        return ArtistsAnswer(artists=[ArtistAnswer.of(line) for line in lines])

    return await service.quickly(look)


@router.get("/api/artists/{artist_id}/live-sets", responses=errors(404, 503))
async def live_sets(artist: ArtistOf, service: ServiceOf) -> LibraryAnswer:
    """List an artist's Live Sets, the newest first; a badge says how far each is, a reason why it is no further."""
    return await service.quickly(_library, service, artist)


@router.get("/api/artists/{artist_id}/live-sets/{parse_id}", responses=errors(404, 503))
async def live_set(parse_id: ParseIdInPath, artist: ArtistOf, service: ServiceOf) -> LiveSetAnswer:
    """Show a Live Set: its facts, when its bars and locators sound, its items, and what prompts are written from."""

    def look() -> LiveSetAnswer:
        shown = show_live_set(service.ports, artist, parse_id)
        with service.ports.database.transaction() as connection:
            items = shown_items(connection, artist.id, shown.entry.item_ids)
        return LiveSetAnswer.of(service, artist, shown, [ItemAnswer.of(service, artist, item) for item in items])

    return await service.quickly(look)


def _library(service: Service, artist: Artist) -> LibraryAnswer:
    with service.ports.database.transaction() as connection:
        entries = entries_of(connection, artist.id)
    counted: dict[str, int] = {}
    for entry in entries:
        counted[entry.badge] = counted.get(entry.badge, 0) + 1
    return LibraryAnswer(
        entries=[EntryAnswer.of(service, artist, entry) for entry in entries], badges=all_badges(counted)
    )
