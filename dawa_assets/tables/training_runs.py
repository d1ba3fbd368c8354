"""SQL of training: the current dataset's items, records of segments, tags, and the rows of training runs."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from modal_app.protocol.audio import PreparedAudio
from modal_app.protocol.tagging import SegmentTags
from modal_app.tagging.tag_key import TaggerName
from resources.database.base import Connection

TagKey = tuple[str, str]
"""A segment's SHA-256 and the hint that its tagger was given."""


@dataclass(frozen=True)
class TrainingTrack:
    """One item of a dataset, with the tempo that its Live Set states now."""

    position: int
    training_item_id: UUID | None
    item_key: str | None
    audio_path: str
    audio_hash: str
    audio_format: str
    prompt_text: str
    bpm: float | None

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.item_key or str(self.training_item_id or f"track {self.position}")

    @property
    def song(self) -> str:
        """What keeps segments of one song together, whatever happens to its audio."""
        return self.item_key or str(self.training_item_id or self.audio_hash)


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


@dataclass(frozen=True)
class StrandedRun:
    """A run whose call on another machine nobody has looked after for a while."""

    id: UUID
    artist_id: UUID
    slug: str
    call_id: str


_RUN = (
    "id, dataset_id, fingerprint, backend, base, model_name, state, metrics, adapter_key, adapter_sha256, promoted, "
    "candidate_at, finished_at, call_id"
)


def dataset_tracks(connection: Connection, dataset_id: UUID) -> list[TrainingTrack]:
    """A dataset's items in order. The tempo is null where no summary states a usable one."""
    with connection.cursor(row_factory=class_row(TrainingTrack)) as cursor:
        return cursor.execute(
            """
            select i.position, i.training_item_id, i.item_key, i.audio_path, i.audio_hash, i.audio_format,
              i.prompt_text,
              case when jsonb_typeof(s.summary -> 'overview' -> 'tempo') = 'number'
                and (s.summary -> 'overview' ->> 'tempo')::numeric between 1 and 1000
                then (s.summary -> 'overview' ->> 'tempo')::double precision end as bpm
            from dataset_items i
            left join training_items t on t.id = i.training_item_id
            left join als_summaries s on s.id = coalesce(t.als_summary_id, i.als_summary_id)
            where i.dataset_id = %s order by i.position
            """,
            [dataset_id],
        ).fetchall()


def record_segments(connection: Connection, prepared: Iterable[PreparedAudio]) -> None:
    """Record what lies in the worker's cache; rows that say the same already are left alone."""
    for audio in prepared:
        segments = audio.segments
        connection.execute(
            "delete from audio_segments where audio_hash = %s and recipe = %s and index >= %s",
            [audio.audio_hash, audio.recipe, len(segments)],
        )
        connection.execute(
            """
            insert into audio_segments as known (audio_hash, recipe, index, segment_hash, start_seconds, samples,
              gain_db, peak_dbfs, silent)
            select %s, %s, * from unnest(%s::int[], %s::text[], %s::float8[], %s::int[], %s::float8[],
              %s::float8[], %s::bool[])
            on conflict (audio_hash, recipe, index) do update set segment_hash = excluded.segment_hash,
              start_seconds = excluded.start_seconds, samples = excluded.samples, gain_db = excluded.gain_db,
              peak_dbfs = excluded.peak_dbfs, silent = excluded.silent
            where known.segment_hash <> excluded.segment_hash
            """,
            [
                audio.audio_hash,
                audio.recipe,
                [segment.index for segment in segments],
                [segment.sha256 for segment in segments],
                [segment.start_seconds for segment in segments],
                [segment.samples for segment in segments],
                [segment.gain_db for segment in segments],
                [segment.peak_dbfs for segment in segments],
                [segment.silent for segment in segments],
            ],
        )


def known_tags(connection: Connection, tagger: TaggerName, hashes: list[str]) -> dict[TagKey, str]:
    """The texts that a tagger gave these segments, by segment and hint; the newest where several models' will do."""
    rows = connection.execute(
        "select segment_hash, hint, text from segment_tags "
        "where (model = %s or %s) and tag_prompt_version = %s and segment_hash = any(%s) order by created_at, model",
        [tagger.model, tagger.any_model, tagger.tag_prompt_version, hashes],
    )
    return {(row["segment_hash"], row["hint"]): row["text"] for row in rows}


def add_tags(connection: Connection, tagged: list[SegmentTags]) -> None:
    """Store what a tagger said; what is there already stays."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into segment_tags (segment_hash, model, tag_prompt_version, hint, text, tags, figures, cost_usd, "
            "served_model) values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            [
                [
                    tags.sha256,
                    tags.model,
                    tags.tag_prompt_version,
                    tags.hint,
                    tags.text,
                    Jsonb(tags.tags),
                    Jsonb({name: _finite(value) for name, value in tags.figures.items()}),
                    tags.cost_usd,
                    tags.served_model,
                ]
                for tags in tagged
            ],
        )


def claim_run(
    connection: Connection,
    artist: Artist,
    dataset_id: UUID,
    fingerprint: str,
    *,
    backend: str,
    base: str,
    model_name: str,
    parameters: dict[str, Any],
) -> Run:
    """The run of this fingerprint: the one that is there, whatever its state, else a new one, `running`."""
    connection.execute(
        "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, state) "
        "values (%s, %s, %s, %s, %s, %s, %s, 'running') on conflict (artist_id, fingerprint) do nothing",
        [artist.id, dataset_id, fingerprint, backend, base, model_name, Jsonb(parameters)],
    )
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        run = cursor.execute(
            f"select {_RUN} from training_runs where artist_id = %s and fingerprint = %s", [artist.id, fingerprint]
        ).fetchone()
    assert run is not None  # noqa: S101 - inserted or found, in this transaction
    return run


def get_run(connection: Connection, run_id: UUID) -> Run:
    """A run that is known to be there."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        run = cursor.execute(f"select {_RUN} from training_runs where id = %s", [run_id]).fetchone()
    assert run is not None  # noqa: S101 - the caller has just written it
    return run


def start_run(connection: Connection, run: Run, dataset_id: UUID) -> None:
    """Mark a run as running (again): one that failed, was left by a dead process, or lost its files.

    The call that a dead process left is still its call; that of a run which ended is not.
    """
    connection.execute(
        "update training_runs set state = 'running', error = null, dataset_id = %s, "
        "call_id = case when state = 'running' then call_id end where id = %s",
        [dataset_id, run.id],
    )


def call_of(connection: Connection, run_id: UUID) -> str | None:
    """The call that trains a run now; None where there is none, or the run is not under way."""
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
    """Whether a run still is what it was found to be."""
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
    """The run that is to be judged, or was judged last."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {_RUN} from training_runs where artist_id = %s and model_name = %s and candidate_at is not null",
            [artist.id, model_name],
        ).fetchone()


def candidate_runs(connection: Connection, artist: Artist) -> list[Run]:
    """Return the run of each model name that is to be judged, or was judged last."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {_RUN} from training_runs where artist_id = %s and candidate_at is not null", [artist.id]
        ).fetchall()


def list_runs(connection: Connection, artist: Artist) -> list[Run]:
    """The artist's runs, the latest first."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {_RUN} from training_runs where artist_id = %s order by created_at desc, id", [artist.id]
        ).fetchall()


def promoted_run(connection: Connection, artist: Artist, model_name: str) -> Run | None:
    """The run whose adapter is published under this model name."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {_RUN} from training_runs where artist_id = %s and model_name = %s and promoted",
            [artist.id, model_name],
        ).fetchone()


def promoted_among(connection: Connection, run_ids: Collection[UUID]) -> list[Run]:
    """Return those of these runs whose adapters are published, by model name."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            f"select {_RUN} from training_runs where promoted and id = any(%s) order by model_name", [list(run_ids)]
        ).fetchall()


def _finite(value: float | None) -> float | None:
    """JSON in PostgreSQL knows no NaN and no infinity."""
    return value if value is not None and math.isfinite(value) else None
