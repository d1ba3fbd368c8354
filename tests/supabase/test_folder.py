"""`supabase/` is what the Supabase CLI finds: the migrations of `sql/`, settings, a seed; and the types are those."""

import json
import mimetypes
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from dawa_assets.example.profile import ARTIST_NAME, master_schema
from dawa_assets.example.tracks import songs
from dawa_assets.intake.kinds import AUDIO_SUFFIXES, LIVE_SET_SUFFIX
from modal_app.audio.identify import MIME_TYPES
from resources.database.base import Database
from resources.database.migrations import known_migrations, migrate, pending_migrations
from tests.fakes.hosted_servers import missing_postgres, postgres_server
from tests.sql.roles import acting_as
from tests.supabase.typescript import FILE, current_file

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "supabase"
SEED = (FOLDER / "seed.sql").read_text(encoding="utf-8")
CONFIG: dict[str, Any] = tomllib.loads((FOLDER / "config.toml").read_text(encoding="utf-8"))
NOVA, VISITOR = (UUID(f"10000000-0000-4000-8000-00000000d0a{n}") for n in (1, 2))


def test_the_migrations_are_those_of_the_project() -> None:
    assert (FOLDER / "migrations").resolve() == ROOT / "sql" / "migrations"
    found = sorted(path.name for path in (FOLDER / "migrations").glob("*.sql"))
    assert found == [migration.file for migration in known_migrations()]


def test_the_settings_name_real_files_and_a_private_bucket() -> None:
    assert all((FOLDER / path).is_file() for path in CONFIG["db"]["seed"]["sql_paths"])
    bucket = CONFIG["storage"]["buckets"]["dawa-exports"]
    assert (bucket["public"], bucket["file_size_limit"]) == (False, CONFIG["storage"]["file_size_limit"])
    auth = CONFIG["auth"]
    assert (auth["enable_signup"], auth["enable_anonymous_sign_ins"]) == (False, False)
    assert CONFIG["api"]["auto_expose_new_tables"] is False


@pytest.mark.parametrize("name", [f"a{suffix}" for suffix in (
    *sorted(AUDIO_SUFFIXES), LIVE_SET_SUFFIX, ".json", ".png", ".txt", ".zip", ".safetensors", ""
)])  # fmt: skip
def test_the_bucket_takes_every_type_that_is_written(name: str) -> None:
    allowed = CONFIG["storage"]["buckets"]["dawa-exports"]["allowed_mime_types"]
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    for kind in {guessed, MIME_TYPES.get(name.partition(".")[2], guessed)}:
        assert kind in allowed or f"{kind.partition('/')[0]}/*" in allowed, kind


def test_the_seed_has_the_example_artist_and_two_users(database: Database) -> None:
    for _ in range(2):
        with database.transaction() as connection:
            connection.execute(SEED.encode())
    with acting_as(database, "authenticated", NOVA) as connection:
        rows = connection.execute(
            "select slug, master_schema from artists join artist_profiles on artist_id = id"
        ).fetchall()
        assert [row["slug"] for row in rows] == ["nova-kite"]
    assert ARTIST_NAME == "Nova Kite"
    assert rows[0]["master_schema"] == json.loads(json.dumps(master_schema(songs()))), (
        "seed.sql differs from the demo's"
    )
    with acting_as(database, "authenticated", VISITOR) as connection:
        assert connection.execute("select 1 from artists").fetchall() == []


def test_the_seeded_users_can_sign_in_where_supabase_auth_is(database: Database) -> None:
    tables = Path(__file__).with_name("auth_tables.sql").read_text(encoding="utf-8")
    with database.transaction() as connection:
        connection.execute(tables.encode())
        for _ in range(2):
            connection.execute(SEED.encode())
        users = connection.execute("select * from auth.users order by id").fetchall()
        identities = connection.execute("select user_id, provider, email from auth.identities order by 1").fetchall()
    assert [(user["id"], user["email"], user["aud"], user["role"]) for user in users] == [
        (NOVA, "nova@example.com", "authenticated", "authenticated"),
        (VISITOR, "visitor@example.com", "authenticated", "authenticated"),
    ]
    # Auth reads these as text and fails on a null.
    empty = ("confirmation_token", "recovery_token", "email_change", "email_change_token_new")
    assert all(user[column] == "" for user in users for column in empty)
    assert all(user["encrypted_password"].startswith("$2") and user["email_confirmed_at"] for user in users)
    assert [tuple(row.values()) for row in identities] == [
        (NOVA, "email", "nova@example.com"),
        (VISITOR, "email", "visitor@example.com"),
    ]


def test_the_typescript_types_are_those_of_the_database(database: Database) -> None:
    there = FILE.read_text(encoding="utf-8")
    wanted = current_file(database.server_url(), there)
    assert there == wanted, "docs/database.types.ts is of another schema; run `python -m tests.supabase.typescript`"


def test_a_changed_column_changes_the_types(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("alter table uploads alter column reason set not null")
    there = FILE.read_text(encoding="utf-8")
    changed = set(current_file(database.server_url(), there).splitlines()) - set(there.splitlines())
    assert changed == set(), "each line is somewhere in the file as it is"
    assert current_file(database.server_url(), there) != there


def test_the_supabase_cli_takes_the_folder_as_it_is(tmp_path: Path) -> None:
    """What the CLI applied is nothing that `dawa migrate` would apply again.

    Twenty seconds where it is installed: it opens a connection for each file.
    """
    cli = shutil.which("supabase")
    if reason := missing_postgres() or (None if cli else "the Supabase CLI is not installed (npm install -g supabase)"):
        pytest.skip(reason)
    shutil.copytree(FOLDER, tmp_path / "supabase", symlinks=True, ignore=shutil.ignore_patterns(".temp"))
    (tmp_path / "sql").symlink_to(ROOT / "sql")
    with postgres_server() as server:
        server.create_database("pushed")
        url = server.url("pushed")
        environment = os.environ | {"DO_NOT_TRACK": "1", "SUPABASE_TELEMETRY_DISABLED": "1"}
        for _ in range(2):  # the second time there is nothing to do
            command = [str(cli), "db", "push", "--include-seed", "--yes", f"--remote={url}"]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        assert pending_migrations(url) == []
        assert migrate(url) == []
        with psycopg.connect(url, row_factory=dict_row) as connection:
            assert connection.execute("select name from public.artists").fetchall() == [{"name": ARTIST_NAME}]
