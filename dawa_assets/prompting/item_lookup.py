"""Which item a person means, and all the texts that it had."""

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.artists import Artist, resolve_artist
from modal_app.errors import InputError
from resources.database.base import Connection

_MAX_LISTED = 6


@dataclass(frozen=True)
class Found:
    """An item that somebody named."""

    id: UUID
    name: str
    artist: Artist


@dataclass(frozen=True)
class Text:
    """One text that an item had or has; of equal sets, a text may have been written for another one's sake."""

    id: UUID
    in_use: bool
    origin: str
    text: str
    author: str | None
    model_name: str | None
    system_prompt_version: str | None
    schema_version: str | None
    take: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    created_at: datetime
    given_back_at: datetime | None


def find_item(connection: Connection, reference: str, artist: str | None = None, *, excluded: bool = False) -> Found:
    """The one item of this id, else of this item key, else of this Live Set's name (with or without `.als`).

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
    rows = connection.execute(
        _FIND,
        {
            "id": _uuid(name),
            "name": name,
            "artist": None if of is None else of.id,
            "excluded_too": excluded,
            "most": _MAX_LISTED * 4,
        },
    ).fetchall()
    by_rank = defaultdict(list)
    for row in rows:
        by_rank[row["rank"]].append(row)
    if not rows:
        where = "" if of is None else f" of {of.slug}"
        raise InputError(
            f"item {shown}: no item{where} has this id, key or set name; `dawa item list ARTIST` names them"
        )
    best = by_rank[min(by_rank)]
    if len(best) > 1:
        listed = ", ".join(f"{row['item_id']} ({row['name']} of {row['slug']})" for row in best[:_MAX_LISTED])
        more = f" and {len(best) - _MAX_LISTED} more" if len(best) > _MAX_LISTED else ""
        raise InputError(f"item {shown}: several are called so: {listed}{more}; give the id, or --artist")
    row = best[0]
    if row["excluded"] and not excluded:
        raise InputError(
            f"item {row['name']} of {row['slug']}: is excluded, it needs no text; `dawa item include` takes it in"
        )
    return Found(row["item_id"], row["name"], Artist(row["artist_id"], row["slug"], row["artist_name"]))


def history(connection: Connection, found: Found) -> list[Text]:
    """All texts that the item had, oldest first: models', people's, and those that went out in datasets."""
    with connection.cursor(row_factory=class_row(Text)) as cursor:
        return cursor.execute(
            _HISTORY, {"item": found.id, "artist": found.artist.id, "human": f"human:{found.id}:"}
        ).fetchall()


_FIND = """
select i.id as item_id, a.id as artist_id, a.slug, a.name as artist_name,
  coalesce(i.item_key, i.als_filename, i.id::text) as name, i.excluded_at is not null as excluded,
  case
    when i.id = %(id)s::uuid then 0
    when i.excluded_at is not null and not %(excluded_too)s then 3
    when i.item_key = %(name)s then 1
    else 2
  end as rank
from training_items i join artists a on a.id = i.artist_id
where (%(artist)s::uuid is null or i.artist_id = %(artist)s)
  and (i.id = %(id)s::uuid or i.item_key = %(name)s or i.als_filename in (%(name)s, %(name)s || '.als'))
order by rank, a.slug, i.created_at, i.id limit %(most)s
"""

# A set that was uploaded anew has another summary: its earlier ones are known from the ledger of uploads.
_HISTORY = """
select p.id, p.id is not distinct from i.prompt_id as in_use, p.origin, p.text, p.author,
  coalesce(p.served_model, p.model_name) as model_name, p.system_prompt_version, p.schema_version, p.take,
  p.input_tokens, p.output_tokens,
  p.cost_usd::double precision as cost_usd, p.created_at, p.given_back_at
from prompts p join training_items i on i.id = %(item)s
where p.artist_id = %(artist)s and (
  p.id = i.prompt_id
  or starts_with(p.fingerprint, %(human)s)
  or (p.origin = 'model' and p.als_summary_id = i.als_summary_id)
  or (p.origin = 'model' and p.als_summary_id in (
    select u.als_summary_id from uploads u where u.training_item_id = i.id and u.kind = 'live_set'))
  or p.id in (select d.prompt_id from dataset_items d where d.training_item_id = i.id)
)
order by p.created_at, p.id
"""


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name) if len(name) == 36 else None
    except ValueError:
        return None


def _is_storable(name: str) -> bool:
    return "\x00" not in name and not any("\ud800" <= character <= "\udfff" for character in name)


def _shown(reference: str) -> str:
    """The reference for a message: short and printable, whatever was typed."""
    short = reference if len(reference) <= 80 else f"{reference[:80]}…"
    return repr("".join(character if character.isprintable() else "�" for character in short))
