"""Contents: what an asset holds for one artist now, as rows for a table (what a run changed is in its report)."""

from typing import Any
from uuid import UUID

from resources.database import Connection

_ROWS = {
    "als_summaries": """
        select coalesce(project_name || '/', '') || als_filename as live_set, summary -> 'overview' ->> 'tempo' as bpm,
          summary -> 'overview' ->> 'time_signature' as signature,
          summary -> 'overview' ->> 'total_tracks' as tracks,
          coalesce(summary ->> 'length_bars', '') as bars, coalesce(summary ->> 'live_version', '') as live,
          parse_id, export_path
        from als_summaries where artist_id = %(artist)s order by parse_timestamp desc limit %(limit)s""",
    "prompts": """
        select coalesce(t.item_key, t.id::text) as item, t.prompt_text as prompt, p.origin,
          t.model_name as writer, t.system_prompt_version as system_prompt
        from training_items t left join prompts p on p.id = t.prompt_id
        where t.artist_id = %(artist)s and t.prompt_text is not null and t.excluded_at is null
        order by t.generated_at desc nulls last limit %(limit)s""",
    "training_items": """
        select coalesce(item_key, id::text) as item, status, coalesce(audio_format, '') as audio,
          round(audio_duration_seconds::numeric, 2)::float8 as seconds,
          coalesce(error, case when excluded_at is not null then 'excluded' else '' end) as note,
          coalesce(audio_path, '') as audio_path
        from training_items where artist_id = %(artist)s order by created_at, id limit %(limit)s""",
}


def contents(connection: Connection, artist_id: UUID, asset: str, limit: int) -> list[dict[str, Any]]:
    """At most `limit` rows; empty for an asset whose report already shows all that it holds."""
    if asset not in _ROWS:
        return []
    return connection.execute(_ROWS[asset], {"artist": artist_id, "limit": limit}).fetchall()
