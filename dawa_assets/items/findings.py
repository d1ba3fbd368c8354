"""What the quality gate found, for whoever runs the pipeline: with whose music the same is elsewhere.

What is stored of a finding never names another artist, since an artist's users may read it; here it is looked up.
"""

from dataclasses import dataclass

from dawa_assets.tables.artists import resolve_artist
from dawa_assets.tables.audio_measurements import foreign_matches
from dawa_assets.tables.item_findings import ShownFinding, shown_findings
from resources.database.base import Database


@dataclass(frozen=True)
class ListedFinding:
    """A finding, and for music of another artist where that is."""

    finding: ShownFinding
    elsewhere: list[str]


def list_findings(database: Database, artist: str) -> list[ListedFinding]:
    """Return all findings of an artist (slug, id or name), oldest item first.

    Raises:
        UnknownArtistError: there is no such artist.
    """
    with database.transaction() as connection:
        of = resolve_artist(connection, artist)
        foreign = foreign_matches(connection, of.id)
        return [
            ListedFinding(each, foreign.get(each.item_id, []) if each.kind == "other_artist" else [])
            for each in shown_findings(connection, of.id)
        ]
