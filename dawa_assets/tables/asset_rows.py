"""SQL of what an asset holds of one artist now, as rows for its page; what a run changed is in the run's report."""

from dataclasses import dataclass
from textwrap import wrap
from typing import Any
from uuid import UUID

from dawa_assets.tables.current_datasets import CURRENT_ITEMS
from dawa_assets.tables.names import item_name
from resources.database.base import Connection

_WIDTH = 56  # characters that an asset's page of 1600 pixels shows in a line


@dataclass(frozen=True)
class AssetRows:
    """Which rows an asset holds of one artist.

    `source` is what follows `from`: `{artist}` stands for the artist's id, `{current}` for the items of their current
    dataset. `shown` selects the page's table of them by `%(artist)s` and `%(limit)s`; without it the run's report shows
    all that there is.
    """

    source: str
    shown: str | None = None

    def to_show(self, connection: Connection, artist_id: UUID, limit: int) -> list[dict[str, Any]]:
        """Return at most `limit` rows of the page's table."""
        if self.shown is None:
            return []
        return connection.execute(self.shown, {"artist": artist_id, "limit": limit}).fetchall()

    def query(self, artist_id: UUID) -> str:
        """Return the SQL that shows the rows to a reader with a client of their own, in lines as a page shows them."""
        query = f"select * from {self._of(artist_id)};"
        return "\n".join(wrap(query, _WIDTH, break_long_words=False, break_on_hyphens=False, subsequent_indent="  "))

    def count(self, connection: Connection, artist_id: UUID) -> int:
        """Count the rows."""
        row = connection.execute(f"select count(*) as n from {self._of(artist_id)}").fetchone()
        assert row is not None  # noqa: S101 - an aggregate has a row
        return int(row["n"])

    def _of(self, artist_id: UUID) -> str:
        current = " ".join(CURRENT_ITEMS.replace("%(artist)s", f"'{artist_id}'").split())
        return self.source.format(artist=artist_id, current=current)


SUMMARIES = AssetRows(
    "als_summaries where artist_id = '{artist}'",
    shown="""
        select coalesce(project_name || '/', '') || als_filename as live_set,
          regexp_replace(summary -> 'overview' ->> 'tempo', '[.]0$', '') as bpm,
          summary -> 'overview' ->> 'time_signature' as signature,
          summary -> 'overview' ->> 'total_tracks' as tracks,
          case when summary ->> 'length_bars' ~ '^[0-9]{1,9}([.][0-9]+)?$'
            then ceil((summary ->> 'length_bars')::numeric - 0.001)::int end as bars,
          coalesce(summary ->> 'live_version', '') as live
        from als_summaries where artist_id = %(artist)s order by parse_timestamp desc limit %(limit)s""",
)
PROMPTS = AssetRows(
    "prompts where artist_id = '{artist}'",
    shown=f"""
        select {item_name("t")} as item, t.prompt_text as prompt,
          case when p.origin = 'model' then concat_ws(', ', t.model_name, t.system_prompt_version)
            else 'a person' end as by
        from training_items t left join prompts p on p.id = t.prompt_id
        where t.artist_id = %(artist)s and t.prompt_text is not null and t.excluded_at is null
        order by t.generated_at desc nulls last limit %(limit)s""",
)
ITEMS = AssetRows(
    "training_items where artist_id = '{artist}'",
    shown=f"""
        select {item_name("training_items")} as item, status, coalesce(audio_format, '') as audio,
          round(audio_duration_seconds::numeric, 1)::float8 as seconds,
          concat_ws('; ', coalesce(error, case when excluded_at is not null then 'excluded' end),
            nullif(array_to_string(audio_findings, '; '), '')) as note
        from training_items where artist_id = %(artist)s order by created_at, id limit %(limit)s""",
)
DATASETS = AssetRows(
    "datasets where artist_id = '{artist}' and state = 'done'",
    shown="""
        select finished_at as finished, item_count as items, size_bytes,
          case when pruned_at is not null then 'pruned' else '' end as note,
          regexp_replace(storage_path, '^.*/', '') as file
        from datasets where artist_id = %(artist)s and state = 'done' order by finished_at desc limit %(limit)s""",
)
SEGMENTS = AssetRows(
    "audio_segments where audio_hash in (select audio_hash from {current} i)",
)
TAGS = AssetRows(
    "segment_tags where segment_hash in (select segment_hash from audio_segments where audio_hash "
    "in (select audio_hash from {current} i))",
)
TRAININGS = AssetRows(
    "training_runs where artist_id = '{artist}'",
    shown="""
        select created_at as asked,
          case when promoted then 'published' when state = 'done' and candidate_at is not null and candidate_at
            = max(candidate_at) over (partition by model_name) then 'candidate' else state end as state,
          concat_ws(', ', backend, base, (parameters ->> 'steps') || ' steps',
            'imported by ' || (metrics -> 'imported' ->> 'imported_by')) as trained,
          concat_ws(' → ', round((metrics ->> 'base_validation_loss')::numeric, 3),
            round((metrics ->> 'best_validation_loss')::numeric, 3)) as held_out,
          left(id::text, 8) as run, left(coalesce(error, ''), 120) as error
        from training_runs where artist_id = %(artist)s order by created_at desc limit %(limit)s""",
)
EVALUATIONS = AssetRows(
    "lora_evaluations where artist_id = '{artist}'",
    shown="""
        select e.created_at as judged, case when r.promoted then 'published' else '' end as state, e.verdict,
          e.decision, left(e.run_id::text, 8) as run
        from lora_evaluations e join training_runs r on r.id = e.run_id
        where e.artist_id = %(artist)s order by e.created_at desc limit %(limit)s""",
)
PUBLISHED = AssetRows(
    "training_runs where artist_id = '{artist}' and promoted",
)
