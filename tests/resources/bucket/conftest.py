"""The loopback Storage server and a bucket on it as fixtures."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources.bucket.storage_link import Retries
from resources.bucket.supabase import SupabaseBucket
from tests.fakes.storage.storage_server import StorageServer

QUICK = Retries(tries=5, seconds=10.0, first_pause=0.01, longest_pause=0.05)


@pytest.fixture
def storage_server(tmp_path: Path) -> Iterator[StorageServer]:
    """A Storage server of the test's own, without any bucket."""
    with StorageServer(tmp_path) as server:
        yield server


@pytest.fixture
def open_supabase(storage_server: StorageServer, tmp_path: Path) -> Callable[..., SupabaseBucket]:
    """A function that opens the server's bucket as a new process would; it does not wait long between tries."""

    def open_(key: str = storage_server.secret_key, retries: Retries = QUICK) -> SupabaseBucket:
        return SupabaseBucket(storage_server.url, key, resume_folder=tmp_path / "uploads", retries=retries)

    return open_


@pytest.fixture
def supabase(open_supabase: Callable[..., SupabaseBucket]) -> SupabaseBucket:
    """The server's bucket."""
    return open_supabase()


def read_whole(bucket: SupabaseBucket, key: str) -> bytes:
    """All bytes of an object."""
    with bucket.open(key) as stream:
        return stream.read()


def one_line(error: BaseException, *secrets: str) -> str:
    """The error's message, which is one line and holds none of the secrets."""
    text = str(error)
    assert "\n" not in text
    assert not any(secret in text for secret in secrets)
    return text
