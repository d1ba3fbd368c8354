"""SQL of what an asset holds of one artist now, as rows for its page; what a run changed is in the run's report."""

from typing import Any
from uuid import UUID

from dawa_assets.tables.current_datasets import CURRENT_ITEMS
from dawa_assets.tables.names import item_name
from resources.database.base import Connection

_ROWS = {
    "als_summaries": """
        select coalesce(project_name || '/', '') || als_filename as live_set,
          regexp_replace(summary -> 'overview' ->> 'tempo', '[.]0$', '') as bpm,
          summary -> 'overview' ->> 'time_signature' as signature,
          summary -> 'overview' ->> 'total_tracks' as tracks,
          regexp_replace(coalesce(summary ->> 'length_bars', ''), '[.]0$', '') as bars,
          coalesce(summary ->> 'live_version', '') as live, parse_id, export_path
        from als_summaries where artist_id = %(artist)s order by parse_timestamp desc limit %(limit)s""",
    "prompts": f"""
        select {item_name("t")} as item, t.prompt_text as prompt,
          case when p.origin = 'model' then concat_ws(', ', t.model_name, t.system_prompt_version)
            else 'a person' end as by
        from training_items t left join prompts p on p.id = t.prompt_id
        where t.artist_id = %(artist)s and t.prompt_text is not null and t.excluded_at is null
        order by t.generated_at desc nulls last limit %(limit)s""",
    "training_items": f"""
        select {item_name("training_items")} as item, status, coalesce(audio_format, '') as audio,
          round(audio_duration_seconds::numeric, 2)::float8 as seconds,
          concat_ws('; ', coalesce(error, case when excluded_at is not null then 'excluded' end),
            nullif(array_to_string(audio_findings, '; '), '')) as note,
          coalesce(audio_path, '') as audio_path
        from training_items where artist_id = %(artist)s order by created_at, id limit %(limit)s""",
    "dataset_zip": """
        select finished_at as finished, item_count as items, size_bytes,
          case when pruned_at is not null then 'pruned' else '' end as note, storage_path
        from datasets where artist_id = %(artist)s and state = 'done' order by finished_at desc limit %(limit)s""",
    "lora_weights": """
        select created_at as asked, state, promoted, backend, base, (parameters ->> 'steps')::int as steps,
          round((metrics ->> 'final_loss')::numeric, 4)::float8 as final_loss,
          round((metrics ->> 'base_validation_loss')::numeric, 4)::float8 as validation_of_base,
          round((metrics ->> 'best_validation_loss')::numeric, 4)::float8 as validation_of_lora,
          left(coalesce(error, ''), 120) as error, id as run
        from training_runs where artist_id = %(artist)s order by created_at desc limit %(limit)s""",
    "lora_evaluation": """
        select e.created_at as judged, e.verdict, r.promoted, e.decision,
          array_to_string(e.reasons, '; ') as reasons, e.run_id as run
        from lora_evaluations e join training_runs r on r.id = e.run_id
        where e.artist_id = %(artist)s order by e.created_at desc limit %(limit)s""",
}

# What each asset's rows of one artist are, for a reader with a client of their own.
_WHERE = {
    "als_summaries": "als_summaries where artist_id = '{artist}'",
    "prompts": "prompts where artist_id = '{artist}'",
    "training_items": "training_items where artist_id = '{artist}'",
    "dataset_zip": "datasets where artist_id = '{artist}' and state = 'done'",
    "preprocessed_segments": "audio_segments where audio_hash in (select audio_hash from {current} i)",
    "segment_tags": "segment_tags where segment_hash in (select segment_hash from audio_segments where audio_hash "
    "in (select audio_hash from {current} i))",
    "lora_weights": "training_runs where artist_id = '{artist}'",
    "lora_evaluation": "lora_evaluations where artist_id = '{artist}'",
    "lora_preview": "training_runs where artist_id = '{artist}' and promoted",
}


def contents(connection: Connection, artist_id: UUID, asset: str, limit: int) -> list[dict[str, Any]]:
    """Return at most `limit` rows; none for an asset whose report already shows all that it holds."""
    if asset not in _ROWS:
        return []
    return connection.execute(_ROWS[asset], {"artist": artist_id, "limit": limit}).fetchall()


def rows_query(artist_id: UUID, asset: str) -> str:
    """Return the SQL that shows what an asset holds of one artist."""
    return f"select * from {_rows_of(artist_id, asset)};".replace(" where ", "\nwhere ")


def row_count(connection: Connection, artist_id: UUID, asset: str) -> int:
    """Count those rows."""
    row = connection.execute(f"select count(*) as n from {_rows_of(artist_id, asset)}").fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return int(row["n"])


def _rows_of(artist_id: UUID, asset: str) -> str:
    current = " ".join(CURRENT_ITEMS.replace("%(artist)s", f"'{artist_id}'").split())
    return _WHERE[asset].format(artist=artist_id, current=current)
