"""SQL of pairs that somebody saves at once: an item with its audio and a person's text, beside the pipeline's."""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.tables.training_items import Audio
from resources.database.base import Connection


@dataclass(frozen=True)
class SavedPair:
    """A pair that somebody saved at once, with its files in place."""

    id: UUID
    parse_id: str
    als_filename: str | None
    project_name: str | None
    audio: Audio
    prompt_path: str
    text: str
    text_hash: str
    author: str | None


def insert_saved_pair(connection: Connection, artist_id: UUID, pair: SavedPair, fingerprint: str) -> bool:
    """Insert a pair whose files are in place, as ready, with its text as a person's. False where its row is there.

    A text that a model wrote for the same set is told as that model's.
    """
    prompt = connection.execute(
        "insert into prompts (artist_id, als_summary_id, fingerprint, origin, text, author, created_at) "
        "values (%(artist)s, (select id from als_summaries where artist_id = %(artist)s and parse_id = %(parse)s), "
        "%(fingerprint)s, 'human', %(text)s, %(author)s, clock_timestamp()) on conflict (artist_id, fingerprint) "
        "do update set author = coalesce(prompts.author, excluded.author) returning id",
        _saved(artist_id, pair) | {"fingerprint": fingerprint},
    ).fetchone()
    assert prompt is not None  # noqa: S101 - an upsert returns its row
    return (
        connection.execute(
            """
            insert into training_items (id, artist_id, als_summary_id, prompt_summary_id, parse_id, als_filename,
              project_name, audio_path, audio_hash, audio_format, audio_duration_seconds, audio_findings, prompt_path,
              prompt_file_hash,
              prompt_text, prompt_id, status, system_prompt_version, model_name, generated_at)
            select %(id)s, %(artist)s, s.id, s.id, %(parse)s, %(als_filename)s, %(project_name)s, %(path)s, %(sha256)s,
              %(format)s, %(duration)s, %(findings)s, %(prompt_path)s, %(text_hash)s, %(text)s, %(prompt)s, 'ready',
              m.system_prompt_version, m.model_name, coalesce(m.created_at, now())
            from (select) nothing
            left join als_summaries s on s.artist_id = %(artist)s and s.parse_id = %(parse)s
            left join lateral (
              select p.system_prompt_version, coalesce(p.served_model, p.model_name) as model_name, p.created_at
              from prompts p
              where p.als_summary_id = s.id and p.origin = 'model' and p.text = %(text)s
              order by p.created_at desc limit 1) m on true
            on conflict (id) do nothing""",
            _saved(artist_id, pair) | {"prompt": prompt["id"]},
        ).rowcount
        == 1
    )


def say_again(connection: Connection, item_id: UUID) -> bool:
    """Let a saved pair's text be its person's latest word again, where another item's took its place or it failed.

    It is ready anew then. False where nothing had to be changed.
    """
    return (
        connection.execute(
            """
            update training_items t set prompt_text_at = clock_timestamp(), status = 'ready', error = null,
              updated_at = now()
            where t.id = %s and t.excluded_at is null and (t.status = 'failed' or exists (
              select from training_items o where o.artist_id = t.artist_id and o.audio_hash = t.audio_hash
                and o.id <> t.id and o.excluded_at is null and o.prompt_text_at > t.prompt_text_at))""",
            [item_id],
        ).rowcount
        == 1
    )


def _saved(artist_id: UUID, pair: SavedPair) -> dict[str, object]:
    return {
        "id": pair.id,
        "artist": artist_id,
        "parse": pair.parse_id,
        "als_filename": pair.als_filename,
        "project_name": pair.project_name,
        "path": pair.audio.path,
        "sha256": pair.audio.sha256,
        "format": pair.audio.format,
        "duration": pair.audio.duration_seconds,
        "findings": list(pair.audio.findings),
        "prompt_path": pair.prompt_path,
        "text_hash": pair.text_hash,
        "text": pair.text,
        "author": pair.author,
    }
