"""Sensors: level-triggered from the inbox and from SQL. They keep no cursor, so a lost one loses nothing.

A `run_key` never launches twice in Dagster, so every key ends in the number of the attempt: work that failed is
asked for again, at most `ATTEMPTS` times, and never while a run for it is queued or running.
"""

import hashlib
from collections.abc import Iterable

import dagster as dg

from dawa_assets.defs.jobs import build_job, ingest_job, prompts_job
from dawa_assets.defs.partitions import add_missing_artists
from dawa_assets.defs.resources import Pipeline

ATTEMPTS = 3
RUNS_PER_TICK = 50
_WORK = "dawa/work"


@dg.sensor(
    jobs=[ingest_job, build_job],
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Complete uploads in the inbox become one run for each artist; new artists become partitions.",
)
def inbox_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """One run per artist with uploads that nobody has looked at yet."""
    from dawa_assets.intake.inbox import pending_uploads

    ports = pipeline.ports()
    add_missing_artists(context.instance, ports.database)
    job = build_job if ports.settings.follow_uploads == "lora" else ingest_job
    wanted = (
        (
            f"{pending.slug}:{_short(*pending.upload_ids)}",
            pending.slug,
            {"dawa/uploads": str(len(pending.upload_ids))},
        )
        for pending in pending_uploads(ports)
    )
    requests = _requests(context.instance, job.name, wanted)
    return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("nothing new in the inbox")


@dg.sensor(
    job=prompts_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Artists whose prompts are stale or missing get a run.",
)
def stale_prompts_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult | dg.SkipReason:
    """One run per artist whose prompts are not what they would be if written now."""
    from dawa_assets.prompting.staleness import stale_artists

    ports = pipeline.ports()
    add_missing_artists(context.instance, ports.database)
    stale = stale_artists(ports.database, ports.settings.system_prompt_version, ports.prompt_writer.model_name)
    wanted = ((f"{artist.slug}:{artist.state}", artist.slug, {"dawa/backfill": artist.reason}) for artist in stale)
    requests = _requests(context.instance, prompts_job.name, wanted)
    return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("no prompt is stale")


def _requests(
    instance: dg.DagsterInstance, job_name: str, wanted: Iterable[tuple[str, str, dict[str, str]]]
) -> list[dg.RunRequest]:
    """Requests for pieces of work (name, slug, tags), without those that a run has in hand or that failed too often.

    The rest waits for the next tick: those that are given up must not keep the others from their turn.
    """
    requests: list[dg.RunRequest] = []
    for work, slug, tags in wanted:
        runs = instance.get_runs(dg.RunsFilter(tags={_WORK: work}), limit=ATTEMPTS)
        if len(runs) >= ATTEMPTS or any(not run.is_finished for run in runs):
            continue
        requests.append(
            dg.RunRequest(
                run_key=f"{work}/{len(runs) + 1}",
                partition_key=slug,
                job_name=job_name,
                tags={_WORK: work, "dawa/attempt": str(len(runs) + 1), **tags},
            )
        )
        if len(requests) == RUNS_PER_TICK:
            break
    return requests


def _short(*parts: str) -> str:
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


sensors = [inbox_sensor, stale_prompts_sensor]
