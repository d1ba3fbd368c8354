"""Which prompts are stale, and why: for one item in hand, and for all artists in one query.

A prompt is stale when it is missing or its fingerprint is no longer the one that its inputs give. A person's text is
never stale. The query over all artists compares what each artist's prompts were last complete for with what is wanted
now, and reads the small index of items that nothing was settled for; it opens no summary.
"""

from dataclasses import dataclass

from dawa_assets.prompting.store import Item
from resources.database import Database


@dataclass(frozen=True)
class Wanted:
    """What a prompt written now would be recorded with."""

    schema_version: str
    profile_hash: str
    system_prompt_version: str
    model_name: str


@dataclass(frozen=True)
class StaleArtist:
    """An artist whose prompts are to be looked at.

    `state` names the piece of work: it stays the same while the same is to be done, and changes when anything that
    decides it does, so that attempts at it can be counted.
    """

    slug: str
    reason: str
    state: str


def is_human(item: Item) -> bool:
    """Whether the item's text is a person's: saved by the dashboard, or edited since a model wrote it."""
    if not (item.prompt_text or "").strip():
        return False
    return item.prompt_id is None or item.origin == "human" or item.text != item.prompt_text


def why_stale(item: Item, fingerprint: str, wanted: Wanted) -> str | None:
    """Why an item's prompt would be another one now; None where it would be the same."""
    if item.fingerprint is None or not (item.prompt_text or "").strip():
        return "missing"
    if item.fingerprint == fingerprint:
        return None
    if item.schema_version != wanted.schema_version:
        return "schema version"
    if item.system_prompt_version != wanted.system_prompt_version:
        return "system prompt"
    if item.model_name != wanted.model_name:
        return "model"
    if item.prompt_of_summary_id != item.als_summary_id or item.prompt_summary_id is None:
        return "summary"
    # Also where the builder of contexts or the text of a system prompt changed under the same version.
    return "profile" if item.profile_hash != wanted.profile_hash else "context"


def stale_artists(database: Database, system_prompt_version: str, model_name: str) -> list[StaleArtist]:
    """Artists with items whose prompts may be stale, by slug, as things are now.

    Not among them: artists without any set, and items for which a prompt is known to be impossible.
    """
    with database.transaction() as connection:
        rows = connection.execute(_STALE, {"version": system_prompt_version, "model": model_name}).fetchall()
    return [StaleArtist(row["slug"], row["reason"], row["state"]) for row in rows]


_STALE = """
with due as (
  select artist_id, md5(string_agg(id::text || als_summary_id::text, ' ' order by id)) as items
  from training_items
  where als_summary_id is not null and excluded_at is null and prompt_summary_id is distinct from als_summary_id
  group by artist_id
), wanted as (
  select a.id, a.slug, coalesce(p.content_hash, '') as profile_hash,
    coalesce(p.master_schema ->> 'schema_version', '') as schema_version
  from artists a left join artist_profiles p on p.artist_id = a.id
)
select w.slug,
  case
    when s.artist_id is null or due.items is not null then 'missing'
    when s.schema_version <> w.schema_version then 'schema version'
    when s.profile_hash <> w.profile_hash then 'profile'
    when s.system_prompt_version <> %(version)s then 'system prompt'
    else 'model'
  end as reason,
  left(md5(concat_ws(' ', w.profile_hash, md5(w.schema_version), %(version)s::text, %(model)s::text, due.items)), 16)
    as state
from wanted w
left join artist_prompt_state s on s.artist_id = w.id
left join due on due.artist_id = w.id
where due.items is not null or (
  (s.profile_hash, s.schema_version, s.system_prompt_version, s.model_name)
    is distinct from (w.profile_hash, w.schema_version, %(version)s::text, %(model)s::text)
  and exists (
    select from training_items i
    where i.artist_id = w.id and i.als_summary_id is not null and i.excluded_at is null)
)
order by w.slug
"""
