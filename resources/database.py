"""The `Database` port: short-lived psycopg connections, one transaction each. No SQL of the domain here.

There is one code path for every PostgreSQL (embedded, direct, behind a pooler): no prepared statements, no
session settings, no session locks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from resources.errors import DatabaseError

Connection = psycopg.Connection[dict[str, Any]]


class Database(ABC):
    """Where the tables live. The schema is migrated before the first connection is handed out."""

    embedded = False
    """Whether this project made it, so that what Supabase has beside the tables must be laid down too."""

    @abstractmethod
    def url(self) -> str:
        """The connection string, after making sure that the server answers and its schema is current.

        It may hold a password: never log it.
        """

    def server_url(self) -> str:
        """The connection string after making sure that the server answers; its schema stays as it is."""
        return self.url()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection with one open transaction: committed when the block ends, rolled back when it raises.

        Rows come as dictionaries. Keep it short: nothing slow (files, models, other services) inside.

        Raises:
            DatabaseError: the server can't be reached.
        """
        with self._connect() as connection:
            yield connection

    def reopen(self) -> bool:
        """Called when a connection was refused. True if it is worth trying once more."""
        return False

    def _connect(self) -> Connection:
        try:
            return self._connect_once()
        except psycopg.OperationalError as error:
            problem = str(error)
        if self.reopen():
            try:
                return self._connect_once()
            except psycopg.OperationalError as error:
                problem = str(error)
        reason = (problem.splitlines() or ["no reason given"])[0]
        raise DatabaseError(f"the database does not answer: {reason}; see `dawa doctor`")

    def _connect_once(self) -> Connection:
        return psycopg.connect(self.url(), row_factory=dict_row, prepare_threshold=None)
