"""`dawa doctor --json` of a Supabase project: each part with one line, and nothing is made by looking."""

import json
from pathlib import Path

import psycopg
import pytest

from dawa_assets.observability.hosted_health import look_at_project
from resources.database.base import Database
from resources.database.hosted import HostedDatabase
from tests.databases import GivenDatabase
from tests.dawa_assets.prompting.commands import run_main
from tests.fakes.storage.storage_server import StorageServer

PARTS = ["migrations", "policies", "grants", "publication", "bucket limits", "extensions"]
_CATALOGUE = """
select (select count(*) from pg_class), (select count(*) from pg_policy), (select count(*) from pg_namespace),
  (select count(*) from storage.buckets), (select count(*) from storage.objects), (select count(*) from artists)
"""


def _look(database: Database, change: str = "select 1") -> dict[str, tuple[str, str]]:
    with database.transaction() as connection:
        connection.execute(change.encode())
    with database.transaction() as connection:
        return {part: (state, detail) for part, state, detail in look_at_project(connection)}


def test_a_healthy_project_is_ok_in_every_part(database: Database) -> None:
    found = _look(database)
    assert list(found) == PARTS
    assert {state for state, _ in found.values()} == {"ok"}, found
    assert all(detail.isprintable() for _, detail in found.values())


@pytest.mark.parametrize(
    ("change", "part", "state", "said"),
    [
        ('drop policy "users see their artists" on artists', "policies", "error", "missing:"),
        ("create policy theirs on artists for select using (true)", "policies", "error", "too many:"),
        ("grant select on prompts to anon", "grants", "error", "select on prompts to anon"),
        ("alter publication supabase_realtime drop table uploads", "publication", "warning", "uploads not in it"),
        ("drop publication supabase_realtime", "publication", "warning", "nothing can be followed"),
        ("update storage.buckets set public = true", "bucket limits", "error", "the bucket is public"),
        ("delete from storage.buckets", "bucket limits", "warning", "no bucket dawa-exports yet"),
        ("alter table storage.buckets add file_size_limit bigint default 52428800", "bucket limits", "warning",
         "keeps out files of more than 52,428,800 bytes"),
        ("alter table storage.buckets add allowed_mime_types text[] default array['audio/*']", "bucket limits",
         "warning", "application/json"),
        ("alter table storage.buckets add file_size_limit bigint default 53687091200", "bucket limits", "ok",
         "files of up to 53,687,091,200 bytes"),
        ("update pg_extension set extnamespace = 'public'::regnamespace, extname = 'pgtap'", "extensions", "warning",
         "alter extension pgtap set schema extensions"),
        ("delete from supabase_migrations.schema_migrations where version = '20260401000500'", "migrations", "error",
         "1 of"),
        ("drop table verifications", "policies", "error", "1 table is not there; run `dawa migrate`"),
    ],
)  # fmt: skip
def test_each_trouble_is_one_line_with_its_way_out(
    database: Database, change: str, part: str, state: str, said: str
) -> None:
    found = _look(database, change)
    assert found[part][0] == state
    assert said in found[part][1]
    assert list(found) == PARTS
    assert all("\n" not in detail for _, detail in found.values())


def test_what_can_t_be_read_keeps_no_other_part_from_it(database: Database) -> None:
    unreadable = "create table supabase_migrations.schema_migrations (version int, name text, statements text[])"
    schema = "drop schema supabase_migrations cascade; create schema supabase_migrations"
    found = _look(database, f"{schema}; {unreadable}")
    assert found["migrations"][0] == "error"
    assert {found[part][0] for part in PARTS[1:]} == {"ok"}


def test_the_command_shows_all_and_makes_nothing(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = database.server_url()
    monkeypatch.setattr("dawa_assets.observability.doctor.open_database", lambda _: HostedDatabase(url))
    monkeypatch.setenv("DAWA_HOME", str(tmp_path / "never made"))

    def catalogue() -> tuple[object, ...] | None:
        with psycopg.connect(url) as connection:
            return connection.execute(_CATALOGUE).fetchone()

    before = catalogue()
    with StorageServer(tmp_path) as storage:
        for name, value in (
            ("DAWA_DATABASE", "supabase"),
            ("DAWA_BUCKET", "supabase"),
            ("SUPABASE_URL", storage.url),
            ("SUPABASE_SECRET_KEY", storage.secret_key),
            ("SUPABASE_DB_URL", "postgresql://x:y@127.0.0.1/z"),
        ):
            monkeypatch.setenv(name, value)
        said = run_main(monkeypatch, capsys, "doctor", "--json")
        assert storage.state.buckets == {}
        assert {call.method for call in storage.called()} <= {"GET"}
        assert storage.secret_key not in said.out + said.err
    rows = {row["part"]: row for row in json.loads(said.out)}
    assert set(PARTS) | {"storage policies"} <= set(rows)
    assert {rows[part]["state"] for part in PARTS} == {"ok"}
    assert set(rows["grants"]) == {"part", "uses", "state", "detail", "ends_on"}
    assert catalogue() == before


def test_the_transaction_may_not_write(database: Database) -> None:
    with GivenDatabase(database.server_url()).transaction() as connection:
        for _ in look_at_project(connection):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), connection.transaction():
                connection.execute("insert into artists (name) values ('x')")
