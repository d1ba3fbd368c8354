"""What the tags of an artist's current segments say, counted: rows for a table, and a picture of the commonest."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from uuid import UUID

from dawa_assets.ableton.fonts import drawable, families
from dawa_assets.tables.datasets import CURRENT_ITEMS
from modal_app.tagging.tag_key import TaggerName
from resources.database.base import Connection

MAX_WORDS = 24

# A tag's value is a word, or a list of them. Of several taggers, each is counted for itself by the asked-for model.
_WORDS = f"""
  with heard as (
    select distinct on (s.segment_hash, i.position) t.tags
    from ({CURRENT_ITEMS}) i
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


def common_words(connection: Connection, artist_id: UUID, tagger: TaggerName) -> list[Word]:
    """The commonest words that one tagger has for the segments of the artist's current dataset."""
    values = {
        "artist": artist_id,
        "model": tagger.model,
        "any_model": tagger.any_model,
        "version": tagger.tag_prompt_version,
        "most": MAX_WORDS,
    }
    rows = connection.execute(_WORDS, values).fetchall()
    return [Word(row["tag"], row["word"], row["segments"], row["of_segments"]) for row in rows]


def draw_words(words: Sequence[Word]) -> bytes:
    """A PNG with one bar a word, coloured by tag."""
    from matplotlib.figure import Figure

    tags = sorted({word.tag for word in words})
    figure = Figure(figsize=(8, 0.7 + 0.24 * len(words)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for place, word in enumerate(words):
        colour = _COLOURS[tags.index(word.tag) % len(_COLOURS)]
        axes.barh(place, word.segments, color=colour, height=0.75)
        axes.text(word.segments, place, f" {word.segments}", va="center", fontsize=8)
    labels = [drawable(f"{word.tag}: {word.word}"[:48]).replace("$", r"\$") for word in words]
    axes.set_yticks(range(len(words)), labels, fontsize=8, family=families("".join(labels)))
    axes.invert_yaxis()
    axes.set(xlim=(0, words[0].of_segments * 1.06), xlabel=f"segments, of {words[0].of_segments}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    file = BytesIO()
    figure.savefig(file, dpi=80, metadata={"Software": None})
    return file.getvalue()


_COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#b45309", "#0e7490", "#be123c", "#4d7c0f", "#6b7280")
