"""How an artist's work stands at a glance, cheap enough to be asked every second; and whether lists changed."""

from dataclasses import dataclass

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import UnderWay, steps_under_way
from dawa_assets.tables.library_progress import item_counts
from dawa_assets.tables.library_sets import artists_seen_by
from resources.database.base import Database


@dataclass(frozen=True)
class Progress:
    """`version` changes with whatever lists show; `badges` count Live Sets, the other counts items."""

    version: str
    ready: int
    exported: int
    total: int
    badges: dict[str, int]
    running: list[UnderWay]


def progress_of(database: Database, artist: Artist, before: Progress | None = None) -> Progress:
    """Return how it stands now; what `before` has of the same version is not counted again."""
    with database.transaction() as connection:
        counts = item_counts(connection, artist.id)
        running = steps_under_way(connection, artist.id)
        if before is not None and before.version == counts.version:
            badges = before.badges
        else:
            badges = next((line.badges for line in artists_seen_by(connection, None, artist.id)), {})
    return Progress(
        version=counts.version,
        ready=counts.ready,
        exported=counts.exported,
        total=counts.total,
        badges=badges,
        running=running,
    )
