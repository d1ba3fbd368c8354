"""SQL of what lost files can be made from: rows' contents, and other files that hold the same bytes."""

from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.datasets import Dataset, WantedItem
from resources.database.base import Connection


def files_of_audio(connection: Connection, artist_id: UUID, sha256: str) -> list[str]:
    """Return where the artist's items have audio of this hash, by their rows."""
    rows = connection.execute(
        "select distinct audio_path from training_items t join artists a on a.id = t.artist_id "
        "where t.artist_id = %s and audio_hash = %s and audio_path is not null "
        "and public.dawa_is_under(audio_path, a.slug) order by 1",
        [artist_id, sha256],
    )
    return [row["audio_path"] for row in rows]


def zips_with_audio(connection: Connection, artist_id: UUID, sha256: str) -> list[tuple[str, int, str]]:
    """Zip, position and format of the artist's datasets that hold audio of this hash, the newest first."""
    rows = connection.execute(
        "select d.storage_path, i.position, i.audio_format from dataset_items i join datasets d on d.id = i.dataset_id "
        "where d.artist_id = %s and i.audio_hash = %s and d.state <> 'building' and d.pruned_at is null "
        "order by d.finished_at desc, i.position",
        [artist_id, sha256],
    )
    return [(row["storage_path"], row["position"], row["audio_format"]) for row in rows]


def summary_of(connection: Connection, summary_id: UUID) -> Any:
    """Return the content of a summary's row."""
    return _one(connection, "select summary as value from als_summaries where id = %s", summary_id)


def kept_set_of(connection: Connection, artist_id: UUID, summary_id: UUID) -> tuple[str, str]:
    """Return where a summary's Live Set is kept, and its `parse_id`."""
    row = connection.execute(
        "select source_key, parse_id from als_summaries where artist_id = %s and id = %s", [artist_id, summary_id]
    ).fetchone()
    return ("", "") if row is None else (row["source_key"] or "", row["parse_id"])


def inbox_key_of(connection: Connection, upload_id: UUID) -> str:
    """Return where an upload lay in the inbox."""
    return str(_one(connection, "select inbox_key as value from uploads where id = %s", upload_id))


def reason_of(connection: Connection, upload_id: UUID) -> str:
    """Return why an upload was rejected."""
    return str(_one(connection, "select reason as value from uploads where id = %s", upload_id) or "")


def forget_kept_copy(connection: Connection, upload_id: UUID, key: str) -> None:
    """Let the row of a rejected upload say that the copy that was kept of it is gone."""
    connection.execute(
        "update uploads set final_key = null, reason = coalesce(reason, '') || '; the copy that was kept is gone', "
        "updated_at = now() where id = %s and state = 'rejected' and final_key = %s",
        [upload_id, key],
    )


def dataset_with_items(connection: Connection, dataset_id: UUID) -> tuple[Dataset, list[WantedItem]]:
    """Return a dataset and what was in it, in order; without the items whose rows are gone."""
    with connection.cursor(row_factory=class_row(Dataset)) as cursor:
        dataset = cursor.execute(
            "select id, fingerprint, state, storage_path, manifest_path, item_count, size_bytes, sha256, pruned_at "
            "from datasets where id = %s",
            [dataset_id],
        ).fetchone()
    with connection.cursor(row_factory=class_row(WantedItem)) as cursor:
        items = cursor.execute(
            "select training_item_id as id, item_key, null as als_filename, parse_id, als_summary_id, audio_path, "
            "audio_hash, audio_format, prompt_id, prompt_text, 'exported' as status from dataset_items "
            "where dataset_id = %s and training_item_id is not null order by position",
            [dataset_id],
        ).fetchall()
    assert dataset is not None  # noqa: S101 - the caller holds its lease and has just seen it
    return dataset, items


def _one(connection: Connection, query: str, row_id: UUID) -> Any:
    row = connection.execute(query, [row_id]).fetchone()
    return None if row is None else row["value"]
