"""A home whose database lives as long as its test, and Dagster's records of one test."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dawa_assets.defs.resources import Pipeline
from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.ports import Ports
from tests.dawa_assets.automation.daemon import Daemon


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's records of one test, in memory; a module that needs them on the disk has a fixture of its own."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def daemon_home(tmp_path: Path) -> Path:
    return tmp_path / "home of a daemon"


@pytest.fixture
def home_ports(daemon_home: Path) -> Iterator[Ports]:
    """The ports of the daemon's home, for the test's own process."""
    ports = Pipeline(overrides={"home": str(daemon_home)}).ports()
    yield ports
    assert isinstance(ports.database, EmbeddedDatabase)
    ports.database.stop()


@pytest.fixture
def daemon(daemon_home: Path, home_ports: Ports) -> Iterator[Daemon]:
    daemon = Daemon(daemon_home, DAWA_LEASE_WAIT_SECONDS="0")
    home_ports.database.url()  # it starts here, and ends with the test: not with a daemon that is killed
    yield daemon
    daemon.kill()
