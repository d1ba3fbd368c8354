"""SQL of pruning and retrying: which zips are old, which uploads were rejected, and who owns which files."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.current_datasets import CURRENT_DATASET_ID
from resources.database.base import Connection


@dataclass(frozen=True)
class RejectedUpload:
    """A ledger row of a file that was put aside."""

    id: UUID
    upload_id: str
    inbox_key: str
    folder: str
    name: str
    sha256: str
    final_key: str

    @property
    def shown(self) -> str:
        """The file as it was called in its upload."""
        return f"{self.folder}/{self.name}" if self.folder else self.name


@dataclass(frozen=True)
class Zip:
    """A finished dataset or export, as far as its files are concerned."""

    id: UUID
    storage_path: str
    manifest_path: str
    pruned_at: datetime | None
    is_current: bool


@dataclass(frozen=True)
class OwnItem:
    """A training item's files; `is_ours`: the pipeline made it, and nobody else writes into its folder."""

    id: UUID
    audio_path: str | None
    prompt_path: str | None
    is_ours: bool


def rejected_uploads(connection: Connection, artist_id: UUID) -> list[RejectedUpload]:
    """Return what was rejected and kept, in the order of arrival."""
    with connection.cursor(row_factory=class_row(RejectedUpload)) as cursor:
        return cursor.execute(
            "select id, upload_id, inbox_key, folder, name, sha256, final_key from uploads "
            "where artist_id = %s and state = 'rejected' and final_key is not null order by created_at, inbox_key, id",
            [artist_id],
        ).fetchall()


def is_rejected(connection: Connection, upload: RejectedUpload) -> bool:
    """Return whether a file is rejected still."""
    found = connection.execute("select from uploads where id = %s and state = 'rejected'", [upload.id])
    return found.rowcount == 1


def send_back(connection: Connection, upload: RejectedUpload) -> None:
    """Let a rejected file wait again, as one that nobody has looked at; it arrived when it arrived."""
    connection.execute(
        "update uploads set state = 'waiting', reason = null, final_key = null, training_item_id = null, "
        "als_summary_id = null, updated_at = now() where id = %s and state = 'rejected'",
        [upload.id],
    )


def zips(connection: Connection, artist_id: UUID) -> list[Zip]:
    """Return every finished dataset and export, the current one first, then the newest first."""
    with connection.cursor(row_factory=class_row(Zip)) as cursor:
        return cursor.execute(
            f"""
            select id, storage_path, manifest_path, pruned_at,
              id is not distinct from {CURRENT_DATASET_ID} as is_current
            from datasets where artist_id = %(artist)s and state in ('done', 'export')
            order by is_current desc, finished_at desc, id
            """,
            {"artist": artist_id},
        ).fetchall()


def dataset_paths(connection: Connection, artist_id: UUID) -> set[str]:
    """Return the paths of every dataset's zip and manifest, those being built included."""
    rows = connection.execute("select storage_path, manifest_path from datasets where artist_id = %s", [artist_id])
    return {path for row in rows for path in (row["storage_path"], row["manifest_path"])}


def mark_pruned(connection: Connection, artist_id: UUID, dataset_id: UUID) -> bool:
    """Record that a zip is gone, or about to be; false for the current dataset's and for one that says so already."""
    return (
        connection.execute(
            "update datasets set pruned_at = now() where id = %(id)s and artist_id = %(artist)s "
            f"and state in ('done', 'export') and pruned_at is null and id is distinct from {CURRENT_DATASET_ID}",
            {"id": dataset_id, "artist": artist_id},
        ).rowcount
        == 1
    )


def runs_with_files(connection: Connection, artist_id: UUID) -> set[UUID]:
    """Return the training runs whose files are needed: all but those that failed without ever having had an adapter."""
    rows = connection.execute(
        "select id from training_runs where artist_id = %s and (state <> 'failed' or promoted "
        "or adapter_key is not null)",
        [artist_id],
    )
    return {row["id"] for row in rows}


def own_items(connection: Connection, artist_id: UUID) -> dict[UUID, OwnItem]:
    """Return the artist's items by id."""
    with connection.cursor(row_factory=class_row(OwnItem)) as cursor:
        rows = cursor.execute(
            "select id, audio_path, prompt_path, item_key is not null as is_ours from training_items "
            "where artist_id = %s",
            [artist_id],
        ).fetchall()
    return {row.id: row for row in rows}


def expected_keys(connection: Connection, artist_id: UUID) -> set[str]:
    """Return where uploads that wait are about to go, and where those lie that were rejected."""
    rows = connection.execute(
        "select final_key from uploads where artist_id = %s and state <> 'taken' and final_key is not null",
        [artist_id],
    )
    return {row["final_key"] for row in rows}


def taken_uploads(connection: Connection, artist_id: UUID) -> list[tuple[str, str, str]]:
    """Upload id, folder and name of what was taken in."""
    rows = connection.execute(
        "select upload_id, folder, name from uploads where artist_id = %s and state = 'taken'", [artist_id]
    )
    return [(row["upload_id"], row["folder"], row["name"]) for row in rows]
