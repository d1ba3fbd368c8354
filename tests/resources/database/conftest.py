"""The servers of a hosted project, started once for a test process and skipped where they are not installed."""

from collections.abc import Iterator

import pytest

from tests.fakes.hosted_servers import (
    HostedServer,
    PostgresServer,
    missing_pgbouncer,
    missing_postgres,
    pgbouncer,
    postgres_server,
)


@pytest.fixture(scope="session")
def debian_postgres() -> Iterator[PostgresServer]:
    """Debian's PostgreSQL over TCP."""
    if reason := missing_postgres():
        pytest.skip(reason)
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def pooler(debian_postgres: PostgresServer) -> Iterator[HostedServer]:
    """pgbouncer in transaction mode before it."""
    if reason := missing_pgbouncer():
        pytest.skip(reason)
    with pgbouncer(debian_postgres) as server:
        yield server
