"""Which item a person means."""

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from dawa_assets.pipeline.wording import first_of
from dawa_assets.tables.artists import Artist, resolve_artist
from dawa_assets.tables.item_lookup import items_called
from modal_app.errors import InputError
from resources.database.base import Connection

_MAX_LISTED = 6


@dataclass(frozen=True)
class Found:
    """An item that somebody named."""

    id: UUID
    name: str
    artist: Artist


def find_item(connection: Connection, reference: str, artist: str | None = None, *, excluded: bool = False) -> Found:
    """Return the one item of this id, else of this item key, else of this Live Set's name (with or without `.als`).

    With `artist`, a slug, id or name, only their items are looked at. With `excluded`, one that is excluded is as good
    as any other.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: no item is called so, several are, or it is excluded; one line.
    """
    shown = _shown(reference)
    name = unicodedata.normalize("NFC", reference.strip())
    if not name or not _is_storable(name) or (artist is not None and not _is_storable(artist)):
        raise InputError(f"item {shown}: is no name that an item can have; `dawa status --artist SLUG` names items")
    of = None if artist is None else resolve_artist(connection, artist)
    rows = items_called(
        connection,
        name,
        _uuid(name),
        artist_id=None if of is None else of.id,
        excluded_too=excluded,
        limit=_MAX_LISTED * 4,
    )
    by_rank = defaultdict(list)
    for row in rows:
        by_rank[row.rank].append(row)
    if not rows:
        where = "" if of is None else f" of {of.slug}"
        raise InputError(
            f"item {shown}: no item{where} has this id, key or set name; `dawa item list ARTIST` names them"
        )
    best = by_rank[min(by_rank)]
    if len(best) > 1:
        listed = first_of([f"{row.item_id} ({row.name} of {row.slug})" for row in best], _MAX_LISTED)
        raise InputError(f"item {shown}: several are called so: {listed}; give the id, or --artist")
    row = best[0]
    if row.is_excluded and not excluded:
        raise InputError(
            f"item {row.name} of {row.slug}: is excluded, it needs no text; `dawa item include` takes it in"
        )
    return Found(row.item_id, row.name, Artist(row.artist_id, row.slug, row.artist_name))


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name) if len(name) == 36 else None
    except ValueError:
        return None


def _is_storable(name: str) -> bool:
    return "\x00" not in name and not any("\ud800" <= character <= "\udfff" for character in name)


def _shown(reference: str) -> str:
    """Return the reference for a message: short and printable, whatever was typed."""
    short = reference if len(reference) <= 80 else f"{reference[:80]}…"
    return repr("".join(character if character.isprintable() else "�" for character in short))
