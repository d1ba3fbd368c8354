"""The Supabase project that the opt-in tests run against, and what they need to be told of it."""

import os
from dataclasses import dataclass
from uuid import uuid4

NEEDED = {
    "SUPABASE_URL": "the project's address, https://<project>.supabase.co",
    "SUPABASE_SECRET_KEY": "its secret key (sb_secret_…)",
    "SUPABASE_DB_URL": "its connection string, of any of its three",
}
WANTED = "DAWA_LIVE_TESTS"  # 1: set by `make test-live` alone, so that keys lying around in a shell start nothing
MIGRATE = "DAWA_LIVE_MIGRATE"  # 1: apply what is pending; otherwise the schema is looked at only


@dataclass(frozen=True)
class Project:
    """Where it is, and a name for all that this run makes there."""

    url: str
    secret_key: str
    database_url: str
    may_migrate: bool
    folder: str


def missing() -> list[str]:
    """One line for each setting that is not given."""
    return [f"{name}: {what}" for name, what in NEEDED.items() if not os.environ.get(name, "").strip()]


def given_project() -> Project:
    """The project of the environment; `missing` tells what is not there."""
    url, key, database = (os.environ[name] for name in NEEDED)
    return Project(url, key, database, os.environ.get(MIGRATE) == "1", f"dawa-live-test/{uuid4().hex}")
