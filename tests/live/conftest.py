"""A real project, or none: then these tests skip and say what they would need."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.bucket.supabase import SupabaseBucket
from resources.database.hosted import HostedDatabase
from resources.database.migrations import migrate
from tests.live.project import WANTED, Project, given_project, missing


@pytest.fixture(scope="session")
def project() -> Project:
    if os.environ.get(WANTED) != "1":
        pytest.skip("they need a real Supabase project: make test-live")
    if lines := missing():
        pytest.skip("; ".join(lines))
    return given_project()


@pytest.fixture(scope="session")
def live_bucket(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupabaseBucket]:
    """The project's bucket; what the tests put below the project's folder is removed at the end."""
    bucket = SupabaseBucket(
        project.url, project.secret_key, resume_folder=Path(tmp_path_factory.mktemp("live")) / "uploads"
    )
    try:
        yield bucket
    finally:
        bucket.delete([stored.key for stored in bucket.list(project.folder)])
        assert list(bucket.list(project.folder)) == []


@pytest.fixture(scope="session")
def live_database(project: Project) -> HostedDatabase:
    database = HostedDatabase(project.database_url)
    if project.may_migrate:
        migrate(database.server_url())
    return database
