"""SQL of what an artist's rows say of objects: which must be there, with which size and hash, and which may be.

Read a page at a time in the order of keys (of code points, as buckets list them), so that a bucket's listing can be
held against it without either being in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.current_datasets import CURRENT_DATASET_ID
from dawa_assets.tables.names import item_name
from resources.database.base import Connection, Database

_PAGE = 5000


@dataclass(frozen=True)
class Claim:
    """That an object is there. `what` it is decides how it is mended; `sha256` is a Live Set's `parse_id` instead."""

    key: str
    what: str
    row_id: UUID
    name: str
    size: int | None
    sha256: str | None
    must: bool
    is_current: bool
    """Of a dataset's files: whether it is the artist's current one."""


_CLAIMS = f"""
  select source_key as key, 'Live Set' as what, id as row_id, als_filename as name, null::bigint as size,
    parse_id as sha256, true as must, false as is_current
  from als_summaries where artist_id = %(artist)s and source_key is not null
  union all
  select export_path || file, what, id, als_filename, null, null, true, false from als_summaries,
    (values ('/summary.json', 'summary'), ('/timeline_visualizer.png', 'timeline')) as outputs (file, what)
  where artist_id = %(artist)s and source_key is not null and export_path is not null
  union all
  select audio_path, 'audio', id, {item_name("training_items")}, null, audio_hash,
    status <> 'failed' and excluded_at is null, false
  from training_items where artist_id = %(artist)s and audio_path is not null
  union all
  -- a text that was edited since its file was written is not in it yet: the next build brings it there
  select prompt_path, 'prompt', id, {item_name("training_items")}, null,
    case when prompt_file_hash = encode(sha256(convert_to(prompt_text, 'UTF8')), 'hex') then prompt_file_hash end,
    excluded_at is null and coalesce(prompt_text, '') <> '', false
  from training_items where artist_id = %(artist)s and prompt_path is not null
  union all
  select storage_path, case when pruned_at is null then 'zip' else 'pruned zip' end, id, storage_path, size_bytes,
    sha256, state <> 'building' and pruned_at is null, id is not distinct from {CURRENT_DATASET_ID}
  from datasets where artist_id = %(artist)s
  union all
  select manifest_path, 'manifest', id, storage_path, null, sha256, state <> 'building', false
  from datasets where artist_id = %(artist)s
  union all
  select adapter_key || '/' || file.key, 'adapter', id, model_name, (metrics -> 'sizes' ->> file.key)::bigint,
    file.value, state = 'done', promoted
  from training_runs, jsonb_each_text(
    case jsonb_typeof(metrics -> 'files') when 'object' then metrics -> 'files' else '{{}}' end) as file
  where artist_id = %(artist)s and adapter_key is not null
  union all
  -- only the candidate's evaluation is looked at again, and made again, by a build
  select r.adapter_key || '/' || file.key, 'evaluation', r.id, r.model_name, file.value::bigint, null,
    r.state = 'done' and r.candidate_at is not null, r.promoted
  from lora_evaluations e join training_runs r on r.id = e.run_id, jsonb_each_text(
    case jsonb_typeof(e.files) when 'object' then e.files else '{{}}' end) as file
  where e.artist_id = %(artist)s and r.adapter_key is not null and e.adapter_sha256 = r.adapter_sha256
  union all
  select evidence_key, 'evidence', id, granted_by, null, evidence_sha256, true, false
  from permissions where artist_id = %(artist)s and evidence_key is not null
  union all
  select final_key || file, case when file = '' then 'rejected upload' else 'reason' end, id, name,
    case when file = '' then size_bytes end, case when file = '' then sha256 end, state = 'rejected', false
  from uploads, (values (''), ('.reason.txt')) as kept (file)
  where artist_id = %(artist)s and state <> 'taken' and final_key is not null
"""

_PATHS = """
  select 'als_summaries.export_path' as col, id, export_path as path from als_summaries where artist_id = %(artist)s
  union all select 'als_summaries.source_key', id, source_key from als_summaries where artist_id = %(artist)s
  union all select 'training_items.audio_path', id, audio_path from training_items where artist_id = %(artist)s
  union all select 'training_items.prompt_path', id, prompt_path from training_items where artist_id = %(artist)s
  union all select 'uploads.final_key', id, final_key from uploads where artist_id = %(artist)s
  union all select 'datasets.storage_path', id, storage_path from datasets where artist_id = %(artist)s
  union all select 'datasets.manifest_path', id, manifest_path from datasets where artist_id = %(artist)s
  union all select 'training_runs.adapter_key', id, adapter_key from training_runs where artist_id = %(artist)s
  union all select 'permissions.evidence_key', id, evidence_key from permissions where artist_id = %(artist)s
"""


def claims(database: Database, artist: Artist) -> Iterator[Claim]:
    """Yield everything that the artist's rows say of objects below their folder, in the order of keys."""
    after = ("", "", "")
    while True:
        with database.transaction() as connection, connection.cursor(row_factory=class_row(Claim)) as cursor:
            page = cursor.execute(
                f"select * from ({_CLAIMS}) c where public.dawa_is_under(key, %(slug)s) "
                'and (key collate "C", what collate "C", row_id::text collate "C") '
                "> (%(key)s::text, %(what)s::text, %(row)s::text) "
                'order by key collate "C", what collate "C", row_id::text collate "C" limit %(page)s',
                _values(artist) | dict(zip(("key", "what", "row"), after, strict=True)) | {"page": _PAGE},
            ).fetchall()
        yield from page
        if len(page) < _PAGE:
            return
        after = (page[-1].key, page[-1].what, str(page[-1].row_id))


def claim_now(connection: Connection, artist: Artist, claim: Claim) -> Claim | None:
    """Return what the same row says of the same object now; None where it says nothing any more."""
    with connection.cursor(row_factory=class_row(Claim)) as cursor:
        return cursor.execute(
            f"select * from ({_CLAIMS}) c where key = %(key)s and what = %(what)s and row_id = %(row)s",
            _values(artist) | {"key": claim.key, "what": claim.what, "row": claim.row_id},
        ).fetchone()


def known_among(connection: Connection, artist: Artist, keys: list[str]) -> set[str]:
    """Return which of these objects some row knows: by its key, or by the folder that it lies in.

    Of runs, and of items and summaries that somebody else wrote, the whole folder is theirs; pictures of pages have
    one of their own (`dawa_assets/plots/page_pictures.py`).
    """
    rows = connection.execute(
        f"""
        with asked as (
          select key, regexp_replace(key, '/[^/]*$', '') as folder, split_part(key, '/', 3) as part,
            split_part(key, '/', 4) as id
          from unnest(%(keys)s::text[]) as asked (key)
        )
        select key from asked where folder in (
            select export_path from als_summaries where artist_id = %(artist)s and export_path is not null
            and source_key is null)
          or part = 'pages'
          or part = 'loras' and id in (select id::text from training_runs where artist_id = %(artist)s)
          or part = 'training' and id in (
            select id::text from training_items where artist_id = %(artist)s and item_key is null)
          or key in (select key from ({_CLAIMS}) c)
        """,
        _values(artist) | {"keys": keys},
    )
    return {row["key"] for row in rows}


def paths_outside(connection: Connection, artist: Artist) -> list[tuple[str, UUID, str]]:
    """Column, row and path of every path that does not lie below the artist's folder."""
    rows = connection.execute(
        f"select * from ({_PATHS}) p where path is not null and not public.dawa_is_under(path, %(slug)s) order by 1, 2",
        _values(artist),
    )
    return [(row["col"], row["id"], row["path"]) for row in rows]


def _values(artist: Artist) -> dict[str, Any]:
    return {"artist": artist.id, "slug": artist.slug}
