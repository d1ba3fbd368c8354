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

    @abstractmethod
    def url(self) -> str:
        """The connection string, after making sure that the server answers and its schema is current.

        It may hold a password: never log it.
        """

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection with one open transaction: committed when the block ends, rolled back when it raises.

        Rows come as dictionaries. Keep it short: nothing slow (files, models, other services) inside.

        Raises:
            DatabaseError: the server can't be reached.
        """
        try:
            connection = psycopg.connect(self.url(), row_factory=dict_row, prepare_threshold=None)
        except psycopg.OperationalError as error:
            raise DatabaseError(
                f"the database does not answer: {str(error).splitlines()[0]}; see `dawa doctor`"
            ) from None
        with connection:
            yield connection
