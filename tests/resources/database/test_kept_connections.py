"""Connections that are used again: as good as new ones, given up in time, and never one that was cut."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from resources.database.base import Connection, Database
from resources.database.kept_connections import KeptConnections
from resources.errors import DatabaseError
from tests.waiting import until


class _Counting(Database):
    """Another database whose connections are counted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.opened: list[Connection] = []

    def url(self) -> str:
        return self._database.url()

    def connect(self) -> Connection:
        self.opened.append(psycopg.connect(self.url(), row_factory=psycopg.rows.dict_row))
        return self.opened[-1]


@pytest.fixture
def counting(database: Database) -> _Counting:
    return _Counting(database)


@pytest.fixture
def kept(counting: _Counting) -> Iterator[KeptConnections]:
    with KeptConnections(counting) as kept:
        yield kept
    assert all(connection.closed for connection in counting.opened)


def _one(database: Database, query: str = "select 1 as found") -> Any:
    with database.transaction() as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row["found"]


def _cut(database: Database, pid: int) -> None:
    with psycopg.connect(database.url(), autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 60000)", [pid])


def test_transactions_one_after_the_other_share_a_connection(counting: _Counting, kept: KeptConnections) -> None:
    assert [_one(kept) for _ in range(5)] == [1] * 5
    assert len(counting.opened) == 1


def test_what_a_block_raises_is_rolled_back_and_leaves_no_trace(counting: _Counting, kept: KeptConnections) -> None:
    def half() -> None:
        with kept.transaction() as connection:
            connection.execute("create table half (a int)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert _one(kept, "select to_regclass('half') is null as found") is True
    with pytest.raises(psycopg.errors.DivisionByZero), kept.transaction() as connection:
        connection.execute("select 1 / 0")
    assert _one(kept) == 1
    assert len(counting.opened) == 1


def test_threads_at_once_have_connections_of_their_own(counting: _Counting, kept: KeptConnections) -> None:
    inside = threading.Barrier(12)

    def look(_: int) -> int:
        with kept.transaction() as connection:
            inside.wait(240)
            row = connection.execute("select pg_backend_pid() as found").fetchone()
            assert row is not None
            return int(row["found"])

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(look, range(12)))) == 12
    assert sum(not connection.closed for connection in counting.opened) == 8


def test_a_connection_that_was_cut_while_it_was_kept_is_not_used(counting: _Counting, kept: KeptConnections) -> None:
    pid = _one(kept, "select pg_backend_pid() as found")
    _cut(counting, pid)
    assert _one(kept) == 1
    assert len(counting.opened) == 2


def test_one_that_is_cut_in_the_middle_is_explained_and_dropped(counting: _Counting, kept: KeptConnections) -> None:
    def cut_in_the_middle() -> None:
        with kept.transaction() as connection:
            _cut(counting, connection.info.backend_pid)
            connection.execute("select 1")

    with pytest.raises(DatabaseError, match="broke off in the middle"):
        cut_in_the_middle()
    assert _one(kept) == 1
    assert len(counting.opened) == 2


def test_what_nobody_uses_is_closed_by_itself(counting: _Counting, kept: KeptConnections) -> None:
    _one(kept)
    (opened,) = counting.opened
    until(lambda: opened.closed, "that it is closed")
