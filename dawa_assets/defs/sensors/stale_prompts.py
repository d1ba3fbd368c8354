"""`stale_prompts_sensor`: a changed profile, schema version, system prompt or model becomes one run for each artist."""

import time
from collections.abc import Iterator
from uuid import UUID

import dagster as dg

from dawa_assets.defs.inputs import report_inputs
from dawa_assets.defs.jobs import prompts_job
from dawa_assets.defs.policies import priorities
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.sensors.run_requests import WorkItem, ask, result
from dawa_assets.tables.prompt_staleness import StaleArtist
from resources.ports import Ports

BACKFILL = "dawa/backfill"
"""The tag that all runs of one change have in common."""

_MAX_TAG = 80


@dg.sensor(
    job=prompts_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Artists whose prompts are stale or missing get a run; those of one change under one `dawa/backfill`.",
)
def stale_prompts_sensor(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> dg.SensorResult:
    """One run per artist whose prompts are not what they would be if written now.

    The cursor is the artist that was looked at last, where there were too many for one tick.
    """
    from dawa_assets.tables.artist_deletions import slugs_being_deleted

    ports = pipeline.ports()
    with ports.database.transaction() as connection:
        leaving = slugs_being_deleted(connection)
    seen: dict[str, StaleArtist] = {}

    def wanted() -> Iterator[WorkItem]:
        for artist in _stale(ports, _id(context.cursor)):
            if artist.slug in leaving:
                continue
            seen[artist.slug] = artist
            tags = {BACKFILL: backfill_of(ports, artist), **priorities.BACKFILL}
            yield WorkItem(f"{artist.slug}:{artist.state}", artist.slug, tags)

    plan = ask(context.instance, prompts_job.name, wanted(), time.time())
    report_inputs(context.instance, ports, [request.partition_key or "" for request in plan.requests])
    cursor = str(seen[plan.stopped_at.slug].id) if plan.stopped_at else ""
    whose = " of the artists that were left" if context.cursor else ""
    return result(plan, context, f"no prompt is stale{whose}", cursor)


def backfill_of(ports: Ports, artist: StaleArtist) -> str:
    """Return what changed, in words that are the same for all artists whom the change concerns."""
    match artist.reason:
        case "schema version":
            change = f"schema version {artist.schema_version}"
        case "system prompt":
            change = f"system prompt {ports.settings.system_prompt_version}"
        case "model":
            change = f"model {ports.prompt_writer.model_name}"
        case "profile":
            change = f"profile of {artist.slug}"
        case reason:
            change = f"{reason} prompts"
    return "".join(letter if letter.isprintable() else " " for letter in change)[:_MAX_TAG].strip()


def _stale(ports: Ports, after: UUID | None) -> Iterator[StaleArtist]:
    """Artists with stale prompts by id, page by page, as many as are asked for."""
    from dawa_assets.tables.prompt_staleness import stale_page

    version, writer = ports.settings.system_prompt_version, ports.prompt_writer
    while page := stale_page(ports.database, version, writer.model_name, after, any_model=writer.takes_any_model):
        yield from page
        after = page[-1].id


def _id(cursor: str | None) -> UUID | None:
    try:
        return UUID(cursor or "")
    except ValueError:
        return None
