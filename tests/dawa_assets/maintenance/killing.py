"""Ports that kill their user after so many changes of bucket or database, in place of SIGKILL."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from resources.bucket.folder import FolderBucket
from resources.database.base import Connection, Database
from resources.ports import Ports
from resources.settings import Settings


class KilledError(BaseException):
    """No `except Exception` sees it."""


class Fuse:
    """Burns down with every change that is made, and kills when it has burnt down; None never does."""

    def __init__(self, changes: int | None) -> None:
        self.left = changes
        self.burnt = 0

    def burn(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # the lease's renewal
        self.burnt += 1
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KilledError


class _FusedBucket(FolderBucket):
    def __init__(self, folder: Path, fuse: Fuse) -> None:
        super().__init__(folder)
        self._fuse = fuse

    def put(self, key: str, source: Path | bytes | BinaryIO, **more: Any) -> None:
        super().put(key, source, **more)
        self._fuse.burn()

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            super().delete([key])
            self._fuse.burn()


class _FusedDatabase(Database):
    def __init__(self, database: Database, fuse: Fuse) -> None:
        self._database = database
        self._fuse = fuse

    def url(self) -> str:
        return self._database.url()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self._database.transaction() as connection:
            before = connection.execute("select pg_current_xact_id_if_assigned() as id").fetchone()
            yield connection
            after = connection.execute("select pg_current_xact_id_if_assigned() as id").fetchone()
        if before != after:  # it changed something, and that is committed
            self._fuse.burn()


def fused(ports: Ports, fuse: Fuse) -> Ports:
    bucket = _FusedBucket(ports.settings.home / "bucket", fuse)
    return replace(ports, bucket=bucket, database=_FusedDatabase(ports.database, fuse))


def with_short_leases(ports: Ports) -> Ports:
    """The killed one stands in this very process, so nobody can see that it is gone: its lease must run out."""
    return replace(ports, settings=Settings(home=ports.settings.home, lease_seconds=0.6, lease_wait_seconds=30))
