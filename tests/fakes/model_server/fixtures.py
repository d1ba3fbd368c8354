"""The model server for tests: import both fixtures into a folder's conftest.py."""

from collections.abc import Iterator

import pytest

from tests.fakes.model_server.control import ModelServer, running_server


@pytest.fixture(scope="session")
def model_server_process() -> Iterator[ModelServer]:
    """The test process's own server."""
    with running_server() as server:
        yield server


@pytest.fixture
def model_server(model_server_process: ModelServer) -> ModelServer:
    """A server that knows no calls and has no faults."""
    model_server_process.reset()
    return model_server_process
