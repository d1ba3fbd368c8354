"""The samples inside an artist's songs: where each comes from, as its Live Set says, and which are not cleared.

A Live Set names every file that it plays. Its place alone does not say what a file is: the list is for a person
to go through, and a pattern (`DAWA_UNCLEARED_SAMPLES`) keeps what they found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal
from uuid import UUID

from dawa_assets.pipeline.wording import first_of
from dawa_assets.prompting.json_access import mapping, text, texts
from dawa_assets.tables.artists import resolve_artist
from dawa_assets.tables.item_samples import ItemSamples, artist_ids, item_samples
from resources.database.base import Connection, Database
from resources.settings import Settings

Origin = Literal["own recording", "project", "user library", "pack", "vendor", "unknown"]
"""Recorded in the project, lying in its folder, in the user library, of Live or one of its packs, in a folder that a
vendor's program makes, or nowhere that says."""

ORIGINS: tuple[Origin, ...] = ("unknown", "vendor", "project", "user library", "pack", "own recording")
"""In the order in which a person should look."""

_VENDORS = (
    *("splice", "loopmasters", "loopcloud", "native instruments", "output", "arcade", "cymatics", "vengeance"),
    *("sample magic", "samples from mars", "black octopus", "ghosthack", "producer loops", "prime loops", "tracklib"),
    *("landr", "noiiz", "sounds.com", "goldbaby", "spitfire audio", "spectrasonics", "komplete kontrol", "beatport"),
)
_MAX_SHOWN = 3
_MAX_PATH = 1_000  # characters
_MAX_PLACES = 100


@dataclass(frozen=True)
class SampleInside:
    """A sample of a song: its name, its place (empty where the set does not say), and which tracks play it."""

    name: str
    path: str
    origin: Origin
    tracks: list[str]
    uncleared: str | None
    """The pattern that it matches; None where it matches none."""


@dataclass(frozen=True)
class SongSamples:
    """A song with its samples, those first that a person should look at."""

    item_id: UUID
    song: str
    excluded: bool
    samples: list[SampleInside]

    @property
    def uncleared(self) -> list[SampleInside]:
        """Those that match a pattern."""
        return [sample for sample in self.samples if sample.uncleared is not None]


def list_samples(database: Database, settings: Settings, artist: str) -> list[SongSamples]:
    """Return every song of an artist (slug, id or name) that has a Live Set, with the samples that it names.

    Raises:
        UnknownArtistError: there is no such artist.
    """
    with database.transaction() as connection:
        of = resolve_artist(connection, artist)
        songs = [song_of(each, settings.uncleared_samples or ()) for each in item_samples(connection, of.id)]
    return sorted(songs, key=lambda song: song.song.casefold())


def uncleared_items(connection: Connection, settings: Settings, artist_id: UUID | None) -> dict[UUID, str]:
    """Return the items of an artist, or of all, with a sample that is not cleared, and the reason in a line."""
    patterns = settings.uncleared_samples or ()
    if not patterns:
        return {}
    found = {}
    for one in artist_ids(connection) if artist_id is None else [artist_id]:
        for each in item_samples(connection, one):
            names = [sample.name for sample in song_of(each, patterns).uncleared]
            if names:
                found[each.item_id] = f"a sample in it is not cleared: {first_of(names, _MAX_SHOWN)}"
    return found


def origin_of(path: str, location: str) -> Origin:
    """Return where a sample comes from, by its place (with `/`) and what the set says of that."""
    folders = f"/{path.casefold()}"
    if any(f"/{vendor}" in folders for vendor in _VENDORS):
        return "vendor"
    if location == "pack":
        return "pack"
    if location == "user library":
        return "user library"
    if location == "project":
        return "own recording" if "/samples/recorded/" in folders else "project"
    return "unknown"


def matching_pattern(name: str, path: str, patterns: Sequence[str]) -> str | None:
    """Return the first pattern that a sample's name or whole path matches, in any case; `*` goes over folders too."""
    subjects = (name.casefold(), path.casefold())
    return next(
        (pattern for pattern in patterns if any(fnmatchcase(each, pattern.casefold()) for each in subjects)), None
    )


def song_of(each: ItemSamples, patterns: Sequence[str]) -> SongSamples:
    """Return an item's samples, those first that a person should look at."""
    samples = []
    for raw_name, raw in mapping(each.sample_index).items():
        use, name = mapping(raw), text(raw_name)
        path = text(use.get("path"), _MAX_PATH)
        places = texts(use.get("paths"), _MAX_PLACES, _MAX_PATH) or [path]
        uncleared = next((found for place in places if (found := matching_pattern(name, place, patterns))), None)
        origin = origin_of(path, text(use.get("location")))
        samples.append(SampleInside(name, path, origin, texts(use.get("tracks"), _MAX_PLACES), uncleared))
    samples.sort(key=lambda one: (one.uncleared is None, ORIGINS.index(one.origin), one.name.casefold()))
    return SongSamples(each.item_id, each.item, each.excluded, samples)
