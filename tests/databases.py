"""Databases for tests: taken from a stock that is refilled by emptying, and connections that are used again.

A fresh database costs 100 ms, emptying one that was used 10; opening a connection costs more than what most
transactions do. What no emptying undoes (other tables, functions, policies, rows that migrations made) costs the
database: it is dropped, and the next test gets a fresh one.
"""

import itertools
import os
import select
import threading
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from resources.database.base import Connection, Database

_MAX_IDLE = 4
_MAX_BYTES = 2**20
"""A table that has grown larger is not emptied row by row."""
# What a change of the schema leaves in the catalogue: any of these rows is another one afterwards.
_CATALOGUE = " || ".join(
    f"(select count(*) || ':' || coalesce(sum(xmin::text::bigint), 0) || ' ' from pg_catalog.{table})"
    for table in (
        *("pg_class", "pg_attribute", "pg_attrdef", "pg_proc", "pg_type", "pg_policy", "pg_trigger", "pg_constraint"),
        *("pg_index", "pg_namespace", "pg_rewrite", "pg_event_trigger", "pg_publication", "pg_publication_rel"),
        *("pg_default_acl", "pg_description", "pg_extension", "pg_statistic_ext"),
    )
)
_TABLES = """
select format('%I.%I', n.nspname, c.relname) as name, c.relkind = 'S' as is_sequence
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'S') and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' order by 1
"""


class GivenDatabase(Database):
    """A database that is there already."""

    def __init__(self, url: str) -> None:
        self._url = url

    def url(self) -> str:
        return self._url


class KeptDatabase(GivenDatabase):
    """One whose connections are kept for the next transaction, as a pooler keeps them."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._idle: list[_KeptConnection] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.really_close()

    def keep(self, connection: "_KeptConnection") -> bool:
        """Take a connection back that is as good as new; False where there are enough."""
        with self._lock:
            if len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return True
        return False

    def _open(self, address: str) -> Connection:
        with self._lock:
            while self._idle:
                kept = self._idle.pop()
                if kept.is_good():
                    return kept
                kept.really_close()
        made: _KeptConnection = _KeptConnection.connect(  # type: ignore[assignment]
            address, row_factory=dict_row, prepare_threshold=None
        )
        made.home = self
        return made


class _KeptConnection(psycopg.Connection[dict[str, Any]]):
    home: KeptDatabase | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._process = os.getpid()

    def is_good(self) -> bool:
        """Whether it is this process's own and the server has said nothing meanwhile, such as that it ends."""
        mine = self._process == os.getpid() and not self.closed
        return mine and not select.select([self.fileno()], [], [], 0)[0]

    def close(self) -> None:
        """Give it back without anything of the session that used it, or close it."""
        home, as_made = self.home, not (self._notice_handlers or self._notify_handlers)
        if home is None or not as_made or not self.is_good() or self.row_factory is not dict_row:
            return self.really_close()
        try:
            if self.info.transaction_status != TransactionStatus.IDLE:
                self.rollback()
            self.autocommit = True
            self.execute("discard all")
            self.autocommit = False
        except psycopg.Error:
            return self.really_close()
        return None if home.keep(self) else self.really_close()

    def really_close(self) -> None:
        if self._process == os.getpid():
            super().close()


class Stock:
    """The databases of one server, made from its template and handed out one at a time."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url, self._template = server_url, template
        self._numbers = itertools.count(1)
        self._free: list[tuple[str, psycopg.Connection[Any]]] = []
        self._shape = ""
        self._empty: list[str] = []
        self._sequences: list[str] = []

    def take(self) -> tuple[str, psycopg.Connection[Any]]:
        """The connection string of a database as the migrations leave it, and a connection that looks after it."""
        return self._free.pop() if self._free else self._make()

    def give_back(self, url: str, keeper: psycopg.Connection[Any]) -> None:
        """Empty it for the next one, or drop it where emptying is not enough."""
        if self._is_emptied(keeper):
            self._free.append((url, keeper))
            return
        name = keeper.info.dbname
        keeper.close()
        drop(self._server_url, name)

    def close(self) -> None:
        for _, keeper in self._free:
            keeper.close()

    def _make(self) -> tuple[str, psycopg.Connection[Any]]:
        name = f"stock_{next(self._numbers)}"
        create(self._server_url, name, self._template)
        url = make_conninfo(self._server_url, dbname=name)
        keeper = psycopg.connect(url, autocommit=True, prepare_threshold=None)
        if not self._shape:
            self._learn(keeper)
        return url, keeper

    def _learn(self, keeper: psycopg.Connection[Any]) -> None:
        self._shape = _value(keeper, f"select {_CATALOGUE}")
        for name, is_sequence in keeper.execute(_TABLES).fetchall():
            if is_sequence:
                self._sequences.append(name)
            elif not _value(keeper, f"select exists (select from {name})"):
                self._empty.append(name)
        self._filled = self._filled_tables(keeper)

    def _filled_tables(self, keeper: psycopg.Connection[Any]) -> str:
        """What is in the tables that migrations fill."""
        filled = [name for name, is_sequence in keeper.execute(_TABLES).fetchall() if not is_sequence]
        parts = [f"(select coalesce(string_agg(t::text, ';' order by t::text), '') from {name} t)"
                 for name in filled if name not in self._empty]  # fmt: skip
        return str(_value(keeper, f"select {' || '.join(parts)}")) if parts else ""

    def _is_emptied(self, keeper: psycopg.Connection[Any]) -> bool:
        try:
            keeper.execute(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            if _value(keeper, f"select {_CATALOGUE}") != self._shape or self._filled_tables(keeper) != self._filled:
                return False
            used = _value(
                keeper,
                "select array_remove(array["
                + ", ".join(f"case when exists (select from {name}) then '{name}' end" for name in self._empty)
                + "], null)",
            )
            if any(_value(keeper, f"select pg_relation_size('{name}')") > _MAX_BYTES for name in used):
                return False
            with keeper.transaction():
                keeper.execute("set local session_replication_role = replica")
                for name in used:
                    keeper.execute(f"delete from {name}")
            for name in self._sequences:
                keeper.execute(f"select setval('{name}', 1, false)")
        except psycopg.Error:
            return False
        return True


def create(server_url: str, name: str, template: str) -> None:
    """Make a database from a template."""
    _execute(server_url, f'create database "{name}" template "{template}" strategy file_copy')


def drop(server_url: str, name: str) -> None:
    """Drop a database with whoever is connected to it."""
    _execute(server_url, f'drop database "{name}" with (force)')


def _execute(server_url: str, statement: str) -> None:
    with psycopg.connect(make_conninfo(server_url, dbname="postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


def _value(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
