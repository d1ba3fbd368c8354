"""SQL of approvals: trainings that wait until someone says that they may cost what they are expected to."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.artists import Artist
from resources.database.base import Connection


@dataclass(frozen=True)
class Approval:
    """A row of `training_approvals`; `approved_at` is empty while it is waited for."""

    fingerprint: str
    model_name: str
    dataset_id: UUID
    plan: str
    expected_usd: float | None
    asked_at: datetime
    approved_at: datetime | None
    approved_by: str | None


_APPROVAL = "fingerprint, model_name, dataset_id, plan, expected_usd, asked_at, approved_at, approved_by"


def ask_approval(
    connection: Connection,
    artist: Artist,
    fingerprint: str,
    *,
    model_name: str,
    dataset_id: UUID,
    plan: str,
    expected_usd: float | None,
) -> Approval:
    """Return the approval of a training, which waits where nobody has given it yet.

    What waited before under this model name is not to be trained any more: the dataset or the settings are others.
    """
    connection.execute(
        "delete from training_approvals "
        "where artist_id = %s and model_name = %s and fingerprint <> %s and approved_at is null",
        [artist.id, model_name, fingerprint],
    )
    connection.execute(
        "insert into training_approvals (artist_id, fingerprint, model_name, dataset_id, plan, expected_usd) "
        "values (%s, %s, %s, %s, %s, %s) on conflict (artist_id, fingerprint) do update "
        "set dataset_id = excluded.dataset_id, plan = excluded.plan, expected_usd = excluded.expected_usd",
        [artist.id, fingerprint, model_name, dataset_id, plan, expected_usd],
    )
    with connection.cursor(row_factory=class_row(Approval)) as cursor:
        found = cursor.execute(
            f"select {_APPROVAL} from training_approvals where artist_id = %s and fingerprint = %s",
            [artist.id, fingerprint],
        ).fetchone()
    assert found is not None  # noqa: S101 - it was inserted in this transaction
    return found


def waiting_approval(connection: Connection, artist: Artist, model_name: str) -> Approval | None:
    """Return what waits for approval under a model name; at most one does."""
    with connection.cursor(row_factory=class_row(Approval)) as cursor:
        return cursor.execute(
            f"select {_APPROVAL} from training_approvals "
            "where artist_id = %s and model_name = %s and approved_at is null order by asked_at desc limit 1",
            [artist.id, model_name],
        ).fetchone()


def approve(connection: Connection, artist: Artist, waiting: Approval, author: str) -> bool:
    """Approve what waits; false where somebody did already, or something else waits by now."""
    done = connection.execute(
        "update training_approvals set approved_at = now(), approved_by = %s "
        "where artist_id = %s and fingerprint = %s and approved_at is null",
        [author, artist.id, waiting.fingerprint],
    )
    return done.rowcount == 1


def drop_waiting(connection: Connection, artist: Artist, model_name: str) -> None:
    """Remove what waits under a model name: what is trained now needs nobody's word."""
    connection.execute(
        "delete from training_approvals where artist_id = %s and model_name = %s and approved_at is null",
        [artist.id, model_name],
    )
