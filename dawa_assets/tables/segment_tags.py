"""SQL of tags: what taggers said of segments."""

import math
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.current_datasets import CURRENT_ITEMS
from modal_app.protocol.tagging import SegmentTags
from modal_app.tagging.tag_key import TaggerName
from resources.database.base import Connection

TagKey = tuple[str, str]
"""A segment's SHA-256 and the hint that its tagger was given."""

# A tag's value is a word, or a list of them. Of several taggers, each is counted for itself by the asked-for model.
_WORDS = f"""
  with heard as (
    select distinct on (s.segment_hash, i.position) t.tags
    from {CURRENT_ITEMS} i
    join audio_segments s on s.audio_hash = i.audio_hash and s.recipe = 'mono44'
    join segment_tags t on t.segment_hash = s.segment_hash and (t.model = %(model)s or %(any_model)s)
      and t.tag_prompt_version = %(version)s
    order by s.segment_hash, i.position, t.hint desc, t.created_at desc, t.model desc
  ), said as (
    select field.key as tag, word from heard
    cross join lateral jsonb_each(heard.tags) as field
    cross join lateral jsonb_array_elements_text(
      case jsonb_typeof(field.value) when 'array' then field.value else jsonb_build_array(field.value) end) as word
  )
  select tag, word, count(*)::int as segments, (select count(*) from heard)::int as of_segments
  from said where word <> '' group by tag, word order by segments desc, tag, word limit %(most)s
"""


@dataclass(frozen=True)
class Word:
    """A word of one tag, and how many segments have it, of how many."""

    tag: str
    word: str
    segments: int
    of_segments: int


def known_tags(connection: Connection, tagger: TaggerName, hashes: list[str]) -> dict[TagKey, str]:
    """Return the texts that a tagger gave these segments, by segment and hint; of several models', the newest."""
    rows = connection.execute(
        "select segment_hash, hint, text from segment_tags "
        "where (model = %s or %s) and tag_prompt_version = %s and segment_hash = any(%s) order by created_at, model",
        [tagger.model, tagger.any_model, tagger.tag_prompt_version, hashes],
    )
    return {(row["segment_hash"], row["hint"]): row["text"] for row in rows}


def add_tags(connection: Connection, tagged: list[SegmentTags]) -> None:
    """Store what a tagger said; what is there already stays."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into segment_tags (segment_hash, model, tag_prompt_version, hint, text, tags, figures, cost_usd, "
            "served_model) values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            [
                [
                    tags.sha256,
                    tags.model,
                    tags.tag_prompt_version,
                    tags.hint,
                    tags.text,
                    Jsonb(tags.tags),
                    Jsonb({name: _finite(value) for name, value in tags.figures.items()}),
                    tags.cost_usd,
                    tags.served_model,
                ]
                for tags in tagged
            ],
        )


def segment_texts(connection: Connection, dataset_id: UUID, tagger: TaggerName) -> dict[int, list[str]]:
    """Return one tagger's texts of each item's segments, by the item's position; one a segment, whatever the hint."""
    rows = connection.execute(
        """
        select position, array_agg(text order by index) as texts from (
          select distinct on (i.position, s.index) i.position, s.index, t.text
          from dataset_items i join audio_segments s on s.audio_hash = i.audio_hash
          join segment_tags t on t.segment_hash = s.segment_hash and (t.model = %s or %s)
            and t.tag_prompt_version = %s
          where i.dataset_id = %s order by i.position, s.index, t.hint desc, t.created_at desc, t.model desc) tagged
        group by position
        """,
        [tagger.model, tagger.any_model, tagger.tag_prompt_version, dataset_id],
    )
    return {row["position"]: row["texts"] for row in rows}


def common_words(connection: Connection, artist_id: UUID, tagger: TaggerName, limit: int) -> list[Word]:
    """Return the commonest words that one tagger has for the segments of the artist's current dataset."""
    values = {
        "artist": artist_id,
        "model": tagger.model,
        "any_model": tagger.any_model,
        "version": tagger.tag_prompt_version,
        "most": limit,
    }
    with connection.cursor(row_factory=class_row(Word)) as cursor:
        return cursor.execute(_WORDS, values).fetchall()


def _finite(value: float | None) -> float | None:
    """Return None for NaN and infinity, which JSON in PostgreSQL does not know."""
    return value if value is not None and math.isfinite(value) else None
