"""The `Database` port: short-lived psycopg connections, one transaction each. No SQL of the domain here.

There is one code path for every PostgreSQL (embedded, direct, behind a pooler): no prepared statements, no
session settings, no session locks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.rows import dict_row

from resources.database.refusals import explain, place_of
from resources.errors import DatabaseError

Connection = psycopg.Connection[dict[str, Any]]


class Database(ABC):
    """Where the tables live. No connection is handed out before the schema is the one that this version knows."""

    embedded = False
    """Whether this project made it, so that what Supabase has beside the tables must be laid down too."""

    @abstractmethod
    def url(self) -> str:
        """Return the connection string, after making sure that the server answers and its schema is current.

        It may hold a password: never log it.
        """

    def server_url(self) -> str:
        """Return the connection string after making sure that the server answers; its schema stays as it is."""
        return self.url()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection with one open transaction: committed when the block ends, rolled back when it raises.

        Rows come as dictionaries. Keep it short: nothing slow (files, models, other services) inside.

        Raises:
            DatabaseError: the server can't be reached, or the connection broke off in the middle.
        """
        connection = self.connect()
        try:
            with committed(connection):
                yield connection
        finally:
            connection.close()

    def reopen(self) -> bool:
        """Called when a connection was refused. True if it is worth trying once more."""
        return False

    def connect(self) -> Connection:
        """Open a connection, the caller's to close.

        Raises:
            DatabaseError: the server can't be reached, or its schema is not the one that this version knows.
        """
        for may_try_again in (True, False):
            address = ""
            try:
                address = self._address()
                return self._open(address)
            except psycopg.OperationalError as error:
                refusal = explain(error, address)
            if not (may_try_again and refusal.again and self.reopen()):
                break
        raise DatabaseError(str(refusal))

    def _open(self, address: str) -> Connection:
        return psycopg.connect(address, row_factory=dict_row, prepare_threshold=None)

    def _address(self) -> str:
        """Return what a connection is opened with."""
        return self.url()


@contextmanager
def committed(connection: Connection) -> Iterator[None]:
    """Commit what the block does, or nothing of it."""
    try:
        yield
        if connection.broken or not connection.closed:
            connection.commit()
    except BaseException as error:
        if connection.broken and isinstance(error, psycopg.Error):
            raise DatabaseError(
                f"{place_of(connection.info.dsn)}: the connection broke off in the middle; run it again, what was "
                "not committed is not there"
            ) from error
        with suppress(psycopg.Error):
            connection.rollback()
        raise
