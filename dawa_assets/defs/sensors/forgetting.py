"""`forget_deleted_artists`: the history of artists whose deletion was asked for where it could not be reached."""

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import dagster as dg

from dawa_assets.defs.forgetting import forget_artist
from dawa_assets.defs.resources import Pipeline
from dawa_assets.tables.artist_deletions import EndedDeletion, ended_deletions

SECONDS_PER_TICK = 20.0
"""After which a tick leaves the rest to the next one: Dagster ends a tick after a minute."""

MAX_DELETIONS = 100

_OVERLAP = timedelta(minutes=10)  # deletions are on record in the order of their beginnings, not of their commits


@dataclass(frozen=True)
class _Seen:
    """What is kept between ticks, to save work only: a lost one makes all deletions be looked at once more."""

    until: str = ""
    """The end of the last deletion before which all are done (ISO 8601)."""
    done: list[str] = field(default_factory=list)
    """The ids of those after it that are done."""

    @property
    def moment(self) -> datetime | None:
        """`until` as a time."""
        return datetime.fromisoformat(self.until) if self.until else None

    @classmethod
    def read(cls, cursor: str | None) -> "_Seen":
        try:
            seen = cls(**json.loads(cursor or "{}"))
            is_whole = seen.moment is None or seen.moment.tzinfo is not None
            return cls(seen.until, [str(each) for each in seen.done]) if is_whole else cls()
        except (ValueError, TypeError):
            return cls()


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Removes runs, events and ticks that tell of deleted artists, wherever the deletion was asked for.",
)
def forget_deleted_artists(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
    """One deletion after the other, each until no run of the artist's is left, within a bounded time."""
    seen, until = _Seen.read(context.cursor), time.monotonic() + SECONDS_PER_TICK
    with pipeline.ports().database.transaction() as connection:
        deletions = ended_deletions(connection, seen.moment, MAX_DELETIONS)
    done, removed = set(seen.done), []
    for deletion in deletions:
        if str(deletion.id) in done:
            continue
        if time.monotonic() >= until:
            break
        forgotten = forget_artist(context.instance, deletion.slug, deletion.finished_at, until)
        if forgotten.is_all:
            done.add(str(deletion.id))
        if forgotten.counts:
            counts = ", ".join(f"{count} {name}" for name, count in forgotten.counts.items())
            removed.append(f"{counts} of a deleted artist")
    now_seen = _advanced(seen, deletions, done)
    return dg.SensorResult(
        skip_reason=f"removed {'; '.join(removed)}" if removed else "no history of a deleted artist is left",
        cursor=json.dumps(asdict(now_seen)),
    )


def _advanced(seen: _Seen, deletions: list[EndedDeletion], done: set[str]) -> _Seen:
    """Move on behind the deletions before which all are done, but for those that may come in late."""
    until = seen.moment
    for deletion in deletions:
        if str(deletion.id) not in done:
            break
        until = deletion.finished_at
    if until is not None:
        until = max(until - _OVERLAP, seen.moment or until - _OVERLAP)
    near = {str(deletion.id) for deletion in deletions if until is None or deletion.finished_at > until}
    return _Seen(until.isoformat() if until else "", sorted(done & near))
