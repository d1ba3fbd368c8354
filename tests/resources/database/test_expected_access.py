"""What is expected of a database's access is what the migrations leave, on every server; each change of it is found."""

import psycopg
import pytest

from resources.database import expected_access
from resources.database.base import Database
from resources.database.expected_access import (
    TABLES,
    bucket_settings,
    extensions_in_public,
    grant_differences,
    missing_tables,
    policy_differences,
    publication_differences,
)
from resources.database.migrations import migrate
from tests.fakes.hosted_servers import PostgresServer
from tests.sql.roles import tables_of


def _all_as_expected(connection: psycopg.Connection[object]) -> None:
    assert missing_tables(connection) == []
    for differences in (policy_differences, grant_differences, publication_differences):
        found = differences(connection)
        assert found is not None
        assert not found, found


def test_a_migrated_database_has_what_is_expected(database: Database) -> None:
    assert set(tables_of(database)) == TABLES, "name each table in resources/database/expected_access.py"
    with database.transaction() as connection:
        _all_as_expected(connection)


def test_debian_s_server_writes_rules_that_are_known_too(debian_postgres: PostgresServer) -> None:
    debian_postgres.create_database("expected")
    try:
        migrate(debian_postgres.url("expected"))
        with psycopg.connect(debian_postgres.url("expected")) as connection:
            _all_as_expected(connection)
    finally:
        debian_postgres.drop_database("expected")


@pytest.mark.parametrize(
    ("change", "where", "name"),
    [
        ('drop policy "users see their artists" on artists', "missing", '"users see their artists" on artists'),
        ("alter table prompts disable row level security", "missing", "row-level security of prompts"),
        ("create policy theirs on uploads for select using (true)", "extra", '"theirs" on uploads'),
        ('alter policy "users see their artists" on artists using (true)', "changed", '"users see their artists" on'),
        ('alter policy "users see their artists" on artists to public', "changed", '"users see their artists" on'),
        ('alter policy "users edit their artists\' items" on training_items with check (true)', "changed",
         '"users edit their artists\' items" on training_items'),
        ('alter policy "only the pipeline comes here" on spending with check (true)', "changed", '"only the pipeline'),
        ('alter policy "only the pipeline comes here" on spending using (true)', "changed", '"only the pipeline comes'),
    ],
)  # fmt: skip
def test_a_changed_policy_is_found(database: Database, change: str, where: str, name: str) -> None:
    with database.transaction() as connection:
        connection.execute(change.encode())
        found = policy_differences(connection)
        connection.rollback()
    [said] = getattr(found, where)
    assert said.startswith(name)
    assert sum(map(len, (found.missing, found.extra, found.changed))) == 1


@pytest.mark.parametrize(
    ("change", "where", "name"),
    [
        ("grant select on spending to authenticated", "extra", "select on spending to authenticated"),
        ("grant update (status) on training_items to authenticated", "extra", "update (status) on training_items to"),
        ("grant truncate on artists to anon", "extra", "truncate on artists to anon"),
        ("grant select on artists to public", "extra", "select on artists to public"),
        ("grant execute on function dawa_slugify(text) to anon", "extra", "execute on dawa_slugify() to anon"),
        ("revoke select on artists from authenticated", "missing", "select on artists to authenticated"),
        ("revoke update (prompt_text) on training_items from authenticated", "missing", "update (prompt_text) on"),
        ("revoke delete on leases from service_role", "missing", "delete on leases to service_role"),
    ],
)
def test_a_changed_grant_is_found(database: Database, change: str, where: str, name: str) -> None:
    with database.transaction() as connection:
        connection.execute(change.encode())
        found = grant_differences(connection)
        connection.rollback()
    [said] = getattr(found, where)
    assert said.startswith(name)


def test_what_realtime_reads_is_compared(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("alter publication supabase_realtime drop table uploads")
        connection.execute("alter publication supabase_realtime add table prompts")
        found = publication_differences(connection)
        assert found is not None
        assert (found.missing, found.extra) == (["uploads"], ["prompts"])
        connection.execute("drop publication supabase_realtime")
        assert publication_differences(connection) is None
        connection.rollback()


def test_other_tables_of_a_project_are_its_own_affair(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("create table theirs (id int); grant all on theirs to anon")
        _all_as_expected(connection)
        connection.execute("drop table verifications")
        assert missing_tables(connection) == ["verifications"]
        connection.rollback()


def test_bucket_and_extensions_are_read(database: Database) -> None:
    with database.transaction() as connection:
        settings = bucket_settings(connection, "dawa-exports")
        assert settings is not None
        assert settings["public"] is False
        assert bucket_settings(connection, "none") is None
        assert set(extensions_in_public(connection)) <= {"plpgsql"}
        connection.execute("drop schema storage cascade")
        assert bucket_settings(connection, "dawa-exports") is None
        connection.rollback()
    assert expected_access.FOLLOWED <= TABLES
