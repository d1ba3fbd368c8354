"""SQL of reports on adapters: every song of a run's dataset, and who permitted what of it then and now."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from psycopg.rows import class_row

from dawa_assets.tables.names import track_name
from dawa_assets.tables.permissions import COVERS_TRACK
from resources.database.base import Connection


@dataclass(frozen=True)
class ReportedSong:
    """A song as it was in the dataset, and what became of it since."""

    position: int
    song: str
    live_set: str | None
    parse_id: str | None
    audio_sha256: str
    audio_format: str
    seconds: float | None
    """None where its item is gone."""
    withdrawn_at: datetime | None
    withdrawn_because: str | None


@dataclass(frozen=True)
class ReportedPermission:
    """A permission that covers a song: its terms, and whether it was in force when the training began."""

    position: int
    id: UUID
    purposes: list[str]
    granted_by: str
    evidence: str
    evidence_sha256: str | None
    valid_from: date
    valid_until: date | None
    territory: str
    revoked_at: datetime | None
    held_then: bool


@dataclass(frozen=True)
class ReportedDataset:
    """The dataset of a run."""

    fingerprint: str
    storage_path: str
    sha256: str | None
    size_bytes: int | None
    finished_at: datetime | None


def reported_dataset(connection: Connection, run_id: UUID) -> ReportedDataset | None:
    """Return the dataset of a run; None where it has none."""
    with connection.cursor(row_factory=class_row(ReportedDataset)) as cursor:
        return cursor.execute(
            "select d.fingerprint, d.storage_path, d.sha256, d.size_bytes, d.finished_at "
            "from training_runs r join datasets d on d.id = r.dataset_id where r.id = %s",
            [run_id],
        ).fetchone()


def run_parameters(connection: Connection, run_id: UUID) -> dict[str, object]:
    """Return what a training was asked for."""
    row = connection.execute("select parameters from training_runs where id = %s", [run_id]).fetchone()
    return {} if row is None else dict(row["parameters"])


def reported_songs(connection: Connection, run_id: UUID) -> list[ReportedSong]:
    """Return the songs of a run's dataset in order; one is withdrawn where its item is left out by now."""
    with connection.cursor(row_factory=class_row(ReportedSong)) as cursor:
        return cursor.execute(
            f"""
            select i.position, {track_name("i")} as song, s.als_filename as live_set, i.parse_id,
              i.audio_hash as audio_sha256, i.audio_format, t.audio_duration_seconds as seconds,
              t.excluded_at as withdrawn_at, (
                select e.reason from item_exclusions e
                where e.training_item_id = t.id and e.excluded and e.at >= t.excluded_at
                order by e.at desc, e.id limit 1) as withdrawn_because
            from training_runs r join dataset_items i on i.dataset_id = r.dataset_id
            left join training_items t on t.id = i.training_item_id
            left join als_summaries s on s.id = i.als_summary_id
            where r.id = %s order by i.position
            """,
            [run_id],
        ).fetchall()


def reported_permissions(connection: Connection, run_id: UUID, zone: str) -> list[ReportedPermission]:
    """Return every permission that covers a song of a run's dataset, by song, the earliest first.

    It held then if it was on record when the run's row was made, its days included that day, and nobody had revoked it.
    """
    with connection.cursor(row_factory=class_row(ReportedPermission)) as cursor:
        return cursor.execute(
            f"""
            select i.position, p.id, p.purposes, p.granted_by, p.evidence, p.evidence_sha256, p.valid_from,
              p.valid_until, p.territory, v.revoked_at,
              p.recorded_at <= r.created_at and (v.revoked_at is null or v.revoked_at > r.created_at)
                and p.valid_from <= (r.created_at at time zone %(zone)s)::date
                and (p.valid_until is null or p.valid_until >= (r.created_at at time zone %(zone)s)::date) as held_then
            from training_runs r join dataset_items i on i.dataset_id = r.dataset_id
            join permissions p on p.artist_id = r.artist_id and {COVERS_TRACK}
            left join permission_revocations v on v.permission_id = p.id
            where r.id = %(run)s order by i.position, p.recorded_at, p.id
            """,
            {"run": run_id, "zone": zone},
        ).fetchall()
