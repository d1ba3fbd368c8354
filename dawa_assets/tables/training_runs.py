"""SQL of training runs: begun, finished, failed, stranded; which one is to be judged, and which are published."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.errors import UnknownItemError
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.item_exclusions import EXCLUDED_TRACK
from resources.database.base import Connection


@dataclass(frozen=True)
class Run:
    """A row of `training_runs`."""

    id: UUID
    dataset_id: UUID | None
    fingerprint: str
    backend: str
    base: str
    model_name: str
    state: str
    metrics: dict[str, Any]
    adapter_key: str | None
    adapter_sha256: str | None
    promoted: bool
    candidate_at: datetime | None
    """Since when it is the one to be judged."""
    finished_at: datetime | None
    call_id: str | None
    """The latest call on another machine that trained it."""
    error: str | None
    created_at: datetime

    @property
    def imported(self) -> dict[str, Any] | None:
        """Where its adapter comes from, if it was not trained here: files, strength, base, and who imported it."""
        return self.metrics.get("imported")

    @property
    def taken_down(self) -> str | None:
        """Why it was taken down the last time, if it is not published again."""
        found = self.metrics.get("taken_down")
        return f"taken down {found['at'][:10]}: {found['reason']}" if found and not self.promoted else None


@dataclass(frozen=True)
class StrandedRun:
    """A run whose call on another machine nobody has looked after for a while."""

    id: UUID
    artist_id: UUID
    slug: str
    call_id: str


@dataclass(frozen=True)
class UntrainedDataset:
    """A current dataset that no training ended well for; `has_failed`: one was begun, and failed.

    `share` of its items is new since the last one, which may have heard items that are excluded by now. With
    `follows_upload`, something was uploaded into it since the dataset that was trained on last. With `is_approved`, a
    person approved of what its training costs.
    """

    artist_id: UUID
    slug: str
    fingerprint: str
    share: float
    trained_on_excluded: bool
    follows_upload: bool
    has_failed: bool
    is_approved: bool


RUN = (
    "id, dataset_id, fingerprint, backend, base, model_name, state, metrics, adapter_key, adapter_sha256, promoted, "
    "candidate_at, finished_at, call_id, error, created_at"
)


def claim_run(
    connection: Connection,
    artist: Artist,
    dataset_id: UUID | None,
    fingerprint: str,
    *,
    backend: str,
    base: str,
    model_name: str,
    parameters: dict[str, Any],
) -> Run:
    """Return the run of this fingerprint: the one that is there, whatever its state, else a new one, `running`."""
    connection.execute(
        "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, state) "
        "values (%s, %s, %s, %s, %s, %s, %s, 'running') on conflict (artist_id, fingerprint) do nothing",
        [artist.id, dataset_id, fingerprint, backend, base, model_name, Jsonb(parameters)],
    )
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        run = cursor.execute(
            f"select {RUN} from training_runs where artist_id = %s and fingerprint = %s", [artist.id, fingerprint]
        ).fetchone()
    assert run is not None  # noqa: S101 - inserted or found, in this transaction
    return run


def get_run(connection: Connection, run_id: UUID) -> Run:
    """Return a run that is known to be there."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        run = cursor.execute(f"select {RUN} from training_runs where id = %s", [run_id]).fetchone()
    assert run is not None  # noqa: S101 - the caller has just written it
    return run


def require_run(connection: Connection, artist: Artist, run_id: UUID) -> None:
    """Refuse what is asked of a run that the artist does not have.

    Raises:
        UnknownItemError: there is none of this id.
    """
    if not has_run(connection, artist, str(run_id)):
        raise UnknownItemError(f"run {run_id}: {artist.slug} has none of this id; look the id up again")


def has_run(connection: Connection, artist: Artist, run: str) -> bool:
    """Return whether the artist has a run of this id; a training over HTTP is none, whatever its id."""
    found = connection.execute("select from training_runs where artist_id = %s and id::text = %s", [artist.id, run])
    return found.rowcount == 1


def start_run(connection: Connection, run: Run, dataset_id: UUID | None) -> None:
    """Mark a run as running (again): one that failed, was left by a dead process, or lost its files.

    The call that a dead process left is still its call; that of a run which ended is not.
    """
    connection.execute(
        "update training_runs set state = 'running', error = null, dataset_id = %s, "
        "call_id = case when state = 'running' then call_id end where id = %s",
        [dataset_id, run.id],
    )


def call_of(connection: Connection, run_id: UUID) -> str | None:
    """Return the call that trains a run now; None where there is none, or the run is not under way."""
    row = connection.execute(
        "select call_id from training_runs where id = %s and state = 'running'", [run_id]
    ).fetchone()
    return None if row is None else row["call_id"]


def keep_call(connection: Connection, run_id: UUID, call_id: str | None) -> None:
    """Record the call that trains a run that is under way."""
    connection.execute("update training_runs set call_id = %s where id = %s and state = 'running'", [call_id, run_id])


_STRANDED = """
    select r.id, r.artist_id, a.slug, r.call_id from training_runs r
    join artists a on a.id = r.artist_id
    left join leases l on l.artist_id = r.artist_id and l.step = 'training'
    where r.state = 'running' and r.call_id is not null
"""


def stranded_runs(connection: Connection, grace_seconds: float) -> list[StrandedRun]:
    """Running runs with a call whose artist's training has been nobody's for longer than the grace period."""
    with connection.cursor(row_factory=class_row(StrandedRun)) as cursor:
        return cursor.execute(
            f"{_STRANDED} and coalesce(l.expires_at, r.created_at) < now() - make_interval(secs => %s) order by r.id",
            [grace_seconds],
        ).fetchall()


def is_stranded(connection: Connection, run: StrandedRun) -> bool:
    """Return whether a run still is what it was found to be."""
    return call_of(connection, run.id) == run.call_id


def give_up_run(connection: Connection, run: StrandedRun, error: str) -> bool:
    """Record that a stranded run's call was cancelled; false where another call trains it since."""
    done = connection.execute(
        "update training_runs set state = 'failed', error = %s where id = %s and state = 'running' and call_id = %s",
        [error, run.id, run.call_id],
    )
    return done.rowcount == 1


def fail_run(connection: Connection, run: Run, error: str) -> None:
    """Record why a run failed."""
    connection.execute(
        "update training_runs set state = 'failed', error = %s where id = %s and state = 'running'", [error, run.id]
    )


def forget_run(connection: Connection, run: Run) -> bool:
    """Remove the row of a run under way that never had an adapter; false where it has had one."""
    done = connection.execute(
        "delete from training_runs where id = %s and state = 'running' and adapter_key is null", [run.id]
    )
    return done.rowcount == 1


def finish_run(connection: Connection, run: Run, adapter_key: str, sha256: str, metrics: dict[str, Any]) -> None:
    """Record a run's adapter and figures: it is `done`."""
    connection.execute(
        "update training_runs set state = 'done', error = null, adapter_key = %s, adapter_sha256 = %s, metrics = %s, "
        "finished_at = now() where id = %s",
        [adapter_key, sha256, Jsonb(metrics), run.id],
    )


def make_candidate(connection: Connection, artist: Artist, run: Run, dataset_id: UUID) -> bool:
    """Make a done run the one of its model name that is to be judged; false where it was so already.

    It is noted as the current dataset's run: another dataset may well lead to the same examples.
    """
    connection.execute(
        "update training_runs set candidate_at = null "
        "where artist_id = %s and model_name = %s and candidate_at is not null and id <> %s",
        [artist.id, run.model_name, run.id],
    )
    changed = connection.execute(
        "update training_runs set candidate_at = now() where id = %s and state = 'done' and candidate_at is null",
        [run.id],
    )
    connection.execute(
        "update training_runs set dataset_id = %s where id = %s and dataset_id is distinct from %s",
        [dataset_id, run.id, dataset_id],
    )
    return changed.rowcount == 1


def candidate_run(connection: Connection, artist: Artist, model_name: str) -> Run | None:
    """Return the run that is to be judged, or was judged last."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {RUN} from training_runs where artist_id = %s and model_name = %s and candidate_at is not null",
            [artist.id, model_name],
        ).fetchone()


def candidate_runs(connection: Connection, artist: Artist) -> list[Run]:
    """Return the run of each model name that is to be judged, or was judged last."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {RUN} from training_runs where artist_id = %s and candidate_at is not null", [artist.id]
        ).fetchall()


def list_runs(connection: Connection, artist: Artist) -> list[Run]:
    """Return the artist's runs, the latest first."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {RUN} from training_runs where artist_id = %s order by created_at desc, id", [artist.id]
        ).fetchall()


def artists_with_run(connection: Connection, beginning: str) -> list[str]:
    """Return the slug of the artist of each run whose id begins so, three at most."""
    rows = connection.execute(
        "select a.slug from training_runs r join artists a on a.id = r.artist_id "
        "where starts_with(r.id::text, %s) order by r.id limit 3",
        [beginning.lower()],
    ).fetchall()
    return [row["slug"] for row in rows]


def latest_parameters(connection: Connection, artist: Artist, model_name: str) -> dict[str, Any] | None:
    """Return what the latest finished training of this model name was asked for; None where there was none.

    An adapter that was imported is no training.
    """
    row = connection.execute(
        "select parameters from training_runs where artist_id = %s and model_name = %s and state = 'done' "
        "and parameters ? 'steps' order by finished_at desc, id limit 1",
        [artist.id, model_name],
    ).fetchone()
    return None if row is None else row["parameters"]


def find_run(connection: Connection, artist: Artist, fingerprint: str) -> Run | None:
    """Return the run of a fingerprint, whatever its state; None where there is none."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {RUN} from training_runs where artist_id = %s and fingerprint = %s", [artist.id, fingerprint]
        ).fetchone()


def promoted_run(connection: Connection, artist: Artist, model_name: str) -> Run | None:
    """Return the run whose adapter is published under this model name."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {RUN} from training_runs where artist_id = %s and model_name = %s and promoted",
            [artist.id, model_name],
        ).fetchone()


def take_down(connection: Connection, run: Run, reason: str) -> None:
    """Record that a run's adapter is published no more, and why."""
    connection.execute(
        "update training_runs set promoted = false, metrics = metrics || jsonb_build_object('taken_down', "
        "jsonb_build_object('at', now(), 'reason', %s::text)) where id = %s and promoted",
        [reason, run.id],
    )


def promoted_among(connection: Connection, run_ids: Collection[UUID]) -> list[Run]:
    """Return those of these runs whose adapters are published, by model name."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {RUN} from training_runs where promoted and id = any(%s) order by model_name", [list(run_ids)]
        ).fetchall()


def untrained_datasets(
    connection: Connection, model_name: str, after: UUID | None, limit: int
) -> list[UntrainedDataset]:
    """Return the first current datasets that no training ended well for, by their artists' ids after this one.

    An item is new if the dataset of the last training of this model name had none of the same audio and text.
    """
    with connection.cursor(row_factory=class_row(UntrainedDataset)) as cursor:
        return cursor.execute(
            _UNTRAINED, {"model": model_name, "after": after or UUID(int=0), "limit": limit}
        ).fetchall()


# First what was not trained on, which is little, then which of that is current: the other way round looks up each.
_UNTRAINED = f"""
with untrained as (
  select d.artist_id, d.id, d.fingerprint, d.finished_at from datasets d
  where d.state = 'done' and d.artist_id > %(after)s
    and not exists (
      select from training_runs r where r.dataset_id = d.id and r.model_name = %(model)s and r.state = 'done')
    and not exists (
      select from datasets later
      where later.artist_id = d.artist_id and later.state = 'done' and later.finished_at > d.finished_at)
  order by d.artist_id limit %(limit)s
)
select u.artist_id, a.slug, u.fingerprint, (
    select coalesce(avg((not exists (
      select from dataset_items before
      where before.dataset_id = last.dataset_id and before.audio_hash = now.audio_hash
        and before.prompt_text = now.prompt_text))::int), 0)::double precision
    from dataset_items now where now.dataset_id = u.id
  ) as share, exists (
    select from dataset_items i join datasets d on d.id = i.dataset_id
    where d.id = last.dataset_id and {EXCLUDED_TRACK}
  ) as trained_on_excluded, exists (
    select from uploads p
    where p.artist_id = u.artist_id and p.state = 'taken' and p.updated_at <= u.finished_at and p.updated_at > coalesce(
      (select before.created_at from datasets before where before.id = last.dataset_id), '-infinity')
  ) as follows_upload, exists (
    select from training_runs r where r.dataset_id = u.id and r.model_name = %(model)s and r.state = 'failed'
  ) as has_failed, exists (
    select from training_approvals p
    where p.dataset_id = u.id and p.model_name = %(model)s and p.approved_at is not null
  ) as is_approved
from untrained u join artists a on a.id = u.artist_id
left join lateral (
  select r.dataset_id from training_runs r
  where r.artist_id = u.artist_id and r.model_name = %(model)s and r.state = 'done' and r.dataset_id is not null
  order by r.finished_at desc limit 1
) last on true
order by u.artist_id
"""
