"""A place in the pools for a run in this process, by the same facts that Dagster's queue decides by.

The queue counts, for each pool, the runs under way that use it: each has its pools on its record. A run that the
command line starts is counted too, as soon as its record stands; what the queue does not do is to hold it back. So it
is held back here, before there is a record: a process that is killed while it waits leaves nothing behind.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.instance.config import PoolGranularity
from dagster._core.launcher import WorkerStatus
from dagster._core.op_concurrency_limits_counter import GlobalOpConcurrencyLimitsCounter
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES, RunOpConcurrency

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
SETTLE_SECONDS = 10.0
"""For how long the queue may still start what it chose before it saw our run's record."""

_PARTITION = "dagster/partition"


def begin_run(
    instance: dg.DagsterInstance, job: dg.JobDefinition, tags: Mapping[str, str], run_config: dict[str, Any]
) -> dg.DagsterRun:
    """Return the record of a run that is about to start in this process, once there is a place in each of its pools.

    For whom it waits is logged, on one line for each. Two processes of this machine never take the same place.
    """
    pools = set(job.graph.pools)
    if not pools:
        return _recorded(instance, job, tags, run_config)
    logged = ""
    while True:
        with _one_at_a_time(instance):
            holders = _holders(instance, pools)
            run = None if holders else _recorded(instance, job, tags, run_config)
        if run is not None and not (holders := _overtaken_by(instance, pools, run)):
            return run
        if run is not None:
            instance.delete_run(run.run_id)  # it never began
        if holders[0].run_id != logged:
            logged = holders[0].run_id
            log.warning("%s", _line(job.name, tags, pools, holders[0]))
        time.sleep(POLL_SECONDS)


def _recorded(
    instance: dg.DagsterInstance, job: dg.JobDefinition, tags: Mapping[str, str], run_config: dict[str, Any]
) -> dg.DagsterRun:
    """Return a new run that is starting, and that says which process it is: whoever finds that gone passes it over."""
    run = instance.create_run_for_job(job_def=job, run_config=run_config, tags=tags)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", job.name), run_id=run.run_id)
    process = EngineEventData.in_process(os.getpid())
    instance.report_engine_event("Started in the process of the command line.", run, process)
    started = instance.get_run_by_id(run.run_id)
    assert started is not None  # noqa: S101 - just made
    return started


def _holders(
    instance: dg.DagsterInstance, pools: set[str], other_than: dg.DagsterRun | None = None
) -> Sequence[dg.DagsterRun]:
    """Return the runs under way that leave no place in one of the pools; none where there is a place in each."""
    config = instance.get_concurrency_config()
    if config.pool_config.pool_granularity != PoolGranularity.RUN:
        return []  # where steps are counted, each waits by itself
    under_way = [
        record
        for record in instance.get_run_records(dg.RunsFilter(statuses=ACTIVE_RUN_STATUSES))
        if _pools_on(record.dagster_run) & pools
        and (other_than is None or record.dagster_run.run_id != other_than.run_id)
        and not _is_gone(instance, record.dagster_run)
    ]
    storage, by_default = instance.event_log_storage, instance.global_op_concurrency_default_limit
    wanted = dg.DagsterRun(
        "wanted",
        run_op_concurrency=RunOpConcurrency(root_key_counts={}, has_unconstrained_root_nodes=True, all_pools=pools),
    )
    counter = GlobalOpConcurrencyLimitsCounter(
        instance,
        [wanted],
        under_way,
        storage.get_concurrency_keys() | (pools if by_default else set()),  # a pool that was never used gets it now
        storage.get_pool_limits(),
        pool_granularity=PoolGranularity.RUN,
    )
    return [record.dagster_run for record in under_way] if counter.is_blocked(wanted) else []


def _overtaken_by(instance: dg.DagsterInstance, pools: set[str], run: dg.DagsterRun) -> Sequence[dg.DagsterRun]:
    """Return who has the place though our record stands: runs that the queue had chosen before it saw that.

    Where none that wants the place is queued, none can come any more.
    """
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        queued = instance.get_runs(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
        )  # before the others are counted
        is_open = time.monotonic() < until and any(_pools_on(each) & pools for each in queued)
        if (holders := _holders(instance, pools, run)) or not is_open:
            return holders
        time.sleep(POLL_SECONDS)


def _pools_on(run: dg.DagsterRun) -> set[str]:
    return set(run.run_op_concurrency.all_pools or ()) if run.run_op_concurrency is not None else set()


def _is_gone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether a run's process is known to be gone: without a daemon nobody marks it failed."""
    launcher = instance.run_launcher
    return (
        launcher.supports_check_run_worker_health
        and launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND
    )


def _line(job_name: str, tags: Mapping[str, str], pools: set[str], holder: dg.DagsterRun) -> str:
    taken = ", ".join(f"`{pool}`" for pool in sorted(_pools_on(holder) & pools))
    of_artist = f" of {holder.tags[_PARTITION]}" if _PARTITION in holder.tags else ""
    return (
        f"{tags.get(_PARTITION, 'all')}: {job_name} waits for a place in {taken}: run {holder.run_id} "
        f"({holder.job_name}{of_artist}) has it; it goes on when that ends"
    )


@contextmanager
def _one_at_a_time(instance: dg.DagsterInstance) -> Iterator[None]:
    """Hold the lock of this machine's processes that look for a place in this instance."""
    with (Path(instance.root_directory) / ".places.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
