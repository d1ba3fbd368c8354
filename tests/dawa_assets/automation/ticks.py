"""One tick of a sensor, or of the nightly schedule, without a daemon."""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from dawa_assets.defs.schedules import nightly_dataset_rebuild
from resources.ports import Ports
from tests.given_pipeline import GivenPipeline


def tick(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, ports: Ports, cursor: str | None = None
) -> dg.SensorResult:
    """What a tick gives; a bare reason to skip as a result, too."""
    with dg.build_sensor_context(
        instance=instance, resources={"pipeline": GivenPipeline(ports)}, cursor=cursor
    ) as context:
        result = sensor(context)
    if isinstance(result, dg.SkipReason):
        return dg.SensorResult(skip_reason=result.skip_message, cursor=cursor)
    assert isinstance(result, dg.SensorResult)
    return result


def slugs(result: dg.SensorResult) -> list[str]:
    return [request.partition_key or "" for request in result.run_requests or []]


def night(
    instance: dg.DagsterInstance, ports: Ports, at: datetime = datetime(2026, 11, 21, 3, tzinfo=UTC)
) -> list[dg.RunRequest]:
    """What the nightly schedule asks for at this time."""
    schedule = nightly_dataset_rebuild(ports.settings)
    with dg.build_schedule_context(
        instance=instance, resources={"pipeline": GivenPipeline(ports)}, scheduled_execution_time=at
    ) as context:
        asked = schedule(context)
    return asked if isinstance(asked, list) else []


def leave_run(
    instance: dg.DagsterInstance,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE,
    **noted: str,
) -> dg.DagsterRun:
    """The record of a run for a request, as the daemon leaves it, which is in this state since now.

    `noted` are tags `dawa/…` that its steps set; what failed did so by its content.
    """
    ours = {f"dawa/{name}": value for name, value in noted.items()}
    if status == dg.DagsterRunStatus.FAILURE:
        ours = {"dawa/failure": "content", **ours}
    tags = {**request.tags, **ours, "dagster/partition": request.partition_key or ""}
    return leave(instance, request.job_name or "prompts_job", tags, status)


def leave(
    instance: dg.DagsterInstance, job_name: str, tags: dict[str, str], status: dg.DagsterRunStatus
) -> dg.DagsterRun:
    """The record of a run of a job of this name."""
    job = dg.job(name=job_name)(lambda: None)
    run = instance.create_run_for_job(job_def=job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    events = {
        dg.DagsterRunStatus.FAILURE: instance.report_run_failed,
        dg.DagsterRunStatus.CANCELED: instance.report_run_canceled,
    }
    if status in events:
        events[status](run)
    elif status == dg.DagsterRunStatus.SUCCESS:
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", job_name, message="done"), run_id=run.run_id)
    return run


def origin(job_name: str) -> RemoteJobOrigin:
    """Where a job comes from, which a run that is queued has to say."""
    location = RegisteredCodeLocationOrigin("dawa_assets.definitions")
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job_name)
