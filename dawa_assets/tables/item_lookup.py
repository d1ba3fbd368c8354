"""SQL of an item that somebody named: those that are called so, and all the texts that one had."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.names import item_name
from resources.database.base import Connection


@dataclass(frozen=True)
class NamedItem:
    """An item that may be meant; of several, that of the lowest rank is: by id, by key, by its set's name, excluded."""

    item_id: UUID
    artist_id: UUID
    slug: str
    artist_name: str
    name: str
    is_excluded: bool
    rank: int


@dataclass(frozen=True)
class ItemText:
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


def items_called(
    connection: Connection,
    name: str,
    item_id: UUID | None,
    *,
    artist_id: UUID | None,
    excluded_too: bool,
    limit: int,
) -> list[NamedItem]:
    """Return the items of this id, key or Live Set's name (with or without `.als`), the best match first.

    Args:
        connection: an open transaction.
        name: what the item is called.
        item_id: the same as an id, where it can be one.
        artist_id: whose items are looked at; None for everybody's.
        excluded_too: whether an excluded item is as good a match as any other.
        limit: how many at most.
    """
    with connection.cursor(row_factory=class_row(NamedItem)) as cursor:
        return cursor.execute(
            _FIND,
            {"id": item_id, "name": name, "artist": artist_id, "excluded_too": excluded_too, "most": limit},
        ).fetchall()


def texts_of_item(connection: Connection, artist_id: UUID, item_id: UUID) -> list[ItemText]:
    """Return all texts that the item had, oldest first: models', people's, and those that went out in datasets."""
    with connection.cursor(row_factory=class_row(ItemText)) as cursor:
        return cursor.execute(_HISTORY, {"item": item_id, "artist": artist_id, "human": f"human:{item_id}:"}).fetchall()


_FIND = f"""
select i.id as item_id, a.id as artist_id, a.slug, a.name as artist_name,
  {item_name("i")} as name, i.excluded_at is not null as is_excluded,
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
