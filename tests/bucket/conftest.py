"""The loopback Storage server as a fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bucket.storage_server import StorageServer


@pytest.fixture
def storage_server(tmp_path: Path) -> Iterator[StorageServer]:
    """A Storage server of the test's own, without any bucket."""
    with StorageServer(tmp_path) as server:
        yield server
