"""The migration runner: once each, all or nothing, whoever else runs it at the same time."""

import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.database.migrations import NAMED_AS_OURS_FROM, Migration, known_migrations, migrate, pending_migrations
from resources.errors import DatabaseError

FIRST = Migration("20250101000000", "first", "create table first (id int);")
SECOND = Migration("20250101000001", "dawa_second", "create table second (id int); insert into second values (1)")


def _ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def _history(url: str) -> list[tuple[object, ...]]:
    return _ask(url, "select version, name from supabase_migrations.schema_migrations order by 1")


def test_shipped_files_follow_the_naming_of_the_supabase_cli() -> None:
    folder = Path(__file__).parents[3] / "sql" / "migrations"
    assert [migration.file for migration in known_migrations()] == sorted(path.name for path in folder.iterdir())


def test_each_is_applied_once_in_order_and_kept_in_the_history(empty_database_url: str) -> None:
    assert pending_migrations(empty_database_url, [FIRST]) == [FIRST]
    assert migrate(empty_database_url, known=[FIRST]) == [FIRST]
    assert migrate(empty_database_url, known=[FIRST, SECOND]) == [SECOND]
    assert migrate(empty_database_url, known=[FIRST, SECOND]) == []
    assert _history(empty_database_url) == [("20250101000000", "first"), ("20250101000001", "dawa_second")]


def test_a_failed_migration_keeps_only_those_before_it(empty_database_url: str) -> None:
    broken = Migration("20250101000001", "broken", "create table half (id int); select no_such_thing")
    with pytest.raises(
        DatabaseError, match=r"20250101000001_broken.sql failed: .*no_such_thing.*nothing of it was kept"
    ):
        migrate(empty_database_url, known=[FIRST, broken])
    assert _history(empty_database_url) == [("20250101000000", "first")]
    assert _ask(empty_database_url, "select to_regclass('half')") == [(None,)]


def test_a_database_that_is_ahead_is_refused(empty_database_url: str) -> None:
    migrate(empty_database_url, known=[FIRST, SECOND])
    for call in (migrate, pending_migrations):
        with pytest.raises(DatabaseError, match="upgrade the project"):
            call(empty_database_url, known=[FIRST])


def test_a_file_changed_after_it_was_applied_is_noticed(empty_database_url: str) -> None:
    migrate(empty_database_url, known=[FIRST])
    commented = Migration(FIRST.version, FIRST.name, "-- why\n" + FIRST.sql)
    assert migrate(empty_database_url, known=[commented]) == []
    changed = Migration(FIRST.version, FIRST.name, "create table first (id bigint);")
    with pytest.raises(DatabaseError, match="was changed after"):
        migrate(empty_database_url, known=[changed])


def test_a_history_written_by_the_supabase_cli_is_gone_on_with(empty_database_url: str) -> None:
    migrate(empty_database_url, known=[FIRST])
    _ask(
        empty_database_url,
        "insert into supabase_migrations.schema_migrations (version, name, statements) values "
        "('20240101000000', 'theirs', null), "
        "('20250101000001', 'dawa_second', array['create table second (id int)', 'insert into second values (1)']) "
        "returning 1",
    )
    assert migrate(empty_database_url, known=[FIRST, SECOND]) == []


def test_a_history_that_holds_only_versions_is_continued(empty_database_url: str) -> None:
    _execute(
        empty_database_url,
        "create schema supabase_migrations; create table supabase_migrations.schema_migrations "
        "(version text not null primary key); insert into supabase_migrations.schema_migrations values "
        "('20240101000000'), ('20250101000000')",
    )
    assert pending_migrations(empty_database_url, [FIRST, SECOND]) == [SECOND]
    assert migrate(empty_database_url, known=[FIRST, SECOND]) == [SECOND]
    assert _history(empty_database_url) == [
        ("20240101000000", None), ("20250101000000", None), ("20250101000001", "dawa_second"),
    ]  # fmt: skip


def test_names_tell_ours_from_those_of_a_project_s_own_app() -> None:
    """So that a newer one of ours in a database's history is known for what it is."""
    assert [
        migration.file
        for migration in known_migrations()
        if migration.version >= NAMED_AS_OURS_FROM and not migration.name.startswith("dawa_")
    ] == []


def test_several_that_migrate_at_once_apply_each_file_once(empty_database_url: str) -> None:
    slow = Migration("20250101000002", "slow", "select pg_sleep(0.2); create table slow (id int)")
    applied: list[Migration] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            applied.extend(migrate(empty_database_url, known=[FIRST, SECOND, slow]))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(migration.version for migration in applied) == [FIRST.version, SECOND.version, slow.version]


def test_a_killed_migration_leaves_the_database_as_it_was(empty_database_url: str) -> None:
    code = (
        "import sys; from resources.database.migrations import NAMED_AS_OURS_FROM, Migration, migrate; "
        "print('go', flush=True); "
        "migrate(sys.argv[1], known=[Migration('20250101000000', 'first', "
        "'create table first (id int); select pg_sleep(60)')])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, empty_database_url], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    process.stdout.readline()
    while not _ask(empty_database_url, "select 1 from pg_stat_activity where query like '%pg_sleep(60)%' "
                                       "and datname = current_database() and pid <> pg_backend_pid()"):  # fmt: skip
        assert process.poll() is None
    process.kill()
    process.wait()
    process.stdout.close()
    _ask(empty_database_url, "select pg_terminate_backend(pid) from pg_stat_activity "
                             "where datname = current_database() and pid <> pg_backend_pid()")  # fmt: skip
    assert migrate(empty_database_url, known=[FIRST]) == [FIRST]


def test_the_embedded_parts_never_go_into_a_supabase_database(
    database_server: EmbeddedDatabase, empty_database_url: str
) -> None:
    with psycopg.connect(database_server.url(), autocommit=True) as connection:
        connection.execute("create role supabase_admin")
    try:
        with pytest.raises(DatabaseError, match="stay out of it"):
            migrate(empty_database_url, embedded=True)
        assert _ask(empty_database_url, "select to_regnamespace('auth')") == [(None,)]
    finally:
        with psycopg.connect(database_server.url(), autocommit=True) as connection:
            connection.execute("drop role supabase_admin")


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with pytest.raises(DatabaseError) as refused:
        migrate("postgresql://user:verysecret@127.0.0.1:1/dawa?connect_timeout=2")
    assert "verysecret" not in str(refused.value)
    assert "\n" not in str(refused.value)
