"""What has arrived of an artist: Live Sets and bounces that were looked at, and those that lie complete in the inbox.

Its version is of the files alone, so that it stays as it is while they are taken in.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dawa_assets.intake.inbox import inbox_folders
from dawa_assets.tables.artists import get_artist
from dawa_assets.tables.uploads import Kind, arrived
from resources.ports import Ports

_MAX_NAMED = 20


@dataclass(frozen=True)
class Arrival:
    """A file as it was uploaded: where it lay then, its name, its folder inside the upload, and when it came."""

    key: str
    name: str
    folder: str
    size_bytes: int
    at: datetime


@dataclass(frozen=True)
class Arrivals:
    """All files of one kind that arrived: their version, how many and how large; the latest of them."""

    version: str
    files: int
    size_bytes: int
    latest: list[Arrival]


def arrivals(ports: Ports, slug: str) -> Mapping[Kind, Arrivals]:
    """Return what has arrived of an artist, by kind; nothing of a kind that never did.

    Raises:
        UnknownArtistError: there is no artist of this slug.
    """
    found: dict[Kind, dict[str, Arrival]] = {}
    for folder in inbox_folders(ports, slug):
        for file in folder.files if folder.complete else []:
            one = Arrival(file.stored.key, file.name, file.folder, file.stored.size, file.stored.modified)
            found.setdefault(file.kind, {})[one.key] = one
    with ports.database.transaction() as connection:
        rows = arrived(connection, get_artist(connection, slug).id)
    for row in rows:
        of_kind = found.setdefault(Kind(row.kind), {})
        of_kind[row.inbox_key] = Arrival(row.inbox_key, row.name, row.folder, row.size_bytes, row.created_at)
    return {kind: _all(list(by_key.values())) for kind, by_key in found.items()}


def _all(files: list[Arrival]) -> Arrivals:
    listed = "\n".join(sorted(f"{file.size_bytes} {file.key}" for file in files))
    latest = sorted(files, key=lambda file: (file.at, file.key), reverse=True)[:_MAX_NAMED]
    version = hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Arrivals(version, len(files), sum(file.size_bytes for file in files), latest)
