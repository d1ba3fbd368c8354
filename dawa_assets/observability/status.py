"""Status: what there is of each artist now, what waits or failed and why. Read from the database alone."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from dawa_assets.items.exclusions import trained_on_line
from dawa_assets.prompting.staleness import ItemPrompt, PromptCounts, item_prompts, prompt_counts
from dawa_assets.tables.artists import resolve_artist
from dawa_assets.tables.chosen_items import incomplete_items, superseded_items
from dawa_assets.tables.item_exclusions import excluded_but_trained_on
from resources.database.base import Connection
from resources.ports import Ports

_MAX_NAMED = 20


@dataclass(frozen=True)
class Notice:
    """Something that waits, failed or was rejected, and why."""

    what: str
    name: str
    reason: str


@dataclass(frozen=True)
class ArtistStatus:
    """One artist. Items that are in a dataset already count as ready in `ready` of `items`."""

    slug: str
    name: str
    live_sets: int
    items: int
    ready: int
    by_status: dict[str, int]
    excluded: int
    superseded: int
    """Of `ready`, those that are in no dataset because another item has the same audio and the text that counts."""
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
    notices: list[Notice] = field(default_factory=list)
    prompts: PromptCounts = field(default_factory=PromptCounts)
    stale_prompts: list[ItemPrompt] | None = None
    """Which prompts are stale or impossible, by item; None where every artist was asked for."""


def artist_statuses(ports: Ports, slug: str | None = None) -> list[ArtistStatus]:
    """The status of every artist, or of one (slug, id or name).

    Raises:
        UnknownArtistError: there is no such artist.
    """
    wanted = (ports.settings.system_prompt_version, ports.prompt_writer.model_name)
    any_model = ports.prompt_writer.takes_any_model
    stale: list[ItemPrompt] | None = None
    with ports.database.transaction() as connection:
        if slug is not None:
            slug = resolve_artist(connection, slug).slug
            named = item_prompts(connection, slug, *wanted, any_model=any_model)
            stale = [each for each in named if each.state not in ("current", "human")]
        counts = prompt_counts(connection, *wanted, slug, any_model=any_model)
        rows = connection.execute(_STATUS, {"slug": slug}).fetchall()
        return [_status(connection, row, counts.get(row["slug"], PromptCounts()), stale) for row in rows]


_STATUS = """
with current_dataset as (
  select distinct on (artist_id) * from datasets where state = 'done' order by artist_id, finished_at desc
), lora as (
  select distinct on (artist_id) * from training_runs where promoted order by artist_id, finished_at desc
), heard as (
  select d.artist_id, count(s.segment_hash) as segments,
    count(s.segment_hash) filter (where exists (
      select from segment_tags t where t.segment_hash = s.segment_hash)) as tagged
  from current_dataset d join dataset_items i on i.dataset_id = d.id
  join audio_segments s on s.audio_hash = i.audio_hash group by d.artist_id
)
select a.id, a.slug, a.name,
  (select count(*) from als_summaries s where s.artist_id = a.id) as live_sets,
  (select count(*) from training_items t where t.artist_id = a.id and t.excluded_at is not null) as excluded,
  coalesce((select jsonb_object_agg(status, n) from (
    select status, count(*) as n from training_items t
    where t.artist_id = a.id and t.excluded_at is null group by status) g), '{}') as by_status,
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

_NOTICES = """
(select state || ' upload' as what, name, reason from uploads
 where artist_id = %(artist)s and state <> 'taken' order by created_at desc limit 20)
union all
(select case when status = 'failed' then 'failed item' else 'item' end, coalesce(item_key, id::text),
   case status when 'failed' then error when 'needs_audio' then 'waits for its bounce'
     else coalesce(error, 'waits for its prompt') end
 from training_items where artist_id = %(artist)s and excluded_at is null
   and status in ('failed', 'needs_audio', 'needs_prompt') order by created_at limit 20)
union all
(select 'audio', coalesce(item_key, id::text), array_to_string(audio_findings, '; ')
 from training_items where artist_id = %(artist)s and excluded_at is null and audio_findings <> '{}'
 order by created_at limit 20)
union all
(select 'failed training', base, error from training_runs
 where artist_id = %(artist)s and state = 'failed' order by created_at desc limit 3)
union all
(select 'new LoRA', r.model_name, e.decision from training_runs r join lora_evaluations e on e.run_id = r.id
 where r.artist_id = %(artist)s and r.candidate_at is not null and not r.promoted and e.decided_at is not null)
"""


def _status(
    connection: Connection, row: dict[str, Any], prompts: PromptCounts, stale: list[ItemPrompt] | None
) -> ArtistStatus:
    by_status = {str(name): int(count) for name, count in row["by_status"].items()}
    notices = [
        Notice(found["what"], found["name"], found["reason"] or "no reason recorded")
        for found in connection.execute(_NOTICES, {"artist": row["id"]})
    ]
    superseded = superseded_items(connection, row["id"])
    notices += [Notice("superseded item", each.item, each.reason) for each in superseded[:_MAX_NAMED]]
    notices += [Notice("item", name, reason) for name, reason in incomplete_items(connection, row["id"])[:_MAX_NAMED]]
    notices += _heard(connection, row["id"], row["slug"])
    return ArtistStatus(
        items=sum(by_status.values()),
        ready=by_status.get("ready", 0) + by_status.get("exported", 0),
        by_status=by_status,
        superseded=len(superseded),
        notices=notices,
        prompts=prompts,
        stale_prompts=stale,
        **{name: row[name] for name in row if name not in ("id", "by_status")},
    )


def _heard(connection: Connection, artist_id: UUID, slug: str) -> list[Notice]:
    """Published adapters that were trained on what is excluded by now."""
    heard = excluded_but_trained_on(connection, artist_id)
    rows = connection.execute(
        "select id, model_name from training_runs where promoted and id = any(%s) order by model_name", [list(heard)]
    )
    way_out = f"`dawa build --artist {slug}` trains one without"
    return [
        Notice("published LoRA", row["model_name"], f"{trained_on_line(heard[row['id']])}; {way_out}") for row in rows
    ]
