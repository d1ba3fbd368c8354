"""Dagster's records of runs: taking some of them out for good, with all that Dagster's own deletion leaves.

`DagsterInstance.delete_run` leaves evaluations of checks, the copy of each asset's latest event, what the run printed,
and with SQLite the run's database file. Here the row of a run goes last: whoever is killed finds it again.

These are Dagster's tables, not the project's: they are reached by its own definitions of them.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.schedules.schema import JobTickTable
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from dagster._serdes import deserialize_value, serialize_value

FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

EVENTS = SqlEventLogStorageTable
CHECKS = AssetCheckExecutionsTable
TICKS = JobTickTable

RUNLESS = ""
"""The run of an event that a sensor reported: none."""

RUNS_AT_ONCE = 50
"""How many runs are removed together."""

T = TypeVar("T")

_BATCH = 500  # of one statement: SQLite takes only so many values
_MATERIALISED = dg.DagsterEventType.ASSET_MATERIALIZATION.value


def events_of(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    """Return where the events are kept; Dagster has no other kind of its own."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)  # noqa: S101 - of the open-source Dagster all are
    return storage


def ticks_of(instance: dg.DagsterInstance) -> SqlScheduleStorage:
    """Return where the ticks of sensors and schedules are kept."""
    storage = instance.schedule_storage
    assert isinstance(storage, SqlScheduleStorage)  # noqa: S101 - of the open-source Dagster all are
    return storage


@contextmanager
def wiping(connection: sa.Connection) -> Iterator[sa.Connection]:
    """Overwrite what is deleted on this connection: SQLite leaves it in the file's free pages otherwise."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("pragma secure_delete = on")
    yield connection


def event_rows(instance: dg.DagsterInstance, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    """Return what a query finds in the tables of events that all runs share."""
    with events_of(instance).index_connection() as connection:
        return connection.execute(query).all()


def tick_rows(instance: dg.DagsterInstance, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    """Return what a query finds among the ticks of sensors and schedules."""
    with ticks_of(instance).connect() as connection:
        return connection.execute(query).all()


def count_events(instance: dg.DagsterInstance, run_id: str) -> int:
    """Count all events of a run."""
    storage = events_of(instance)
    if isinstance(storage, SqliteEventLogStorage) and not Path(storage.path_for_shard(run_id)).exists():
        return 0
    query = sa.select(sa.func.count()).select_from(EVENTS).where(EVENTS.c.run_id == run_id)
    with storage.run_connection(run_id) as connection:
        return int(connection.execute(query).scalar_one())


def remove_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    """Remove finished runs, `RUNS_AT_ONCE` at most: events, checks, what they printed, their databases, their rows.

    Evaluations of checks are in no index by run: all that go at once are looked for once.
    """
    storage = events_of(instance)
    with storage.index_connection() as connection, wiping(connection):
        for run_id in run_ids:
            storage.delete_events_for_run(connection, run_id)
        connection.execute(CHECKS.delete().where(CHECKS.c.run_id.in_(run_ids)))
    for run_id in run_ids:
        if storage.supports_global_concurrency_limits:
            storage.free_concurrency_slots_for_run(run_id)
        remove_shard(instance, run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.run_storage.delete_run(run_id)


def of_partition(instance: dg.DagsterInstance, partition: str | None) -> sa.ColumnElement[bool]:
    """Return what events of assets of this partition, or of none, meet, as the index of events has it."""
    keys = event_rows(instance, sa.select(AssetKeyTable.c.asset_key))
    kinds = [kind.value for kind in ASSET_EVENTS]
    of_assets = EVENTS.c.asset_key.in_([row.asset_key for row in keys]), EVENTS.c.dagster_event_type.in_(kinds)
    return sa.and_(*of_assets, EVENTS.c.partition.is_not_distinct_from(partition))


def of_checks() -> sa.ColumnElement[bool]:
    """Return what events of checks meet: which asset and partition they are of is in their texts alone."""
    return EVENTS.c.dagster_event_type.in_([kind.value for kind in ASSET_CHECK_EVENTS])


def remove_shard(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove the files of a run's own database, where each run has one."""
    for path in _shard(instance, run_id):
        path.unlink(missing_ok=True)


def shard_sizes(instance: dg.DagsterInstance, run_id: str) -> list[int]:
    """Return the sizes of the files of a run's own database; none where runs have none."""
    return [path.stat().st_size for path in _shard(instance, run_id) if path.exists()]


def _shard(instance: dg.DagsterInstance, run_id: str) -> list[Path]:
    storage = events_of(instance)
    if not isinstance(storage, SqliteEventLogStorage):
        return []
    path = Path(storage.path_for_shard(run_id))
    return [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm")]


def remove_events(
    instance: dg.DagsterInstance,
    which: Sequence[sa.ColumnElement[bool]],
    matches: Callable[[str], bool] = lambda _: True,
) -> int:
    """Remove single events of runs that stay, or of none; returns how many there were.

    Args:
        instance: whose records.
        which: conditions that all of them meet.
        matches: whether one is meant, by its serialised text.
    """
    storage = events_of(instance)
    with storage.index_connection() as connection:
        found = _matching(connection, which, matches)
    if isinstance(storage, SqliteEventLogStorage):  # their own databases first: the index says where to look
        for run_id in {run_id for _, run_id in found}:
            if Path(storage.path_for_shard(run_id)).exists():
                with storage.run_connection(run_id) as connection, wiping(connection):
                    _remove(connection, [number for number, _ in _matching(connection, which, matches)])
    with storage.index_connection() as connection, wiping(connection):
        numbers = [number for number, _ in found]
        for batch in batches(numbers):
            connection.execute(AssetEventTagsTable.delete().where(AssetEventTagsTable.c.event_id.in_(batch)))
        _remove(connection, numbers)
    return len(found)


def _matching(
    connection: sa.Connection, which: Sequence[sa.ColumnElement[bool]], matches: Callable[[str], bool]
) -> list[tuple[int, str]]:
    rows = connection.execute(sa.select(EVENTS.c.id, EVENTS.c.run_id, EVENTS.c.event).where(*which))
    return [(row.id, row.run_id) for row in rows if matches(row.event)]


def _remove(connection: sa.Connection, numbers: Sequence[int]) -> None:
    for batch in batches(numbers):
        connection.execute(EVENTS.delete().where(EVENTS.c.id.in_(batch)))


def remove_checks(instance: dg.DagsterInstance, numbers: Sequence[int]) -> None:
    """Remove evaluations of checks by their numbers."""
    with events_of(instance).index_connection() as connection, wiping(connection):
        for batch in batches(numbers):
            connection.execute(CHECKS.delete().where(CHECKS.c.id.in_(batch)))


def remove_ticks(instance: dg.DagsterInstance, ticks: Sequence[tuple[int, Sequence[str] | None]]) -> None:
    """Remove ticks of sensors and schedules by their numbers, and first what they logged."""
    for _, log_key in ticks:
        if log_key:
            instance.compute_log_manager.delete_logs(log_key=list(log_key))
    with ticks_of(instance).connect() as connection, wiping(connection):
        for batch in batches([number for number, _ in ticks]):
            connection.execute(TICKS.delete().where(TICKS.c.id.in_(batch)))


def correct_assets(instance: dg.DagsterInstance) -> None:
    """Make what Dagster keeps of each asset beside its events follow from the events that are left.

    That is a copy of the latest materialisation, whichever partition it is of, the latest run, and which partitions are
    materialised.
    """
    columns = AssetKeyTable.c
    with events_of(instance).index_connection() as connection:
        kept = connection.execute(sa.select(columns.asset_key, columns.last_materialization, columns.last_run_id)).all()
    for asset_key, copy, run_id in kept:
        of_asset = EVENTS.c.asset_key == asset_key
        with events_of(instance).index_connection() as connection, wiping(connection):
            fresh: dict[str, str | None] = {}
            if copy is not None and not _is_there(connection, deserialize_value(copy), of_asset):
                latest = _latest(connection, of_asset, EVENTS.c.dagster_event_type == _MATERIALISED)
                record = latest and dg.EventLogRecord(latest.id, deserialize_value(latest.event, dg.EventLogEntry))
                fresh["last_materialization"] = record and serialize_value(record)
            if run_id and connection.execute(sa.select(EVENTS.c.id).where(EVENTS.c.run_id == run_id)).first() is None:
                latest = _latest(connection, of_asset)
                fresh["last_run_id"] = latest and latest.run_id
            if fresh:  # unless a run has written something newer meanwhile
                unchanged = columns.last_materialization.is_not_distinct_from(copy), columns.last_run_id == run_id
                query = AssetKeyTable.update().where(columns.asset_key == asset_key, *unchanged)
                connection.execute(query.values(**fresh))
    instance.wipe_asset_cached_status(list(instance.all_asset_keys()))


def _is_there(connection: sa.Connection, record: object, of_asset: sa.ColumnElement[bool]) -> bool:
    """Return whether the event of which there is a copy is still there."""
    if not isinstance(record, dg.EventLogRecord):
        return True
    query = sa.select(EVENTS.c.id).where(
        of_asset, EVENTS.c.id == record.storage_id, EVENTS.c.run_id == record.event_log_entry.run_id
    )
    return connection.execute(query).first() is not None


def _latest(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> Any:
    query = sa.select(EVENTS.c.id, EVENTS.c.event, EVENTS.c.run_id).where(*which)
    return connection.execute(query.order_by(EVENTS.c.id.desc()).limit(1)).first()


def give_back_space(instance: dg.DagsterInstance) -> None:
    """Make SQLite's file of events that all runs share smaller, where half of it is free and nobody is at it."""
    storage = events_of(instance)
    if not isinstance(storage, SqliteEventLogStorage):
        return
    path = storage.path_for_shard(INDEX_SHARD_NAME)
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as database:
        free, pages = (database.execute(f"pragma {name}").fetchone()[0] for name in ("freelist_count", "page_count"))
        if 2 * free > pages:
            with suppress(sqlite3.OperationalError):
                database.execute("vacuum")


def names(slug: str) -> Callable[[str], bool]:
    """Return whether a text names an artist: the slug stands there as a whole word."""
    word = re.compile(rf"(?<![A-Za-z0-9_-]){re.escape(slug)}(?![A-Za-z0-9_-])")
    return lambda text: word.search(text) is not None


def has_value(slug: str) -> Callable[[str], bool]:
    """Return whether a serialised event has the slug as a value: in a table of artists, or bold in a text of them."""
    value = re.compile(rf'"{re.escape(slug)}\\*"|\*\*{re.escape(slug)}\*\*')
    return lambda text: value.search(text) is not None


def naive_utc(moment: datetime) -> datetime:
    """Return a time as Dagster's tables have it: in UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def batches(values: Sequence[T], size: int = _BATCH) -> Iterator[Sequence[T]]:
    """Yield the values, so many at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
