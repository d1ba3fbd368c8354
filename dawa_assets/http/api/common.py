"""What the routes below `/api/artists/{artistId}` share: whose artist it is, who writes, links to their files."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from dawa_assets.artists.paths import is_own
from dawa_assets.errors import UnknownItemError
from dawa_assets.http.access import Caller, CallerOf
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_items import ShownItem, shown_items
from resources.ports import Ports

LINK_SECONDS = 12 * 3600
"""How long what a page shows can be loaded: a day's work, so that it need not ask again and again."""
SOMEBODY = "somebody with access to the server"


async def _artist(artist_id: UUID, caller: CallerOf, service: ServiceOf) -> Artist:
    return await service.quickly(caller.artist, service.ports.database, artist_id)


ArtistOf = Annotated[Artist, Depends(_artist)]
"""A route's parameter: the artist of its path, whom the caller may see (else 404)."""


def author_of(caller: Caller, given: str | None) -> str:
    """Return who is recorded for what the caller does: a signed-in user's id, else the name that was given."""
    if caller.user is not None:
        return str(caller.user)
    return (given or "").strip() or SOMEBODY


def file_link(service: Service, artist: Artist, key: str | None) -> str | None:
    """Return a link of this server to one of the artist's files, relative to it.

    None for a key that is none of them.
    """
    if key is None or not is_own(artist.slug, key):
        return None
    return service.links.make("", key, LINK_SECONDS)


def listening_link(service: Service, artist: Artist, item: ShownItem) -> str | None:
    """Return a link to an item's audio as FLAC, for a browser to play.

    None where the file itself is as good, or unknown.
    """
    from dawa_assets.items.waveforms import needs_copy

    url = file_link(service, artist, item.audio_path)
    if url is None or item.audio_path is None or item.audio_hash is None or not needs_copy(item.audio_path):
        return None
    return f"{url}&decoded=true"


def item_of(ports: Ports, artist: Artist, item_id: UUID) -> ShownItem:
    """Return the artist's item of this id.

    Raises:
        UnknownItemError: it is none of theirs.
    """
    with ports.database.transaction() as connection:
        found = shown_items(connection, artist.id, [item_id])
    if not found:
        raise UnknownItemError(f"item {item_id}: {artist.slug} has none of this id; look the id up again")
    return found[0]
