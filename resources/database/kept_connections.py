"""`KeptConnections`: a `Database` whose connections are used again, for whoever asks often, such as the server.

Opening one costs a process of the database's, and over a network several round trips; most answers need less. A
connection is kept for a moment only: poolers close those that are idle for long, and others may need its place.
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from psycopg.pq import TransactionStatus

from resources.database.base import Connection, Database, committed

KEPT_SECONDS = 2.0
"""How long an idle connection is kept, and trusted."""

_MAX_KEPT = 8


class KeptConnections(Database):
    """Another database, with up to eight connections kept between transactions; `close` it, or use it in a `with`.

    Args:
        database: where connections are opened, which explains what is wrong with them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.embedded = database.embedded
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Connection]] = []
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def url(self) -> str:
        """As the other database's."""
        return self._database.url()

    def server_url(self) -> str:
        """As the other database's."""
        return self._database.server_url()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """As `Database.transaction`, over a kept connection where there is one that still answers."""
        connection = self._taken() or self._database.connect()
        try:
            with committed(connection):
                yield connection
        finally:
            self._give_back(connection)

    def connect(self) -> Connection:
        """Return a connection of the caller's own."""
        return self._database.connect()

    def close(self) -> None:
        """Close what is kept."""
        self._close_idle(0)

    def _taken(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                kept_since, connection = self._idle.pop()
            if time.monotonic() - kept_since <= KEPT_SECONDS and not _has_ended(connection):
                return connection
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        is_usable = not connection.closed and connection.info.transaction_status is TransactionStatus.IDLE
        with self._lock:
            if is_usable and len(self._idle) < _MAX_KEPT:
                self._idle.append((time.monotonic(), connection))
                if self._timer is None:
                    self._start_timer()
                return
        connection.close()

    def _start_timer(self) -> None:
        self._timer = threading.Timer(KEPT_SECONDS, self._close_idle, [KEPT_SECONDS])
        self._timer.daemon = True
        self._timer.start()

    def _close_idle(self, older_than: float) -> None:
        """Close the connections that nobody used for so long; go on while there are others."""
        now = time.monotonic()
        with self._lock:
            old = [connection for kept_since, connection in self._idle if now - kept_since >= older_than]
            self._idle = [(since, connection) for since, connection in self._idle if now - since < older_than]
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._idle:
                self._start_timer()
        for connection in old:
            connection.close()


def _has_ended(connection: Connection) -> bool:
    """Return whether the server sent something while nobody asked: that it ends, or the end itself."""
    waiting = select.poll()  # `select.select` takes no file number above 1023, and a server may have many clients
    waiting.register(connection.fileno(), select.POLLIN)
    return bool(waiting.poll(0))
