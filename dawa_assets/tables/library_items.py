"""SQL of items as they are shown: text and who wrote it, audio, why they wait, what they were cut into."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.alignments import StoredAlignment, alignments_of
from dawa_assets.tables.best_saves import BestSave, best_saves_of
from dawa_assets.tables.chosen_items import superseded_items
from dawa_assets.tables.item_findings import ShownFinding, shown_findings
from dawa_assets.tables.library_sets import REASON, TEXT_BY, Badge
from dawa_assets.tables.names import item_name
from resources.database.base import Connection


@dataclass(frozen=True)
class Exclusion:
    """Since when an item is out, why and by whom; both empty where the dashboard excluded it."""

    at: datetime
    reason: str
    author: str


@dataclass
class ShownItem:
    """A training item as a person sees it."""

    id: UUID
    name: str
    parse_id: str
    live_set_id: UUID | None
    als_filename: str | None
    project_name: str | None
    is_saved_pair: bool
    status: str
    badge: Badge
    reason: str | None
    text: str | None
    text_by: Literal["model", "person"] | None
    model: str | None
    system_prompt_version: str | None
    text_at: datetime | None
    is_regenerating: bool
    audio_path: str | None
    audio_format: str | None
    audio_seconds: float | None
    audio_hash: str | None
    excluded_at: datetime | None
    excluded_by: str
    created_at: datetime
    updated_at: datetime
    segments: list[tuple[float, float]] = field(default_factory=list)
    """Begin and end in seconds of what its audio was cut into; empty before it was."""
    findings: list[str] = field(default_factory=list)
    """What was found in its audio, one line each."""
    quality: list[ShownFinding] = field(default_factory=list)
    """What the quality gate says of it."""
    superseded_by: str | None = None
    """The item of the same audio that is in datasets in its place."""
    alignment: StoredAlignment | None = None
    """Where its audio begins in its Live Set; None where the two were not compared."""
    best_save: BestSave | None = None
    """The Live Set that its audio fits best; None where no others were compared, or none fits."""

    @property
    def excluded(self) -> Exclusion | None:
        """Why it is out; None where it is in."""
        return None if self.excluded_at is None else Exclusion(self.excluded_at, self.reason or "", self.excluded_by)


_ITEMS = f"""
  select i.id, {item_name("i")} as name, i.parse_id, i.als_summary_id as live_set_id,
    i.als_filename, i.project_name, i.item_key is null and i.audio_path is not null as is_saved_pair, i.status,
    case when i.excluded_at is not null then 'excluded' else i.status end as badge, {REASON} as reason,
    i.prompt_text as text, {TEXT_BY} as text_by, i.model_name as model, i.system_prompt_version,
    coalesce(i.generated_at, p.created_at) as text_at,
    coalesce(p.given_back_at is not null or p.take is distinct from i.prompt_take and p.origin = 'model', false)
      and i.prompt_text is not null as is_regenerating,
    i.audio_path, i.audio_format, i.audio_duration_seconds as audio_seconds, i.audio_hash,
    i.audio_findings as findings, i.excluded_at,
    coalesce((select e.author from item_exclusions e
      where e.training_item_id = i.id and e.excluded and e.at = i.excluded_at limit 1), '') as excluded_by,
    coalesce(i.created_at, 'epoch') as created_at, coalesce(i.updated_at, i.created_at, 'epoch') as updated_at
  from training_items i left join prompts p on p.id = i.prompt_id"""

# Every recipe cuts at the same times, so one of them says where; `mono44` first, at its 44,100 samples a second.
_SEGMENTS = """
  select distinct on (audio_hash, index) audio_hash, start_seconds as start,
    start_seconds + samples / case recipe when 'mono44' then 44100.0 else 48000.0 end as end
  from audio_segments where audio_hash = any(%s) and recipe in ('mono44', 'stereo48')
  order by audio_hash, index, recipe"""


def shown_items(connection: Connection, artist_id: UUID, ids: list[UUID] | None = None) -> list[ShownItem]:
    """Return the artist's items, oldest first; those of these ids alone where they are given."""
    with connection.cursor(row_factory=class_row(ShownItem)) as cursor:
        items = cursor.execute(
            f"{_ITEMS} where i.artist_id = %(artist)s and (%(ids)s::uuid[] is null or i.id = any(%(ids)s)) "
            "order by i.created_at, i.id",
            {"artist": artist_id, "ids": ids},
        ).fetchall()
    hashes = [item.audio_hash for item in items if item.audio_hash is not None]
    cuts: dict[str, list[tuple[float, float]]] = {}
    for row in connection.execute(_SEGMENTS, [hashes]):
        cuts.setdefault(row["audio_hash"], []).append((row["start"], float(row["end"])))
    superseded = {each.id: each.by for each in superseded_items(connection, artist_id)}
    aligned = {each.item_id: each.alignment for each in alignments_of(connection, artist_id, ids)}
    best = best_saves_of(connection, artist_id, ids)
    quality: dict[UUID, list[ShownFinding]] = {}
    for found in shown_findings(connection, artist_id, ids):
        quality.setdefault(found.item_id, []).append(found)
    for item in items:
        item.alignment, item.best_save = aligned.get(item.id), best.get(item.id)
        item.quality = quality.get(item.id, [])
        item.segments = cuts.get(item.audio_hash or "", [])
        item.superseded_by = superseded.get(item.id)
    return items


def hash_of_audio(connection: Connection, artist_id: UUID, path: str) -> str | None:
    """Return the SHA-256 of the audio that an item of the artist has at this key; None where none is known."""
    row = connection.execute(
        "select audio_hash from training_items where artist_id = %s and audio_path = %s and audio_hash is not null",
        [artist_id, path],
    ).fetchone()
    return None if row is None else str(row["audio_hash"])


@dataclass(frozen=True)
class ItemAudio:
    """An item's audio, as far as a link to it needs."""

    name: str
    audio_path: str
    seconds: float | None


def latest_audio(connection: Connection, slug: str, limit: int) -> list[ItemAudio]:
    """Return the audio of the items of an artist that have some, the newest first."""
    with connection.cursor(row_factory=class_row(ItemAudio)) as cursor:
        return cursor.execute(
            f"""
            select {item_name("t")} as name, t.audio_path, t.audio_duration_seconds::float8 as seconds
            from training_items t join artists a on a.id = t.artist_id
            where a.slug = %s and t.audio_path is not null and t.excluded_at is null
            order by t.created_at desc, t.id limit %s
            """,
            [slug, limit],
        ).fetchall()
