"""SQL of which prompts are stale, and why: for all artists, and item by item for people.

The rules are those of `dawa_assets/prompting/staleness.py`, which decides for an item in hand.

The query over all artists compares what each artist's prompts were last complete for with what is wanted now, and reads
the small index of items that nothing was settled for. What people are told item by item is read from the rows alone;
neither opens a summary.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.names import item_name
from dawa_assets.tables.prompts import PROMPT_ERROR
from resources.database.base import Connection, Database
from resources.prompt_writer.offline import OfflineWriter

_PAGE = 25_000  # where all are wanted: each page compares every artist that comes after it


@dataclass(frozen=True)
class StaleArtist:
    """An artist whose prompts are to be looked at.

    `state` names the piece of work: it stays the same while the same is to be done, and changes when anything that
    decides it does, so that attempts at it can be counted. `schema_version` is that of the profile now.
    """

    id: UUID
    slug: str
    reason: str
    schema_version: str
    state: str


@dataclass(frozen=True)
class ItemPrompt:
    """Where an item's prompt stands: `current`, `human`, `impossible` (no prompt can be written), or why it is stale.

    Read without the summary: a prompt that is called stale for its profile's sake may turn out current when its context
    is built and says the same.
    """

    item_id: UUID
    name: str
    state: str
    error: str | None


@dataclass(frozen=True)
class PromptCounts:
    """How many prompts of an artist are what; `stale` by reason."""

    current: int = 0
    human: int = 0
    impossible: int = 0
    stale: dict[str, int] = field(default_factory=dict)


def stale_artists(
    database: Database, system_prompt_version: str, model_name: str, *, any_model: bool = False
) -> list[StaleArtist]:
    """Return the artists with items whose prompts may be stale, by slug, as things are now.

    Not among them: artists without any set, and items for which a prompt is known to be impossible. With `any_model`,
    what another hosted model wrote is as good (see `PromptWriter.takes_any_model`); so in all that follow.
    """
    found: list[StaleArtist] = []
    while page := stale_page(
        database, system_prompt_version, model_name, found[-1].id if found else None, _PAGE, any_model=any_model
    ):
        found += page
    return sorted(found, key=lambda artist: artist.slug)


def stale_page(
    database: Database,
    system_prompt_version: str,
    model_name: str,
    after: UUID | None = None,
    limit: int = 1_000,
    *,
    any_model: bool = False,
) -> list[StaleArtist]:
    """Return the first of those artists after this id, by id; empty where no more come."""
    values = {
        **_wanted(system_prompt_version, model_name, any_model=any_model),
        "after": after or UUID(int=0),
        "artists": limit,
        "items": 10 * limit,
    }
    with database.transaction() as connection, connection.cursor(row_factory=class_row(StaleArtist)) as cursor:
        return cursor.execute(_STALE, values).fetchall()


def prompt_counts(
    connection: Connection,
    system_prompt_version: str,
    model_name: str,
    slug: str | None = None,
    *,
    any_model: bool = False,
) -> dict[str, PromptCounts]:
    """Count the prompts of every artist, or of one, by how they stand; by slug.

    Artists without any item that can have a prompt are not in. Excluded items and those without a set and without a
    text are not counted.
    """
    rows = connection.execute(
        f"{_ITEMS} select slug, state, count(*) as items from prompts_now where state is not null group by 1, 2",
        _values(system_prompt_version, model_name, slug, any_model=any_model),
    )
    by_slug: dict[str, dict[str, int]] = {}
    for row in rows:
        by_slug.setdefault(row["slug"], {})[row["state"]] = row["items"]
    return {
        slug: PromptCounts(
            current=counts.pop("current", 0),
            human=counts.pop("human", 0),
            impossible=counts.pop("impossible", 0),
            stale=dict(sorted(counts.items())),
        )
        for slug, counts in by_slug.items()
    }


def item_prompts(
    connection: Connection, slug: str, system_prompt_version: str, model_name: str, *, any_model: bool = False
) -> list[ItemPrompt]:
    """Return where the prompt of each of an artist's items stands, oldest item first."""
    with connection.cursor(row_factory=class_row(ItemPrompt)) as cursor:
        return cursor.execute(
            f"{_ITEMS} select item_id, name, state, error from prompts_now where state is not null "
            "order by created_at, item_id",
            _values(system_prompt_version, model_name, slug, any_model=any_model),
        ).fetchall()


def _values(system_prompt_version: str, model_name: str, slug: str | None, *, any_model: bool) -> dict[str, Any]:
    return _wanted(system_prompt_version, model_name, any_model=any_model) | {"slug": slug, "ours": PROMPT_ERROR}


def _wanted(system_prompt_version: str, model_name: str, *, any_model: bool) -> dict[str, Any]:
    return {
        "version": system_prompt_version,
        "model": model_name,
        "any_model": any_model,
        "offline": OfflineWriter.model_name,
    }


# As `staleness.Wanted.accepts`. An artist's state names `*` where the prompts were by whatever model.
_ACCEPTED = "({0} = %(model)s::text or (%(any_model)s and {0} <> %(offline)s::text))"


# In the order in which `staleness.why_stale` gives its reasons. Where an artist's prompts are complete for what is
# wanted and nothing of the item changed since, its context is known to be the same, whatever profile its row was
# written with.
_ITEMS = f"""
with wanted as (
  select a.id, a.slug, coalesce(p.content_hash, '') as profile_hash,
    coalesce(p.master_schema ->> 'schema_version', '') as schema_version,
    (s.profile_hash, s.schema_version, s.system_prompt_version) is not distinct from
      (coalesce(p.content_hash, ''), coalesce(p.master_schema ->> 'schema_version', ''), %(version)s::text)
      and coalesce({_ACCEPTED.format("s.model_name")}, false) as is_complete
  from artists a left join artist_profiles p on p.artist_id = a.id left join artist_prompt_state s on s.artist_id = a.id
  where %(slug)s::text is null or a.slug = %(slug)s
), looked_at as (
  select w.*, i.id as item_id, {item_name("i")} as name, i.error, i.created_at,
    i.als_summary_id, i.prompt_summary_id, i.prompt_take, i.prompt_text, i.prompt_id,
    coalesce(i.prompt_text, '') !~ '\\S' as is_blank,
    i.prompt_summary_id is not null and i.prompt_summary_id is not distinct from i.als_summary_id as is_settled
  from wanted w join training_items i on i.artist_id = w.id
  where i.excluded_at is null
), prompts_now as (
  select i.slug, i.item_id, i.name, i.error, i.created_at,
    case
      when not i.is_blank and (
        p.id is null or p.text <> i.prompt_text or (p.origin = 'human' and p.given_back_at is null)) then 'human'
      when i.als_summary_id is null then null
      when i.is_settled and i.is_complete and (i.is_blank or starts_with(coalesce(i.error, ''), %(ours)s))
        then 'impossible'
      when i.is_blank then 'missing'
      when p.origin = 'human' then 'given back'
      when p.take <> i.prompt_take and not i.is_settled then 'another take'
      when p.schema_version is distinct from i.schema_version then 'schema version'
      when p.system_prompt_version is distinct from %(version)s::text then 'system prompt'
      when not coalesce({_ACCEPTED.format("p.model_name")}, false) then 'model'
      when not i.is_settled then 'summary'
      when i.is_complete or p.profile_hash is not distinct from i.profile_hash then 'current'
      else 'profile'
    end as state
  from looked_at i left join prompts p on p.id = i.prompt_id
)"""

# Of one page of artists by id. The due items are read off their small index, in its order: asked for without a limit,
# the planner takes them for most of the table and reads all of it. Where they fill their page, it ends with them.
_STALE = f"""
with first_due as (
  select artist_id from training_items
  where als_summary_id is not null and excluded_at is null and prompt_summary_id is distinct from als_summary_id
    and artist_id > %(after)s
  order by artist_id limit %(items)s
), page as (
  select case when count(*) = %(items)s then max(artist_id::text)::uuid end as ends_with from first_due
), differing as materialized (
  select a.id as artist_id from artists a
  left join artist_profiles p on p.artist_id = a.id left join artist_prompt_state s on s.artist_id = a.id
  where a.id > %(after)s
    and ((s.profile_hash, s.schema_version, s.system_prompt_version) is distinct from
      (coalesce(p.content_hash, ''), coalesce(p.schema_version, ''), %(version)s::text)
      or not coalesce({_ACCEPTED.format("s.model_name")}, false))
), candidates as (
  select artist_id from first_due
  union
  select artist_id from differing d
  where exists (
    select from training_items i
    where i.artist_id = d.artist_id and i.als_summary_id is not null and i.excluded_at is null)
  order by artist_id limit %(artists)s
)
select a.id, a.slug,
  case
    when s.schema_version <> coalesce(p.schema_version, '') then 'schema version'
    when s.profile_hash <> coalesce(p.content_hash, '') then 'profile'
    when s.system_prompt_version <> %(version)s then 'system prompt'
    when not {_ACCEPTED.format("s.model_name")} then 'model'
    when due.items is not null then 'missing'
    else 'unfinished'  -- a rewrite that was stopped
  end as reason,
  coalesce(p.schema_version, '') as schema_version,
  left(md5(concat_ws(' ', coalesce(p.content_hash, ''), md5(coalesce(p.schema_version, '')), %(version)s::text,
    %(model)s::text, due.items)), 16) as state
from candidates c join artists a on a.id = c.artist_id
left join artist_profiles p on p.artist_id = a.id
left join artist_prompt_state s on s.artist_id = a.id
left join lateral (
  select md5(string_agg(i.id::text || i.als_summary_id::text, ' ' order by i.id)) as items from training_items i
  where i.artist_id = a.id
    and i.als_summary_id is not null and i.excluded_at is null and i.prompt_summary_id is distinct from i.als_summary_id
) due on true
where a.id <= coalesce((select ends_with from page), a.id)
order by a.id
"""
