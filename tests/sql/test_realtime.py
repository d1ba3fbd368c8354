"""What may be followed by Realtime: items, uploads and trainings, each by who may see it; and projects without it."""

import re
from pathlib import Path

import psycopg
import pytest

from resources.database.base import Database
from resources.database.migrations import known_migrations, migrate
from tests.sql.roles import acting_as, lay_down_surroundings, side

REALTIME = "20260401000500"
FOLLOWED = {"training_items", "uploads", "training_runs"}
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "supabase.md").read_text(encoding="utf-8")


def _published(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select tablename from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'public'"
        )
        return {row[0] for row in rows}


def _before(url: str, *statements: str) -> None:
    lay_down_surroundings(url)
    migrate(url, known=[migration for migration in known_migrations() if migration.version < REALTIME])
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_user_follows_their_own_artist_alone(database: Database) -> None:
    a, b = side(database, "Artist A"), side(database, "Artist B")
    assert _published(database.server_url()) == FOLLOWED
    for one in (a, b):
        with acting_as(database, "authenticated", one.user) as connection:
            for table in FOLLOWED:
                rows = connection.execute(f"select id, artist_id from {table}").fetchall()  # type: ignore[arg-type]
                assert [row["artist_id"] for row in rows] == [one.artist], table
    with acting_as(database, "authenticated", a.user) as connection:
        connection.execute("select state, error, model_name, finished_at from training_runs")
        for hidden in ("metrics", "parameters", "call_id", "fingerprint"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(f"select {hidden} from training_runs")  # type: ignore[arg-type]


def test_the_page_lists_tables_and_columns_as_they_are(database: Database) -> None:
    columns = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, flags=re.MULTILINE))
    assert set(columns) == FOLLOWED
    with database.transaction() as connection:
        for table, listed in columns.items():
            rows = connection.execute(
                "select attname, has_column_privilege('authenticated', attrelid, attnum, 'select') as is_readable "
                "from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped",
                [table],
            ).fetchall()
            readable = {row["attname"] for row in rows if row["is_readable"]}
            everything = {row["attname"] for row in rows}
            assert readable == (everything if listed == "all" else set(re.findall(r"`(\w+)`", listed))), table


@pytest.mark.parametrize(
    ("first", "published"),
    [
        ("drop publication supabase_realtime", set()),
        ("alter publication supabase_realtime add table uploads", FOLLOWED),
        ("create table theirs (id int); alter publication supabase_realtime add table theirs", {"theirs", *FOLLOWED}),
    ],
    ids=["a project without Realtime", "one table is in it", "another program's table is in it"],
)
def test_what_is_published_is_added_to(empty_database_url: str, first: str, published: set[str]) -> None:
    _before(empty_database_url, first)
    migrate(empty_database_url)
    assert _published(empty_database_url) == published


def test_a_publication_of_all_tables_stays_as_it_is(empty_database_url: str) -> None:
    _before(
        empty_database_url, "drop publication supabase_realtime", "create publication supabase_realtime for all tables"
    )
    migrate(empty_database_url)
    assert _published(empty_database_url) >= FOLLOWED


def test_without_rights_on_the_publication_the_rest_is_migrated(empty_database_url: str) -> None:
    _before(
        empty_database_url,
        "drop role if exists follows",
        "create role follows bypassrls",
        "grant usage, create on schema public, supabase_migrations to follows",
        "grant usage on schema auth to follows",
        "do $$ declare t record; begin for t in select tablename from pg_tables where schemaname = 'public' loop "
        "execute format('alter table public.%I owner to follows', t.tablename); end loop; end $$",
    )
    script = next(migration.sql for migration in known_migrations() if migration.version == REALTIME)
    said: list[str | None] = []
    try:
        with psycopg.connect(empty_database_url) as connection:
            connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
            connection.execute("set role follows")
            connection.execute(script.encode())
        assert any("may not change the publication" in (line or "") for line in said)
        assert _published(empty_database_url) == set()
    finally:
        with psycopg.connect(empty_database_url) as connection:
            connection.execute("drop owned by follows cascade")
            connection.execute("drop role follows")
