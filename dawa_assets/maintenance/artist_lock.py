"""Whose house is kept, and the right to work there: artists, and leases that don't wait as long as a build's."""

from collections.abc import Iterator
from contextlib import contextmanager

from dawa_assets.pipeline.step import Step, artist_step
from dawa_assets.tables.artists import Artist, list_artists, resolve_artist
from resources.ports import Ports

_PATIENCE_SECONDS = 10.0


def chosen_artists(ports: Ports, slug: str | None) -> list[Artist]:
    """Return the artist of this slug, id or name, or every one.

    Raises:
        UnknownArtistError: there is no such artist.
    """
    with ports.database.transaction() as connection:
        return list_artists(connection) if slug is None else [resolve_artist(connection, slug)]


@contextmanager
def holding(ports: Ports, artist: Artist, step: str) -> Iterator[Step]:
    """The right to change what one step of the pipeline makes for an artist.

    Raises:
        BusyError: that step is running and did not end within seconds.
    """
    patience = min(_PATIENCE_SECONDS, ports.settings.lease_wait_seconds)
    with artist_step(ports, artist, step, wait_seconds=patience) as held:
        yield held
