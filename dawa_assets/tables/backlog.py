"""SQL of what stands open, artist by artist, for all artists at once: each kind of issue on each asset, and since when.

Level-triggered: read from the rows as they are, so that what recovered is gone from here by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from dawa_assets.tables.current_datasets import CURRENT_DATASETS
from dawa_assets.tables.item_findings import BLOCKED_ITEMS, IS_BLOCKING
from dawa_assets.tables.names import item_name, track_name
from dawa_assets.tables.prompts import PROMPT_ERROR
from resources.database.base import Connection

Kind = Literal["failed", "damaged", "stale", "unmatched", "waiting", "behind"]


@dataclass(frozen=True)
class OpenWork:
    """One kind of work that can stand open on an asset, and the query that finds it for all artists.

    The query gives an artist's id, the name of the thing, the reason, and since when. It may use `current_dataset`,
    `candidate` and `untrained` as tables, and the arguments of `open_issues` by their names.
    """

    kind: Kind
    query: str


@dataclass(frozen=True)
class OpenIssue:
    """One artist's open work of one kind on one asset: how much, the oldest thing of it, why, and since when (UTC)."""

    asset: str
    kind: Kind
    slug: str
    things: int
    name: str
    reason: str
    since: datetime | None


@dataclass(frozen=True)
class OpenIssues:
    """The oldest issues of each kind and asset; by asset and kind, how many artists and things there are in all."""

    issues: list[OpenIssue]
    artists: dict[tuple[str, Kind], int]
    things: dict[tuple[str, Kind], int]


def open_issues(
    connection: Connection,
    work: Mapping[str, Sequence[OpenWork]],
    *,
    model_name: str,
    now: datetime,
    rejected_after: datetime,
    before_sensor: datetime,
    before_night: datetime,
    limit: int,
) -> OpenIssues:
    """Read everything but stale prompts; of each kind and asset, the `limit` artists whose issue is oldest.

    Args:
        connection: an open transaction.
        work: what is looked for, by asset; at least one thing.
        model_name: whose trainings are looked at.
        now: what came later is left out.
        rejected_after: uploads that were rejected before are left out.
        before_sensor: what a sensor sees to is open if it has been so since then.
        before_night: what the nightly rebuild sees to is open if it has been so since then.
        limit: how many artists of each kind and asset.
    """
    rows = connection.execute(
        _query(work),
        {
            "now": now,
            "model_name": model_name,
            "prompt_error": f"{PROMPT_ERROR}%",
            "rejected_after": rejected_after,
            "before_sensor": before_sensor,
            "before_night": before_night,
            "limit": limit,
        },
    ).fetchall()
    return OpenIssues(
        [
            OpenIssue(row["asset"], row["kind"], row["slug"], row["things"], row["name"], row["reason"], row["since"])
            for row in rows
        ],
        {(row["asset"], row["kind"]): row["artists"] for row in rows},
        {(row["asset"], row["kind"]): row["all_things"] for row in rows},
    )


def stale_before(
    connection: Connection, slugs: Sequence[str], reasons: Sequence[str], before: datetime
) -> list[OpenIssue]:
    """Return an issue for each artist whose prompts are stale, for the reason beside it, since before then."""
    if not slugs:
        return []
    with connection.cursor(row_factory=class_row(OpenIssue)) as cursor:
        return cursor.execute(
            _STALE_SINCE, {"slugs": list(slugs), "reasons": list(reasons), "before": before}
        ).fetchall()


_STALE_SINCE = f"""
select 'prompts' as asset, 'stale' as kind, slug, things::int, name, reason, since from (
  select named.slug, named.reason, counted.things, counted.name,
    coalesce(
      case when named.reason in ('profile', 'schema version') then p.updated_at
        when named.reason in ('system prompt', 'model') then s.completed_at end,
      counted.changed) as since
  from unnest(%(slugs)s::text[], %(reasons)s::text[]) as named (slug, reason)
  join artists a on a.slug = named.slug
  left join artist_profiles p on p.artist_id = a.id
  left join artist_prompt_state s on s.artist_id = a.id
  cross join lateral (
    select count(*) as things, min({item_name("i")}) as name,
      min(i.updated_at) as changed
    from training_items i
    where i.artist_id = a.id and i.als_summary_id is not null and i.excluded_at is null
      and (named.reason <> 'missing' or i.prompt_summary_id is distinct from i.als_summary_id)
  ) counted
) stale where since < %(before)s order by since, slug
"""

_BEFORE = f"""
with current_dataset as (
  select id, artist_id, item_count, finished_at from {CURRENT_DATASETS} d
), candidate as (
  select id, artist_id, dataset_id, candidate_at, adapter_sha256 from training_runs
  where model_name = %(model_name)s and candidate_at is not null
), untrained as (
  -- only of these anything can be missing below: what was trained on has its segments
  select d.* from current_dataset d left join candidate c on c.artist_id = d.artist_id
  where c.dataset_id is distinct from d.id and d.finished_at < %(before_sensor)s
),
"""

REJECTED_SETS = OpenWork(
    "failed",
    """
    select u.artist_id, u.name, 'rejected: ' || coalesce(u.reason, 'no reason recorded'), u.updated_at
    from uploads u where u.state = 'rejected' and u.kind <> 'audio' and u.updated_at > %(rejected_after)s
      and not exists (select from uploads o where o.artist_id = u.artist_id and o.name = u.name and o.state = 'taken'
        and o.created_at > u.created_at)""",
)
WAITING_SETS = OpenWork(
    "waiting",
    """
    select artist_id, name, coalesce(reason, 'is being looked at'), updated_at
    from uploads where state = 'waiting' and kind <> 'audio' and updated_at < %(before_sensor)s""",
)
REJECTED_BOUNCES = OpenWork(
    "failed",
    """
    select u.artist_id, u.name, 'rejected: ' || coalesce(u.reason, 'no reason recorded'), u.updated_at
    from uploads u where u.state = 'rejected' and u.kind = 'audio' and u.updated_at > %(rejected_after)s
      and not exists (select from uploads o where o.artist_id = u.artist_id and o.name = u.name and o.state = 'taken'
        and o.created_at > u.created_at)""",
)
UNMATCHED_BOUNCES = OpenWork(
    "unmatched",
    """
    select artist_id, name, reason, created_at from uploads
    where state = 'waiting' and kind = 'audio' and training_item_id is null and reason is not null""",
)
BOUNCES_ON_THEIR_WAY = OpenWork(
    "waiting",
    """
    select artist_id, name, case when training_item_id is null then 'is being looked at'
      else 'was not put in its place; the next build goes on with it' end, updated_at
    from uploads where state = 'waiting' and kind = 'audio' and (training_item_id is not null or reason is null)
      and updated_at < %(before_sensor)s""",
)
FAILED_PROMPTS = OpenWork(
    "failed",
    f"""
    select artist_id, {item_name("training_items")}, coalesce(error, 'no reason recorded'), updated_at
    from training_items where excluded_at is null and status = 'failed' and error like %(prompt_error)s""",
)
FAILED_ITEMS = OpenWork(
    "failed",
    f"""
    select artist_id, {item_name("training_items")}, coalesce(error, 'no reason recorded'), updated_at
    from training_items
    where excluded_at is null and status = 'failed' and (error like %(prompt_error)s) is not true""",
)
ITEMS_WITHOUT_BOUNCE = OpenWork(
    "waiting",
    f"""
    select artist_id, {item_name("training_items")}, 'waits for its bounce', created_at
    from training_items where excluded_at is null and status = 'needs_audio'""",
)
ITEMS_WITHOUT_PROMPT = OpenWork(
    "failed",
    f"""
    select artist_id, {item_name("training_items")}, error, updated_at
    from training_items where excluded_at is null and status = 'needs_prompt' and error is not null""",
)
ITEMS_IN_NO_DATASET = OpenWork(
    "behind",
    f"""
    select t.artist_id, {item_name("t")}, 'is ready and in no dataset yet', t.updated_at
    from training_items t
    where t.excluded_at is null and t.status = 'ready' and t.updated_at < %(before_night)s
      and t.id not in {BLOCKED_ITEMS}
      and not exists (select from training_items o where o.artist_id = t.artist_id and o.status = 'exported'
        and o.audio_hash = t.audio_hash)""",
)
BLOCKED = OpenWork(
    "waiting",
    f"""
    select f.artist_id, {item_name("t")}, f.kind || ': ' || f.sentence || '; ' || f.way_out, f.found_at
    from item_findings f join training_items t on t.id = f.training_item_id
    where t.excluded_at is null and {IS_BLOCKING}""",
)
TRACKS_WITHOUT_SEGMENTS = OpenWork(
    "behind",
    f"""
    select d.artist_id, {track_name("i")}, 'has no segments', d.finished_at
    from untrained d join dataset_items i on i.dataset_id = d.id
    left join training_items t on t.id = i.training_item_id
    where t.status is distinct from 'failed' and t.excluded_at is null
      and not exists (select from audio_segments s where s.audio_hash = i.audio_hash)""",
)
SEGMENTS_WITHOUT_TAGS = OpenWork(
    "behind",
    f"""
    select d.artist_id, {track_name("i")} || ', segment ' || s.index, 'has no text',
      d.finished_at
    from untrained d join dataset_items i on i.dataset_id = d.id
    join audio_segments s on s.audio_hash = i.audio_hash and s.recipe = 'mono44'
    where not exists (select from segment_tags t where t.segment_hash = s.segment_hash)""",
)
FAILED_TRAININGS = OpenWork(
    "failed",
    """
    select r.artist_id, r.base, coalesce(r.error, 'no reason recorded'), r.created_at
    from training_runs r where r.state = 'failed' and r.model_name = %(model_name)s
      and not exists (select from training_runs o where o.artist_id = r.artist_id and o.model_name = r.model_name
        and o.created_at > r.created_at and o.metrics -> 'imported' is null)
      and not exists (select from candidate c where c.artist_id = r.artist_id and c.candidate_at > r.created_at)""",
)
TRAININGS_TO_APPROVE = OpenWork(
    "waiting",
    """
    select p.artist_id, coalesce(round(p.expected_usd::numeric, 2)::text || ' USD', 'at an unknown cost'),
      'waits for approval (`dawa train --approve`): ' || p.plan, p.asked_at
    from training_approvals p where p.approved_at is null and p.model_name = %(model_name)s""",
)
LORAS_OF_EARLIER_DATASETS = OpenWork(
    "behind",
    """
    select d.artist_id, d.item_count || ' tracks', 'its LoRA is of an earlier dataset', d.finished_at
    from current_dataset d join candidate c on c.artist_id = d.artist_id
    where c.dataset_id is distinct from d.id and d.finished_at < %(before_night)s""",
)
UNJUDGED_LORAS = OpenWork(
    "behind",
    """
    select c.artist_id, c.id::text, 'was trained and not judged', c.candidate_at
    from candidate c
    where c.candidate_at < %(before_sensor)s and not exists (select from lora_evaluations e where e.run_id = c.id
      and e.adapter_sha256 = c.adapter_sha256 and e.decided_at is not null)""",
)
BROKEN_OFF_PROMOTIONS = OpenWork(
    "failed",
    """
    select artist_id, run_id::text, 'its promotion was begun and not finished', asked_at
    from lora_promotions where published_at is null and asked_at < %(before_sensor)s""",
)


_FILE_FINDINGS = """
    select v.artist_id, f.key, f.reason, f.since from verifications v, jsonb_to_recordset(v.findings)
      f (problem text, what text, key text, reason text, since timestamptz)
    where v.findings <> '[]'"""
LEFT_OVER_ZIPS = OpenWork("behind", f"{_FILE_FINDINGS} and f.problem = 'left over'")


def damaged_files(*whats: str) -> OpenWork:
    """Return what is wrong with files of these kinds, or with the paths of these tables, as it was found last."""
    named = ", ".join(f"'{what}'" for what in whats)
    return OpenWork("damaged", f"{_FILE_FINDINGS} and f.problem <> 'left over' and f.what in ({named})")


_AFTER = """
by_artist as (
  select asset, kind, artist_id, count(*) as things, min(since) as since,
    (array_agg(name order by since, name))[1] as name, (array_agg(reason order by since, name))[1] as reason
  from opened group by asset, kind, artist_id
), ranked as (
  select *, count(*) over (partition by asset, kind) as artists,
    sum(things) over (partition by asset, kind) as all_things,
    row_number() over (partition by asset, kind order by since, artist_id) as place
  from by_artist
)
select r.asset, r.kind, a.slug, r.things::int, r.name, r.reason, r.since, r.artists::int, r.all_things::int
from ranked r join artists a on a.id = r.artist_id
where r.place <= %(limit)s and r.since <= %(now)s
order by r.asset, r.kind, r.since, a.slug
"""


def _query(work: Mapping[str, Sequence[OpenWork]]) -> str:
    """Return the query for all of it at once, asset by asset."""
    parts = [
        f"select '{asset}', '{each.kind}', part.* from ({each.query}) part (artist_id, name, reason, since)"
        for asset, all_of_it in work.items()
        for each in all_of_it
    ]
    opened = "\nunion all\n".join(parts)
    return f"{_BEFORE} opened (asset, kind, artist_id, name, reason, since) as (\n{opened}\n), {_AFTER}"
