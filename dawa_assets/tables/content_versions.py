"""SQL of content versions: one short hash per artist and asset, from what the asset holds and nothing else.

An asset whose inputs did not change keeps its version, so nothing downstream looks stale to Dagster. Row ids,
times and statuses are left out: they differ between two builds of the same content.
"""

from uuid import UUID

from dawa_assets.tables.current_datasets import CURRENT_DATASETS, CURRENT_ITEMS
from resources.database.base import Connection

PROFILES = """
    select string_agg(content_hash || coalesce(master_schema ->> 'schema_version', ''), '')
    from artist_profiles where artist_id = %(artist)s"""
SUMMARIES = """
    select string_agg(parse_id || ':' || coalesce(parser_version, ''), E'\n' order by parse_id)
    from als_summaries where artist_id = %(artist)s"""
PROMPTS = """
    select string_agg(coalesce(item_key, id::text) || ':' || md5(prompt_text), E'\n'
      order by coalesce(item_key, id::text))
    from training_items where artist_id = %(artist)s and prompt_text is not null"""
ITEMS = """
    select string_agg(concat_ws(':', coalesce(item_key, id::text), audio_hash, md5(prompt_text),
      excluded_at is not null), E'\n' order by coalesce(item_key, id::text))
    from training_items where artist_id = %(artist)s"""
DATASETS = f"""
    select fingerprint from {CURRENT_DATASETS} d where artist_id = %(artist)s"""
SEGMENTS = f"""
    select string_agg(s.segment_hash, E'\n' order by i.position, s.index)
    from {CURRENT_ITEMS} i join audio_segments s on s.audio_hash = i.audio_hash"""
TAGS = f"""
    select string_agg(t.segment_hash || t.hint || t.text, E'\n' order by i.position, s.index, t.model, t.hint)
    from {CURRENT_ITEMS} i join audio_segments s on s.audio_hash = i.audio_hash
    join segment_tags t on t.segment_hash = s.segment_hash"""
TRAININGS = """
    select fingerprint || coalesce(metrics ->> 'trained_sha256', adapter_sha256, '') from training_runs
    where artist_id = %(artist)s and candidate_at is not null order by candidate_at desc limit 1"""
EVALUATIONS = """
    select string_agg(concat_ws(':', r.fingerprint, r.adapter_sha256, r.promoted, e.rule, e.verdict), E'\n'
      order by r.fingerprint)
    from training_runs r left join lora_evaluations e on e.run_id = r.id
    where r.artist_id = %(artist)s and (r.candidate_at is not null or r.promoted)"""
PUBLISHED = """
    select fingerprint || coalesce(adapter_sha256, '') from training_runs
    where artist_id = %(artist)s and promoted order by finished_at desc limit 1"""


def content_version(connection: Connection, artist_id: UUID, content: str) -> str:
    """Return 16 hex digits that change exactly when an artist's `content` changes; `empty` for none.

    `content` is a query by `%(artist)s` for one text, which holds all that counts.
    """
    row = connection.execute(
        f"select left(encode(sha256(convert_to(({content}), 'UTF8')), 'hex'), 16) as version",
        {"artist": artist_id},
    ).fetchone()
    return str(row["version"]) if row is not None and row["version"] is not None else "empty"
