"""A hosted project on loopback: the Storage server, Debian's PostgreSQL and the pooler before it."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dawa_assets.intake.inbox import upload
from resources.database.base import Database
from resources.database.embedded.embedded_database import EmbeddedDatabase
from tests.campaigns.small_artist import NAME, SLUG, compose
from tests.databases import GivenDatabase
from tests.fakes.hosted_servers import HostedServer, PostgresServer
from tests.fakes.storage.storage_server import StorageServer
from tests.hosted.parts import bucket_on, build, known_artist, small_ports, state_of
from tests.prepared import made_once
from tests.resources.database.conftest import debian_postgres, pooler

__all__ = ["debian_postgres", "pooler"]

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Undisturbed:
    """The small artist's files, and what a build of them on this machine's own parts leaves."""

    files: Path
    state: dict[str, Any]


@pytest.fixture(scope="session")
def undisturbed(database_server: EmbeddedDatabase) -> Undisturbed:
    """A build that nothing happened to: an embedded database, a folder as the bucket. One for all test processes."""
    root = made_once("undisturbed", partial(_build_undisturbed, database_server))
    return Undisturbed(root / "files", json.loads((root / "state.json").read_text()))


def _build_undisturbed(server: EmbeddedDatabase, root: Path) -> None:
    compose(root / "files")
    url = make_conninfo(server.url(), dbname="undisturbed")
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as connection:
        connection.execute("create database undisturbed template dawa")
    ports = small_ports(root / "home", GivenDatabase(url))
    known_artist(ports.database, NAME)
    upload(ports, NAME, [root / "files"])
    assert build(ports, SLUG).failures == []
    state = state_of(ports, root / "aside")
    (root / "state.json").write_text(json.dumps(state))
    assert json.loads((root / "state.json").read_text()) == state


@dataclass(frozen=True)
class Uploaded:
    """Where the small artist was uploaded and nothing built: what a campaign begins with, again and again."""

    server: StorageServer
    database: str
    maintenance_url: str

    @contextmanager
    def begun(
        self, folder: Path, kind: type[StorageServer] = StorageServer
    ) -> Iterator[tuple[StorageServer, Database, Path]]:
        """A Storage server, a database and a home in `folder` in which just this has happened."""
        name = f"campaign_{next(_numbers)}"
        folder.mkdir(parents=True)
        with psycopg.connect(self.maintenance_url, autocommit=True) as connection:
            connection.execute(f'create database "{name}" template "{self.database}"')
        with kind(folder) as server:
            server.state.take_over(self.server.state)
            yield server, GivenDatabase(make_conninfo(self.maintenance_url, dbname=name)), folder / "home"
        with psycopg.connect(self.maintenance_url, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
def uploaded(
    undisturbed: Undisturbed, database_server: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Uploaded]:
    """The same files in a bucket of Storage, and their artist in an embedded database."""
    folder = tmp_path_factory.mktemp("uploaded")
    maintenance = make_conninfo(database_server.url(), dbname="postgres")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute("create database uploaded template dawa")
    database = GivenDatabase(make_conninfo(maintenance, dbname="uploaded"))
    known_artist(database, NAME)
    with StorageServer(folder) as server:
        upload(small_ports(folder, database, bucket_on(server, folder)), NAME, [undisturbed.files])
        yield Uploaded(server, "uploaded", maintenance)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[StorageServer]:
    """A project's Storage, without any bucket."""
    with StorageServer(tmp_path) as server:
        yield server


@pytest.fixture
def project_url(debian_postgres: PostgresServer, pooler: HostedServer) -> Iterator[str]:
    """A project's database through the transaction pooler; nothing of ours is in it."""
    name = f"project_{next(_numbers)}"
    debian_postgres.create_database(name)
    yield pooler.url(name)
    debian_postgres.drop_database(name)
