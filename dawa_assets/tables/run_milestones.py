"""SQL of the milestones of trainings: which of them is a run's adapter, and what nobody chooses among any more."""

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.training_runs import RUN, Run
from resources.database.base import Connection


def replace_adapter(
    connection: Connection,
    run: Run,
    sha256: str,
    *,
    files: dict[str, str],
    sizes: dict[str, int],
    step: int,
    strength: float,
) -> None:
    """Record that another of a done run's milestones is its adapter now; its evaluation is still that of this run."""
    connection.execute(
        """
        update training_runs set adapter_sha256 = %(sha256)s, metrics = metrics
          || jsonb_build_object('files', metrics -> 'files' || %(files)s, 'sizes', metrics -> 'sizes' || %(sizes)s,
            'kept_step', %(step)s::int, 'strength', %(strength)s::float8,
            'trained_sha256', coalesce(metrics ->> 'trained_sha256', adapter_sha256))
        where id = %(run)s and state = 'done'
        """,
        {
            "run": run.id,
            "sha256": sha256,
            "files": Jsonb(files),
            "sizes": Jsonb(sizes),
            "step": step,
            "strength": strength,
        },
    )
    connection.execute("update lora_evaluations set adapter_sha256 = %s where run_id = %s", [sha256, run.id])


def begin_dropping(connection: Connection, artist: Artist, model_name: str) -> list[Run]:
    """Return runs whose milestones nobody chooses among any more; from here on their rows have none of them.

    Those are done runs that are neither the candidate nor published. What is to be deleted stays on record as
    `dropping` until `end_dropping`.
    """
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"""
            update training_runs set metrics = metrics || jsonb_build_object(
              'milestones', '[]'::jsonb,
              'files', (select coalesce(jsonb_object_agg(key, value), '{{}}') from jsonb_each(metrics -> 'files')
                where not key like 'milestones/%%'),
              'sizes', (select coalesce(jsonb_object_agg(key, value), '{{}}') from jsonb_each(metrics -> 'sizes')
                where not key like 'milestones/%%'),
              'dropping', coalesce(metrics -> 'dropping', '[]') || (select coalesce(jsonb_agg(key), '[]')
                from jsonb_object_keys(metrics -> 'files') as key where key like 'milestones/%%'))
            where artist_id = %s and model_name = %s and state = 'done' and candidate_at is null and not promoted
              and (metrics ? 'dropping' or jsonb_array_length(
                case jsonb_typeof(metrics -> 'milestones') when 'array' then metrics -> 'milestones' else '[]' end) > 0)
            returning {RUN}
            """,
            [artist.id, model_name],
        ).fetchall()


def end_dropping(connection: Connection, run: Run) -> None:
    """Record that the files of a run's milestones are deleted."""
    connection.execute("update training_runs set metrics = metrics - 'dropping' where id = %s", [run.id])
