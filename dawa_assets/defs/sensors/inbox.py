"""`inbox_sensor`: complete uploads become one run for each artist; partitions follow the artists that there are."""

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import dagster as dg

from dawa_assets.defs.inputs import report_inputs
from dawa_assets.defs.jobs import ingest_job, upload_job
from dawa_assets.defs.partitions import add_new_artists, drop_deleted_partitions
from dawa_assets.defs.policies.priorities import UPLOAD
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.sensors.run_requests import WorkItem, ask, failed_before, result


@dataclass(frozen=True)
class _Seen:
    """What is kept between ticks, to save work only: a lost one loses nothing."""

    artists: int = 0
    """The highest number of an artist that was made a partition."""
    deleted: str = ""
    """When the last deletion ended whose artist was taken out of the partitions (ISO 8601)."""
    after: str = ""
    """The artist whose uploads were looked at last, where there were too many for one tick."""

    @property
    def moment(self) -> datetime | None:
        """`deleted` as a time."""
        return datetime.fromisoformat(self.deleted) if self.deleted else None

    @classmethod
    def read(cls, cursor: str | None) -> "_Seen":
        try:
            seen = cls(**json.loads(cursor or "{}"))
            is_whole = seen.moment is None or seen.moment.tzinfo is not None
            return replace(seen, artists=int(seen.artists)) if is_whole else cls()
        except (ValueError, TypeError):
            return cls()


@dg.sensor(
    jobs=[ingest_job, upload_job],
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Complete uploads in the inbox become one run for each artist; new artists become partitions.",
)
def inbox_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
    """One run per artist with uploads that nobody has looked at yet; `retrain_sensor` asks for their training.

    A run that failed after it had emptied the inbox is asked for again, too.
    """
    from dawa_assets.intake.inbox import pending_uploads
    from dawa_assets.tables.artist_deletions import slugs_being_deleted
    from dawa_assets.tables.artists import slugs_among

    ports, seen = pipeline.ports(), _Seen.read(context.cursor)
    artists = add_new_artists(context.instance, ports.database, seen.artists)
    gone = drop_deleted_partitions(context.instance, ports.database, seen.moment)
    now, job = time.time(), upload_job if ports.settings.follow_uploads == "lora" else ingest_job
    rest = failed_before(context.instance, job.name, UPLOAD, now)
    with ports.database.transaction() as connection:
        leaving = slugs_being_deleted(connection)
        there = slugs_among(connection, {work.slug for work in rest})
    wanted = [
        WorkItem(
            f"{pending.slug}:{pending.state}",
            pending.slug,
            {"dawa/uploads": str(len(pending.upload_ids)), **UPLOAD},
        )
        for pending in pending_uploads(ports)
        if pending.slug not in leaving
    ]
    in_inbox = {work.slug for work in wanted}
    wanted += [work for work in rest if work.slug in there - leaving - in_inbox]
    wanted.sort(key=lambda work: (work.slug <= seen.after, work.slug))
    plan = ask(context.instance, job.name, wanted, now)
    report_inputs(context.instance, ports, [request.partition_key or "" for request in plan.requests])
    now_seen = _Seen(artists, gone.isoformat() if gone else "", plan.stopped_at.slug if plan.stopped_at else "")
    return result(plan, context, "nothing new in the inbox", json.dumps(asdict(now_seen)))
