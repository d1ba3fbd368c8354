"""SQL of datasets: what belongs in one, and the rows of those being built and done."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.chosen_items import PLACE_OF_ITS_AUDIO, WHOLE_SET, Superseded, superseded_items
from dawa_assets.tables.current_datasets import CURRENT_DATASETS
from dawa_assets.tables.item_exclusions import EXCLUDED_TRACK, excluded_positions
from dawa_assets.tables.training_items import UNDESCRIBED
from resources.database.base import Connection

NEW_ITEMS_PREFIX = "new-items:"
"""Before the fingerprint of an export of new items only: never the same row as a whole set of equal content."""

EMPTY_FINGERPRINT = hashlib.sha256(b"").hexdigest()
"""Of a dataset without any track: what an artist has when all that their last one could still hold was excluded."""

# Hashes and formats hold no spaces, and a hash stands for the text, so no two contents give the same lines.
_FINGERPRINT = """encode(sha256(convert_to(string_agg(
    audio_hash || ' ' || audio_format || ' ' || encode(sha256(convert_to(prompt_text, 'UTF8')), 'hex'),
    E'\\n' order by created_at, id), 'UTF8')), 'hex')"""

_WITH_SUMMARIES = """from dataset_items i left join training_items t on t.id = i.training_item_id
            left join als_summaries s on s.id = coalesce(t.als_summary_id, i.als_summary_id)"""
# Of these: the tempo that an item's Live Set states now; null where that is no usable one.
_BPM = """case when jsonb_typeof(s.summary -> 'overview' -> 'tempo') = 'number'
                and (s.summary -> 'overview' ->> 'tempo')::numeric between 1 and 1000
                then (s.summary -> 'overview' ->> 'tempo')::double precision end"""
_KEY = """case when s.summary -> 'scale' ->> 'name' in ('Major', 'Minor')
                and s.summary -> 'scale' ->> 'root' ~ '^[A-G][#b♯♭]?$'
                then (s.summary -> 'scale' ->> 'root') || ' ' || lower(s.summary -> 'scale' ->> 'name') end"""


@dataclass(frozen=True)
class WantedItem:
    """One training item that belongs in the next dataset, as it was seen."""

    id: UUID
    item_key: str | None
    als_filename: str | None
    parse_id: str
    als_summary_id: UUID | None
    audio_path: str
    audio_hash: str
    audio_format: str
    prompt_id: UUID | None
    prompt_text: str
    status: str

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.item_key or self.als_filename or str(self.id)


@dataclass(frozen=True)
class Wanted:
    """What the next dataset would hold, in its order, and the fingerprint of that; both of one moment."""

    items: list[WantedItem]
    fingerprint: str | None
    superseded: list[Superseded]


@dataclass(frozen=True)
class Dataset:
    """A row of `datasets`."""

    id: UUID
    fingerprint: str
    state: str
    storage_path: str
    manifest_path: str
    item_count: int
    size_bytes: int | None
    sha256: str | None
    pruned_at: datetime | None


@dataclass(frozen=True)
class TrainingTrack:
    """One item of a dataset, with the tempo, the metre and the key that its Live Set states now."""

    position: int
    training_item_id: UUID | None
    item_key: str | None
    audio_path: str
    audio_hash: str
    audio_format: str
    prompt_text: str
    bpm: float | None
    time_signature: str | None
    key: str | None
    """`A minor`; None for any other scale than a major or a minor one."""
    parse_id: str | None = None
    """Of the Live Set that it states them in."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.item_key or str(self.training_item_id or f"track {self.position}")

    @property
    def song(self) -> str:
        """What keeps segments of one song together, whatever happens to its audio."""
        return self.item_key or str(self.training_item_id or self.audio_hash)


@dataclass(frozen=True)
class ExportedTrack:
    """One item of a dataset for another trainer, with what its Live Set states now."""

    position: int
    item_key: str | None
    audio_hash: str
    audio_format: str
    prompt_text: str
    bpm: float | None
    time_signature: str | None
    key: str | None = None

    @property
    def title(self) -> str:
        """The set's own name, without its project's."""
        return (self.item_key or f"Track {self.position}").rpartition("/")[2]


_DATASET = "id, fingerprint, state, storage_path, manifest_path, item_count, size_bytes, sha256, pruned_at"


def artists_whose_dataset_would_differ(connection: Connection) -> list[str]:
    """Slugs of the artists whose wanted content is not that of their current dataset, in one query.

    Among them are those for whom somebody else saved a pair that nobody has looked at yet. An artist without any item
    that could go into a dataset is not, there is nothing to build; unless the one they have holds what was excluded.
    Nor is one who is being deleted.
    """
    rows = connection.execute(f"""
        with belonging as (
          select *, {PLACE_OF_ITS_AUDIO} as place from training_items where {WHOLE_SET}
        ), wanted as (
          select artist_id, {_FINGERPRINT} as fingerprint from belonging where place = 1 group by artist_id
        ), current as (
          select id, artist_id, fingerprint from {CURRENT_DATASETS} d
        ), due as (
          select a.slug from wanted w join artists a on a.id = w.artist_id
          left join current c on c.artist_id = w.artist_id
          where c.fingerprint is distinct from w.fingerprint
          union select a.slug from artists a
          where exists (select from training_items where artist_id = a.id and {UNDESCRIBED})
          union select a.slug from current c join artists a on a.id = c.artist_id
          where not exists (select from wanted w where w.artist_id = c.artist_id)
            and exists (select from dataset_items i join datasets d on d.id = i.dataset_id
              where d.id = c.id and {EXCLUDED_TRACK})
        )
        select slug from due where slug not in (select slug from artist_deletions where finished_at is null)
        order by slug
    """)
    return [row["slug"] for row in rows]


def wanted(connection: Connection, artist: Artist, *, new_items_only: bool) -> Wanted:
    """Return what the artist's next dataset would hold: whole, or only what was never exported."""
    rows = connection.execute(
        f"""
        with belonging as (
          select *, {PLACE_OF_ITS_AUDIO} as place from training_items where artist_id = %(artist)s and {WHOLE_SET}
        ), chosen as (
          select * from belonging where place = 1 and (not %(new_items_only)s or status = 'ready')
        )
        select id, item_key, als_filename, parse_id, als_summary_id, audio_path, audio_hash, audio_format, prompt_id,
          prompt_text, status, (select {_FINGERPRINT} from chosen) as fingerprint
        from chosen order by created_at, id
        """,
        {"artist": artist.id, "new_items_only": new_items_only},
    ).fetchall()
    superseded = superseded_items(connection, artist.id)
    if not rows:
        emptied = not new_items_only and _must_be_emptied(connection, artist)
        return Wanted([], EMPTY_FINGERPRINT if emptied else None, superseded)
    prefix = NEW_ITEMS_PREFIX if new_items_only else ""
    fingerprint = prefix + str(rows[0]["fingerprint"])
    items = [WantedItem(**{k: v for k, v in row.items() if k != "fingerprint"}) for row in rows]
    return Wanted(items, fingerprint, superseded)


def _must_be_emptied(connection: Connection, artist: Artist) -> bool:
    """Return whether the current dataset is empty, or holds something that was excluded since."""
    current = current_dataset(connection, artist.id)
    return current is not None and (current.item_count == 0 or bool(excluded_positions(connection, current.id)))


def current_dataset(connection: Connection, artist_id: UUID) -> Dataset | None:
    """Return the artist's current dataset."""
    with connection.cursor(row_factory=class_row(Dataset)) as cursor:
        return cursor.execute(
            f"select {_DATASET} from {CURRENT_DATASETS} d where artist_id = %s", [artist_id]
        ).fetchone()


def last_export(connection: Connection, artist_id: UUID) -> Dataset | None:
    """Return the export of new items that was finished last."""
    with connection.cursor(row_factory=class_row(Dataset)) as cursor:
        return cursor.execute(
            f"select {_DATASET} from datasets where artist_id = %s and state = 'export' "
            "order by finished_at desc limit 1",
            [artist_id],
        ).fetchone()


def count_items(connection: Connection, dataset_id: UUID) -> int:
    """Count the items that are recorded for a dataset."""
    row = connection.execute(
        "select count(*) as items from dataset_items where dataset_id = %s", [dataset_id]
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return int(row["items"])


def is_as_exported(connection: Connection, export: Dataset) -> bool:
    """Return whether nothing happened since an export: its items are as it holds them, and no others were exported."""
    changed = connection.execute(
        """
        select from dataset_items i left join training_items t on t.id = i.training_item_id
        where i.dataset_id = %(export)s and (t.id is null or t.status <> 'exported' or t.excluded_at is not null
          or t.audio_hash is distinct from i.audio_hash or t.prompt_text is distinct from i.prompt_text)
        union all
        select from training_items t join datasets d on d.artist_id = t.artist_id
        where d.id = %(export)s and t.status = 'exported' and t.updated_at > d.finished_at
          and not exists (select from dataset_items i where i.dataset_id = d.id and i.training_item_id = t.id)
        limit 1
        """,
        {"export": export.id},
    )
    return changed.rowcount == 0


def claim_dataset(connection: Connection, artist: Artist, fingerprint: str, item_count: int, stem: str) -> Dataset:
    """The row of this content: the one that is there (done, or left in building by a killed run), else a new one.

    `stem` names the files of a new one; an existing row keeps its own.
    """
    folder = f"artists/{artist.slug}/datasets"
    connection.execute(
        "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count) "
        "values (%s, %s, 'building', %s, %s, %s) on conflict (artist_id, fingerprint) do nothing",
        [artist.id, fingerprint, f"{folder}/{stem}.zip", f"{folder}/{stem}.json", item_count],
    )
    with connection.cursor(row_factory=class_row(Dataset)) as cursor:
        row = cursor.execute(
            f"select {_DATASET} from datasets where artist_id = %s and fingerprint = %s", [artist.id, fingerprint]
        ).fetchone()
    assert row is not None  # noqa: S101 - inserted or found, in this transaction
    return row


def abandoned_datasets(connection: Connection, artist: Artist, fingerprint: str | None) -> list[Dataset]:
    """Return rows left in building by killed runs, of content that is no longer wanted."""
    with connection.cursor(row_factory=class_row(Dataset)) as cursor:
        return cursor.execute(
            f"select {_DATASET} from datasets where artist_id = %s and state = 'building' "
            "and fingerprint is distinct from %s",
            [artist.id, fingerprint],
        ).fetchall()


def forget_dataset(connection: Connection, dataset: Dataset) -> None:
    """Remove a row that never got beyond building."""
    connection.execute("delete from datasets where id = %s and state = 'building'", [dataset.id])


def finish_dataset(
    connection: Connection, dataset: Dataset, state: str, items: list[WantedItem], size: int, sha256: str
) -> None:
    """Record a dataset's archive and items, and that it is `done` (now current) or an `export`.

    Rows that an item referred to may be gone by now: what was in the archive is recorded all the same.
    """
    connection.execute(
        "update datasets set state = %s, size_bytes = %s, sha256 = %s, item_count = %s, pruned_at = null, "
        "finished_at = clock_timestamp() where id = %s",
        [state, size, sha256, len(items), dataset.id],
    )
    connection.execute("delete from dataset_items where dataset_id = %s", [dataset.id])
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into dataset_items (dataset_id, position, training_item_id, item_key, parse_id, als_summary_id, "
            "audio_path, audio_hash, audio_format, prompt_id, prompt_text) "
            "values (%s, %s, (select id from training_items where id = %s), %s, %s, "
            "(select id from als_summaries where id = %s), %s, %s, %s, (select id from prompts where id = %s), %s)",
            [_item_row(dataset, position, item) for position, item in enumerate(items, start=1)],
        )


def make_current(connection: Connection, dataset: Dataset) -> None:
    """Make a done dataset the current one again."""
    connection.execute("update datasets set finished_at = clock_timestamp() where id = %s", [dataset.id])


def mark_exported(connection: Connection, items: list[WantedItem]) -> int:
    """Move items from `ready` to `exported` where prompt and audio are still those seen; how many were moved."""
    rows = connection.execute(
        """
        update training_items t set status = 'exported', updated_at = now()
        from unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[]) as seen (id, audio_hash, prompt_id, prompt_text)
        where t.id = seen.id and t.status = 'ready' and t.audio_hash = seen.audio_hash
          and t.prompt_id is not distinct from seen.prompt_id and t.prompt_text = seen.prompt_text
        """,
        [
            [item.id for item in items],
            [item.audio_hash for item in items],
            [item.prompt_id for item in items],
            [item.prompt_text for item in items],
        ],
    )
    return rows.rowcount


def fail_item(connection: Connection, item_id: UUID, audio_hash: str, reason: str) -> bool:
    """Mark an item failed if its audio is still the one seen; whether it was."""
    changed = connection.execute(
        "update training_items set status = 'failed', error = %s, updated_at = now() "
        "where id = %s and audio_hash = %s and status in ('ready', 'exported')",
        [reason, item_id, audio_hash],
    )
    return changed.rowcount == 1


def _item_row(dataset: Dataset, position: int, item: WantedItem) -> list[Any]:
    return [
        dataset.id,
        position,
        item.id,
        item.item_key,
        item.parse_id,
        item.als_summary_id,
        item.audio_path,
        item.audio_hash,
        item.audio_format,
        item.prompt_id,
        item.prompt_text,
    ]


def exported_tracks(connection: Connection, dataset_id: UUID) -> list[ExportedTrack]:
    """Return a dataset's items in order. The tempo is null where no summary states a usable one."""
    with connection.cursor(row_factory=class_row(ExportedTrack)) as cursor:
        return cursor.execute(
            f"""
            select i.position, i.item_key, i.audio_hash, i.audio_format, i.prompt_text,
              {_BPM} as bpm,
              s.summary -> 'overview' ->> 'time_signature' as time_signature,
              {_KEY} as key
            {_WITH_SUMMARIES} where i.dataset_id = %s order by i.position
            """,
            [dataset_id],
        ).fetchall()


def dataset_tracks(connection: Connection, dataset_id: UUID) -> list[TrainingTrack]:
    """Return a dataset's items in order. The tempo is null where no summary states a usable one."""
    with connection.cursor(row_factory=class_row(TrainingTrack)) as cursor:
        return cursor.execute(
            f"""
            select i.position, i.training_item_id, i.item_key, i.audio_path, i.audio_hash, i.audio_format,
              i.prompt_text,
              {_BPM} as bpm,
              s.summary -> 'overview' ->> 'time_signature' as time_signature,
              {_KEY} as key, s.parse_id
            {_WITH_SUMMARIES} where i.dataset_id = %s order by i.position
            """,
            [dataset_id],
        ).fetchall()
