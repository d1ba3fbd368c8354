"""SQL of the library: one entry a Live Set, with the items that are made of it, and the badge that sums them up.

A set has the pipeline's own item, and as many pairs as people saved for it. The badge is that of the item that is
furthest on: what is ready or exported by one of them needs nothing more.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from resources.database.base import Connection

Badge = Literal["needs_audio", "needs_prompt", "ready", "exported", "failed", "excluded"]
BADGES: tuple[Badge, ...] = ("needs_audio", "needs_prompt", "ready", "exported", "failed", "excluded")


@dataclass(frozen=True)
class Entry:
    """One line of the library; what a summary does not say, or says in no usable form, is left to the caller."""

    live_set_id: UUID | None
    item_id: UUID | None
    item_ids: list[UUID]
    parse_id: str
    als_filename: str | None
    project_name: str | None
    overview: object
    scale: object
    length_bars: object
    export_path: str | None
    taken_in_at: datetime
    badge: Badge
    reason: str | None
    audio_seconds: float | None
    text_by: Literal["model", "person"] | None


@dataclass(frozen=True)
class ArtistLine:
    """One artist in a list. `badges` count entries of the library."""

    id: UUID
    slug: str
    name: str
    has_profile: bool
    schema_version: str | None
    live_sets: int
    badges: dict[str, int]
    uploads_waiting: int
    uploads_rejected: int


TEXT_BY = r"""case
  when coalesce(i.prompt_text, '') !~ '\S' then null
  when i.prompt_id is null or p.text is distinct from i.prompt_text then 'person'
  when p.origin = 'human' and p.given_back_at is null then 'person' else 'model' end"""
"""Of `training_items i left join prompts p on p.id = i.prompt_id`: who wrote the text; see `staleness.is_human`."""

REASON = """case when i.excluded_at is not null then (
    select nullif(e.reason, '') from item_exclusions e
    where e.training_item_id = i.id and e.excluded and e.at = i.excluded_at limit 1)
  when i.status in ('ready', 'exported') then null
  else coalesce(i.error, case i.status
    when 'needs_audio' then 'waits for its bounce' when 'needs_prompt' then 'waits for its prompt' end) end"""
"""Of `training_items i`: why it is not ready, one line."""

_STEM = r"regexp_replace({0}.als_filename, '\.[^.]*$', '')"
_KEY = f"normalize(coalesce(nullif({{0}}.project_name, ''), {_STEM}) || '/' || {_STEM}, NFC)"

# A pair that somebody saved belongs to the set of its parse, or to the item of that set's newer versions.
_ENTRIES = f"""
with items as (
  select i.*, {TEXT_BY} as text_by, {REASON} as reason,
    coalesce(own.als_summary_id, i.als_summary_id) as live_set_id,
    coalesce(own.als_summary_id, i.als_summary_id, i.id) as place,
    case when i.excluded_at is not null then 'excluded' else i.status end as badge
  from training_items i
  left join prompts p on p.id = i.prompt_id
  left join training_items own on i.item_key is null and i.audio_path is not null
    and own.artist_id = i.artist_id and own.item_key = {_KEY.format("i")}
  where %(artist)s::uuid is null or i.artist_id = %(artist)s
), led as (
  select distinct on (artist_id, place) *, array_agg(id) over (
    partition by artist_id, place order by created_at, id rows between unbounded preceding and unbounded following
  ) as item_ids
  from items
  order by artist_id, place, array_position(
    array['ready', 'exported', 'needs_prompt', 'failed', 'needs_audio', 'excluded'], badge), updated_at desc, id
), bare as (
  select distinct on (artist_id, item_key) * from (
    select s.id, s.artist_id, {_KEY.format("s")} as item_key, s.parse_timestamp from als_summaries s
    where s.artist_id is not null and (%(artist)s::uuid is null or s.artist_id = %(artist)s)
  ) s
  where not exists (select from training_items t where t.artist_id = s.artist_id and t.als_summary_id = s.id)
    and not exists (select from training_items t where t.artist_id = s.artist_id and t.item_key = s.item_key)
  order by artist_id, item_key, parse_timestamp desc, id
), entries as (
  select artist_id, live_set_id, id as item_id, item_ids, parse_id, als_filename, project_name, created_at, badge,
    reason, audio_duration_seconds as audio_seconds, text_by from led
  union all
  select artist_id, id, null, '{{}}'::uuid[], null, null, null, null, 'needs_audio', 'waits for its bounce', null, null
  from bare
)"""


def entries_of(connection: Connection, artist_id: UUID, live_set_id: UUID | None = None) -> list[Entry]:
    """Return the artist's library, the newest first; with a Live Set's id, its entry alone."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            f"""{_ENTRIES}
            select e.live_set_id, e.item_id, e.item_ids, coalesce(s.parse_id, e.parse_id) as parse_id,
              coalesce(s.als_filename, e.als_filename) as als_filename,
              coalesce(s.project_name, e.project_name) as project_name, s.overview, s.scale, s.length_bars,
              case when s.source_key is not null then s.export_path end as export_path,
              coalesce(s.created_at, e.created_at, s.parse_timestamp, 'epoch') as taken_in_at,
              e.badge, e.reason, e.audio_seconds, e.text_by
            from entries e left join als_summaries s on s.id = e.live_set_id and s.artist_id = e.artist_id
            where %(live_set)s::uuid is null or e.live_set_id = %(live_set)s
            order by taken_in_at desc, als_filename, e.item_id, e.live_set_id""",
            {"artist": artist_id, "live_set": live_set_id},
        ).fetchall()


def artists_seen_by(connection: Connection, user_id: UUID | None, artist_id: UUID | None = None) -> list[ArtistLine]:
    """Return the artists that a user is linked to (None: every artist), by name.

    Those who are being deleted left out.
    """
    with connection.cursor(row_factory=class_row(ArtistLine)) as cursor:
        return cursor.execute(
            f"""{_ENTRIES}, counted as (
              select artist_id, jsonb_object_agg(badge, n) as badges from (
                select artist_id, badge, count(*) as n from entries group by 1, 2) g group by 1
            )
            select a.id, a.slug, a.name, p.artist_id is not null as has_profile, p.schema_version,
              (select count(*) from als_summaries s where s.artist_id = a.id) as live_sets,
              coalesce(c.badges, '{{}}') as badges,
              (select count(*) from uploads u where u.artist_id = a.id and u.state = 'waiting') as uploads_waiting,
              (select count(*) from uploads u where u.artist_id = a.id and u.state = 'rejected') as uploads_rejected
            from artists a left join artist_profiles p on p.artist_id = a.id left join counted c on c.artist_id = a.id
            where (%(artist)s::uuid is null or a.id = %(artist)s)
              and (%(user)s::uuid is null or exists (
                select from user_artists l where l.artist_id = a.id and l.user_id = %(user)s))
              and not exists (select from artist_deletions d where d.artist_id = a.id and d.finished_at is null)
            order by lower(a.name), a.slug""",
            {"user": user_id, "artist": artist_id},
        ).fetchall()
