"""SQL of how fast trainings went, and how much memory they held: what the next one is expected to take."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from modal_app.protocol.training import AdapterKind
from resources.database.base import Connection


@dataclass(frozen=True)
class TrainingPace:
    """How a training on a base went: seconds of audio a second of its steps, and the most memory that it held."""

    device: str
    targets: str
    adapter_kind: AdapterKind
    pace: float
    peak_bytes: int | None
    finished_at: datetime


def latest_paces(connection: Connection, backend: str, base: str, *, on_modal: bool) -> list[TrainingPace]:
    """Return the latest training on a base for each device, layers and kind of adapter, whoever's it was.

    Those on this machine or those on Modal; the latest first.
    """
    with connection.cursor(row_factory=class_row(TrainingPace)) as cursor:
        return cursor.execute(
            """
            select * from (
              select distinct on (device, targets, adapter_kind) * from (
                select metrics ->> 'device' as device, coalesce(parameters ->> 'targets', 'attention') as targets,
                  coalesce(parameters ->> 'adapter_kind', 'lora') as adapter_kind,
                  (metrics ->> 'samples_per_second')::float8 * (parameters ->> 'segment_seconds')::float8 as pace,
                  (metrics ->> 'peak_bytes')::int8 as peak_bytes, finished_at
                from training_runs
                where backend = %s and base = %s and state = 'done' and metrics ->> 'device' <> ''
                  and (metrics ->> 'gpu_seconds' is not null) = %s) measured
              where pace > 0 order by device, targets, adapter_kind, finished_at desc) latest
            order by finished_at desc
            """,
            [backend, base, on_modal],
        ).fetchall()
