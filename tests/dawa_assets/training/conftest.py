"""One artist per test, with a worker in this process that tells what it was asked."""

from uuid import uuid4

import pytest

from resources.ports import Ports
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, open_catalogue, with_recorder
from tests.fakes.model_server.fixtures import model_server, model_server_process

__all__ = ["model_server", "model_server_process"]


@pytest.fixture
def recorded(ports: Ports) -> tuple[Ports, RecordingCompute]:
    return with_recorder(ports)


@pytest.fixture
def worker(recorded: tuple[Ports, RecordingCompute]) -> RecordingCompute:
    return recorded[1]


@pytest.fixture
def catalogue(recorded: tuple[Ports, RecordingCompute]) -> Catalogue:
    return open_catalogue(recorded[0], f"Artist {uuid4().hex[:8]}")
