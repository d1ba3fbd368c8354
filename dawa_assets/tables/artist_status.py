"""SQL of what there is of each artist now: figures for a list, and what waits or failed and why."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.current_datasets import CURRENT_DATASETS
from dawa_assets.tables.item_findings import IS_BLOCKING, IS_OPEN
from dawa_assets.tables.names import item_name
from resources.database.base import Connection


@dataclass(frozen=True)
class Notice:
    """Something that waits, failed or was rejected, and why."""

    what: str
    name: str
    reason: str


@dataclass(frozen=True)
class ArtistFigures:
    """What there is of one artist; `by_status` counts the items that are not excluded."""

    slug: str
    name: str
    live_sets: int
    excluded: int
    by_status: dict[str, int]
    uploads_waiting: int
    uploads_rejected: int
    datasets: int
    dataset_key: str | None
    dataset_items: int
    dataset_at: datetime | None
    segments: int
    tagged: int
    lora_key: str | None
    lora_at: datetime | None
    lora_is_current: bool


@dataclass(frozen=True)
class ArtistRow(ArtistFigures):
    """The figures of one artist, and by which id their rows are found."""

    id: UUID


def artist_figures(connection: Connection, slug: str | None = None) -> list[ArtistRow]:
    """Return the figures of every artist by slug, or of one."""
    with connection.cursor(row_factory=class_row(ArtistRow)) as cursor:
        return cursor.execute(_STATUS, {"slug": slug}).fetchall()


def notices(connection: Connection, artist_id: UUID | None = None) -> dict[UUID, list[Notice]]:
    """Return what waits, failed, was rejected or is left to a person, by artist, at most 20 of a kind of each."""
    found: dict[UUID, list[Notice]] = {}
    for row in connection.execute(_NOTICES, {"artist": artist_id}):
        found.setdefault(row["artist_id"], []).append(Notice(row["what"], row["name"], row["reason"]))
    return found


_STATUS = f"""
with current_dataset as (
  select * from {CURRENT_DATASETS} d
  where %(slug)s::text is null or d.artist_id = (select id from artists where slug = %(slug)s)
), lora as (
  select distinct on (artist_id) * from training_runs where promoted order by artist_id, finished_at desc
), heard as (
  -- joined, not looked up one by one: a hundred thousand segments of a thousand artists are tagged or not
  select artist_id, count(*) as segments, count(*) filter (where is_tagged) as tagged from (
    select d.artist_id, count(t.segment_hash) > 0 as is_tagged
    from current_dataset d join dataset_items i on i.dataset_id = d.id
    join audio_segments s on s.audio_hash = i.audio_hash
    left join segment_tags t on t.segment_hash = s.segment_hash
    group by d.artist_id, i.position, s.recipe, s.index
  ) segment group by artist_id
)
select a.id, a.slug, a.name,
  (select count(*) from als_summaries s where s.artist_id = a.id) as live_sets,
  (select count(*) from training_items t where t.artist_id = a.id and t.excluded_at is not null) as excluded,
  coalesce((select jsonb_object_agg(status, n) from (
    select status, count(*) as n from training_items t
    where t.artist_id = a.id and t.excluded_at is null group by status) g), '{{}}') as by_status,
  (select count(*) from uploads u where u.artist_id = a.id and u.state = 'waiting') as uploads_waiting,
  (select count(*) from uploads u where u.artist_id = a.id and u.state = 'rejected') as uploads_rejected,
  (select count(*) from datasets d where d.artist_id = a.id and d.state = 'done') as datasets,
  d.storage_path as dataset_key, coalesce(d.item_count, 0) as dataset_items, d.finished_at as dataset_at,
  coalesce(h.segments, 0) as segments, coalesce(h.tagged, 0) as tagged,
  l.adapter_key as lora_key, l.finished_at as lora_at, coalesce(l.dataset_id = d.id, false) as lora_is_current
from artists a
left join current_dataset d on d.artist_id = a.id
left join lora l on l.artist_id = a.id
left join heard h on h.artist_id = a.id
where %(slug)s::text is null or a.slug = %(slug)s
order by a.slug
"""

_OF = "(%(artist)s::uuid is null or artist_id = %(artist)s)"
_NOTICES = f"""
select artist_id, what, name, coalesce(nullif(reason, ''), 'no reason recorded') as reason from (
select 1 as part, artist_id, state || ' upload' as what, name, reason,
  row_number() over (partition by artist_id order by created_at desc, id) as place
from uploads where {_OF} and state <> 'taken'
union all
select 2, artist_id, case when status = 'failed' then 'failed item' else 'item' end, {item_name("training_items")},
  case status when 'failed' then error when 'needs_audio' then 'waits for its bounce'
    else coalesce(error, 'waits for its prompt') end,
  row_number() over (partition by artist_id order by created_at, id)
from training_items where {_OF} and excluded_at is null and status in ('failed', 'needs_audio', 'needs_prompt')
union all
select 3, artist_id, 'audio', {item_name("training_items")}, array_to_string(audio_findings, '; '),
  row_number() over (partition by artist_id order by created_at, id)
from training_items where {_OF} and excluded_at is null and audio_findings <> '{{}}'
union all
select 3, f.artist_id, case when {IS_BLOCKING} then 'blocked item' else 'audio' end, {item_name("t")},
  f.kind || ': ' || f.sentence || '; ' || f.way_out,
  row_number() over (partition by f.artist_id order by f.level, t.created_at, t.id, f.kind)
from item_findings f join training_items t on t.id = f.training_item_id
where {_OF.replace("artist_id", "f.artist_id")} and t.excluded_at is null and {IS_OPEN}
  and f.sentence <> all (t.audio_findings)
union all
select 4, artist_id, 'failed training', base, error,
  row_number() over (partition by artist_id order by created_at desc, id)
from training_runs where {_OF} and state = 'failed'
union all
select 5, r.artist_id, 'new LoRA', r.model_name, e.decision,
  row_number() over (partition by r.artist_id order by r.candidate_at desc, r.id)
from training_runs r join lora_evaluations e on e.run_id = r.id
where {_OF.replace("artist_id", "r.artist_id")}
  and r.candidate_at is not null and not r.promoted and e.decided_at is not null
) found
where place <= case part when 4 then 3 else 20 end
order by artist_id, part, place
"""
