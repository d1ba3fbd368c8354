"""How each step begins: with its artist, and the right to change what it makes for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dawa_assets.pipeline.leases import lease
from dawa_assets.tables.artists import Artist, get_artist
from dawa_assets.tables.leases import Lease
from resources.ports import Ports


@dataclass(frozen=True)
class Step:
    """What everything that is done for one artist under one lease needs."""

    ports: Ports
    artist: Artist
    held: Lease


@contextmanager
def artist_step(ports: Ports, artist: Artist | str, name: str, *, wait_seconds: float | None = None) -> Iterator[Step]:
    """Hold the lease of one step of an artist for the length of the block.

    Args:
        ports: database and settings.
        artist: theirs, or their slug.
        name: of the step: whoever else does it for this artist is waited for.
        wait_seconds: for how long; None: as the settings say.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        BusyError: another process held it for all that time.
        ArtistBeingDeletedError: the artist was deleted, or is being.
    """
    settings = ports.settings
    if isinstance(artist, str):
        with ports.database.transaction() as connection:
            artist = get_artist(connection, artist)
    wait_seconds = settings.lease_wait_seconds if wait_seconds is None else wait_seconds
    with lease(ports.database, artist.id, name, seconds=settings.lease_seconds, wait_seconds=wait_seconds) as held:
        yield Step(ports, artist, held)
