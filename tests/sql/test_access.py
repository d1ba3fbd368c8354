"""What an attacker with a signed-in user's or the anonymous key can do: nothing to what is not theirs.

Driven by the catalog, so that a table that somebody adds without row level security fails here.
"""

import json
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from resources.database.base import Connection, Database
from tests.sql.roles import Side, acting_as, columns_of, side, tables_of

REFUSED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.CheckViolation,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.NotNullViolation,
)
FOREIGN_PATH, FOREIGN_ROW, FIXED_SLUG = "DA002", "DA003", "DA001"


@pytest.fixture
def a(database: Database) -> Side:
    return side(database, "Artist A")


@pytest.fixture
def b(database: Database) -> Side:
    return side(database, "Artist B")


def _try(connection: Connection, statement: sql.Composable, values: dict[str, object] | None = None) -> int:
    """How many rows a statement saw or changed; 0 where it was refused."""
    try:
        with connection.transaction():
            return connection.execute(statement, values).rowcount
    except REFUSED:
        return 0
    except psycopg.Error as error:
        if error.sqlstate in (FOREIGN_PATH, FOREIGN_ROW, FIXED_SLUG):
            return 0
        raise


def test_every_table_has_row_level_security(database: Database) -> None:
    with database.transaction() as connection:
        rows = connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace "
            "and (relkind in ('r', 'p') and not relrowsecurity or relkind in ('v', 'm', 'f'))"
        ).fetchall()
    assert [row["relname"] for row in rows] == []


def test_a_new_table_without_row_level_security_is_noticed(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("create table forgotten (id int)")
    with pytest.raises(AssertionError, match="forgotten"):
        test_every_table_has_row_level_security(database)


def test_the_anonymous_role_sees_and_changes_nothing(database: Database, a: Side) -> None:
    assert a.user
    with acting_as(database, "anon") as connection:
        for table in tables_of(database):
            name = sql.Identifier("public", table)
            for statement in ("select * from {}", "delete from {}", "insert into {} default values"):
                assert _try(connection, sql.SQL(statement).format(name)) == 0, (table, statement)
            for column in columns_of(connection, table):
                update = sql.SQL("update {} set {c} = {c}").format(name, c=sql.Identifier(column))
                assert _try(connection, update) == 0, (table, column)


def test_a_user_sees_only_rows_of_their_artist_in_seven_tables(database: Database, a: Side, b: Side) -> None:
    seen = {}
    with acting_as(database, "authenticated", a.user) as connection:
        for table in tables_of(database):
            with_rows = _try(connection, sql.SQL("select * from {}").format(sql.Identifier("public", table)))
            if with_rows:
                key = "id" if table == "artists" else "artist_id"
                rows = connection.execute(f"select distinct {key} as artist from {table}").fetchall()  # type: ignore[arg-type]
                seen[table] = [row["artist"] for row in rows]
    seven = ("als_summaries", "artist_profiles", "artists", "item_findings", "training_items", "uploads")
    seven += ("user_artists",)
    assert seen == {table: [a.artist] for table in seven}
    assert b.artist != a.artist


def test_a_user_cannot_change_rows_of_another_artist(database: Database, a: Side, b: Side) -> None:
    assert b.user
    before = _everything(database)
    with database.transaction() as connection:
        connection.execute("set local role authenticated")
        connection.execute(
            "select set_config('request.jwt.claims', %s, true)",
            [json.dumps({"role": "authenticated", "sub": str(a.user)})],
        )
        for table in tables_of(database):
            name = sql.Identifier("public", table)
            assert _try(connection, sql.SQL("delete from {}").format(name)) == 0, table
            assert _try(connection, sql.SQL("truncate {} cascade").format(name)) <= 0, table
            for column in columns_of(connection, table):
                changed = _try(connection, sql.SQL("update {} set {c} = {c}").format(name, c=sql.Identifier(column)))
                assert changed in (0, 1), (table, column)  # their own row at the most
    after = _everything(database)
    assert {table: rows for table, rows in after.items() if rows != before[table]} == {}


def _everything(database: Database) -> dict[str, list[str]]:
    with database.transaction() as connection:
        return {
            table: sorted(
                row["row"]
                for row in connection.execute(
                    sql.SQL("select (to_jsonb(t) - 'updated_at')::text as row from {} t").format(
                        sql.Identifier("public", table)
                    )
                ).fetchall()
            )
            for table in tables_of(database)
        }


def test_users_may_write_only_the_listed_columns(database: Database) -> None:
    with database.transaction() as connection:
        rows = connection.execute(
            "select c.relname || '.' || a.attname as col, p.privilege "
            "from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped "
            "cross join (values ('INSERT'), ('UPDATE')) as p (privilege) "
            "where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') "
            "and has_column_privilege('authenticated', c.oid, a.attnum, p.privilege)"
        ).fetchall()
    assert {(row["col"], row["privilege"]) for row in rows} == {
        *((f"training_items.{column}", "INSERT")
          for column in ("artist_id", "als_summary_id", "parse_id", "als_filename", "project_name")),
        ("training_items.prompt_text", "UPDATE"),
        ("training_items.excluded_at", "UPDATE"),
        *((f"artist_profiles.{column}", "INSERT") for column in ("artist_id", "name", "master_schema")),
        ("artist_profiles.name", "UPDATE"),
        ("artist_profiles.master_schema", "UPDATE"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "attack",
    [
        "insert into user_artists (user_id, artist_id) values (%(me)s, %(b)s)",
        "update user_artists set artist_id = %(b)s where user_id = %(me)s",
        "update user_artists set user_id = %(me)s",
        "insert into training_items (artist_id, parse_id) values (%(b)s, 'x')",
        "insert into training_items (artist_id, parse_id, status) values (%(a)s, 'x', 'ready')",
        "insert into training_items (artist_id, parse_id, audio_path) values (%(a)s, 'x', %(b_file)s)",
        "insert into training_items (artist_id, parse_id, als_summary_id) values (%(a)s, 'x', %(b_summary)s)",
        "insert into training_items (artist_id, parse_id, item_key) values (%(a)s, 'x', 'k')",
        "update training_items set artist_id = %(b)s where id = %(item)s",
        "update training_items set audio_path = %(b_file)s where id = %(item)s",
        "update training_items set prompt_path = %(b_file)s where id = %(item)s",
        "update training_items set als_summary_id = %(b_summary)s where id = %(item)s",
        "update training_items set prompt_id = %(b_prompt)s where id = %(item)s",
        "update training_items set status = 'ready' where id = %(item)s",
        "update training_items set audio_hash = 'x' where id = %(item)s",
        "update training_items set prompt_text = 'mine' where id = %(b_item)s",
        "update artist_profiles set master_schema = '{\"x\": 1}' where artist_id = %(b)s",
        "update artist_profiles set artist_id = %(b)s where artist_id = %(a)s",
        "insert into artist_profiles (artist_id) values (%(b)s) on conflict (artist_id) do update set name = 'mine'",
        "update als_summaries set export_path = %(b_file)s where artist_id = %(a)s",
        "update artists set slug = %(b_slug)s where id = %(a)s",
        "update artists set name = 'mine' where id = %(a)s",
        "insert into artists (name) values ('mine')",
        "insert into segment_tags (segment_hash, model, tag_prompt_version, text, tags, figures) "
        "values ('h', 'm', 'v', 't', '{}', '{}')",
        "update leases set fence = 99",
        "delete from training_items where id = %(b_item)s",
        "insert into storage.objects (bucket_id, name) values ('dawa-exports', %(b_file)s)",
    ],
)
def test_an_attack_of_a_linked_user_is_refused(database: Database, a: Side, b: Side, attack: LiteralString) -> None:
    values = {
        "me": a.user, "a": a.artist, "item": a.item, "b": b.artist, "b_slug": b.slug, "b_summary": b.summary,
        "b_prompt": b.prompt, "b_item": b.item, "b_file": f"artists/{b.slug}/training/i/audio.mp3",
    }  # fmt: skip
    with acting_as(database, "authenticated", a.user) as connection:
        assert _try(connection, sql.SQL(attack), values) == 0


@pytest.mark.parametrize(
    "path",
    [
        "artists/{b}/training/i/audio.mp3",
        "artists/{a}/../{b}/audio.mp3",
        "artists/{a}/./x",
        "artists/{a}//x",
        "artists/{a}/",
        "artists/{a}",
        "artists/{a}x/y",
        "/artists/{a}/x",
        "artists/{a}/x\n",
        "artists/{a}/..\\{b}",
        "Artists/{a}/x",
        "",
    ],
)
def test_no_role_can_store_a_path_outside_the_rows_artist(database: Database, a: Side, b: Side, path: str) -> None:
    path = path.format(a=a.slug, b=b.slug)
    paths = {
        "als_summaries": ("export_path", "source_key"),
        "training_items": ("audio_path", "prompt_path"),
        "uploads": ("final_key",),
        "datasets": ("storage_path", "manifest_path"),
        "dataset_items": ("audio_path",),
        "training_runs": ("adapter_key",),
    }
    with acting_as(database, "service_role") as connection:
        for table, columns in paths.items():
            for column in columns:
                with pytest.raises(psycopg.Error) as refused, connection.transaction():
                    connection.execute(f"update {table} set {column} = %s", [path])  # type: ignore[arg-type]
                assert refused.value.sqlstate == FOREIGN_PATH, (table, column)


def test_every_stored_path_column_has_the_guard(database: Database) -> None:
    with database.transaction() as connection:
        rows = connection.execute(
            "select c.relname, a.attname, coalesce(string_agg(encode(t.tgargs, 'escape'), ' '), '') as guarded "
            "from pg_class c join pg_attribute a on a.attrelid = c.oid "
            "left join pg_trigger t on t.tgrelid = c.oid and t.tgname = 'dawa_guard_paths' "
            "where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' "
            "and (a.attname like '%\\_path' or a.attname like '%\\_key') "
            "and a.attname not in ('inbox_key', 'item_key') group by 1, 2"
        ).fetchall()
    assert len(rows) >= 9
    assert [row for row in rows if row["attname"] not in row["guarded"]] == []


def test_a_row_cannot_refer_to_a_row_of_another_artist(database: Database, a: Side, b: Side) -> None:
    references = [
        ("training_items", "als_summary_id", b.summary),
        ("training_items", "prompt_id", b.prompt),
        ("prompts", "als_summary_id", b.summary),
        ("uploads", "als_summary_id", b.summary),
        ("uploads", "training_item_id", b.item),
        ("training_runs", "dataset_id", b.dataset),
        ("dataset_items", "training_item_id", b.item),
        ("dataset_items", "als_summary_id", b.summary),
        ("dataset_items", "prompt_id", b.prompt),
    ]
    with acting_as(database, "service_role") as connection:
        for table, column, target in references:
            which = ("dataset_id", a.dataset) if table == "dataset_items" else ("artist_id", a.artist)
            with pytest.raises(psycopg.Error) as refused, connection.transaction():
                connection.execute(
                    f"update {table} set {column} = %s where {which[0]} = %s",  # type: ignore[arg-type]
                    [target, which[1]],
                )
            assert refused.value.sqlstate == FOREIGN_ROW, (table, column)


def test_the_pipeline_s_role_sees_and_may_change_all(database: Database, a: Side, b: Side) -> None:
    assert a.artist != b.artist
    with acting_as(database, "service_role") as connection:
        for table in tables_of(database):
            name = sql.Identifier("public", table)
            assert _try(connection, sql.SQL("select * from {}").format(name)) == 2, table
        connection.execute("delete from artists")


def test_api_roles_can_call_none_of_the_functions(database: Database) -> None:
    with database.transaction() as connection:
        rows = connection.execute(
            "select p.oid::regprocedure::text as name from pg_proc p "
            "cross join (values ('anon'), ('authenticated')) as r (role) "
            "where p.pronamespace = 'public'::regnamespace and has_function_privilege(r.role, p.oid, 'execute')"
        ).fetchall()
        unsafe = connection.execute(
            "select oid::regprocedure::text as name from pg_proc where pronamespace = 'public'::regnamespace "
            "and prosecdef and not coalesce(array_to_string(proconfig, ','), '') like '%search_path=%'"
        ).fetchall()
    assert (rows, unsafe) == ([], [])


def test_a_linked_user_s_own_work_goes_on(database: Database, a: Side, b: Side) -> None:
    """The client examples of the source's documentation, as PostgREST asks them."""
    assert b.artist
    with acting_as(database, "authenticated", a.user) as connection:
        artists = connection.execute(
            "select artists.*, u.role, p.master_schema from artists join user_artists u on u.artist_id = artists.id "
            "left join artist_profiles p on p.artist_id = artists.id"
        ).fetchall()
        assert [(row["id"], row["role"], row["master_schema"]) for row in artists] == [(a.artist, "owner", {})]
        summaries = connection.execute(
            "select * from als_summaries where artist_id = %s order by parse_timestamp desc", [a.artist]
        ).fetchall()
        assert [row["id"] for row in summaries] == [a.summary]
        item = connection.execute(
            "insert into training_items (artist_id, als_summary_id, parse_id, als_filename) "
            "values (%s, %s, 'x', 'a.als') returning *",
            [a.artist, a.summary],
        ).fetchone()
        assert item is not None
        assert item["status"] == "needs_audio"
        connection.execute('update artist_profiles set master_schema = \'{"schema_version": "2"}\'')


def test_text_that_a_user_saves_is_a_person_s_from_then_on(database: Database, a: Side) -> None:
    with acting_as(database, "authenticated", a.user) as connection:
        row = connection.execute(
            "update training_items set prompt_text = 'my own words' where id = %s returning prompt_id, status", [a.item]
        ).fetchone()
        assert row == {"prompt_id": None, "status": "ready"}
        row = connection.execute(
            "update training_items set prompt_text = '' where id = %s returning prompt_id, status", [a.item]
        ).fetchone()
        assert row == {"prompt_id": None, "status": "needs_prompt"}


def test_a_status_is_one_of_five(database: Database, a: Side) -> None:
    with acting_as(database, "service_role") as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("update training_items set status = 'done' where id = %s", [a.item])


def test_a_saved_text_keeps_only_the_model_name_saved_with_it(database: Database, a: Side) -> None:
    with acting_as(database, "service_role") as connection:
        connection.execute("update training_items set model_name = 'old', system_prompt_version = 'v1'")
        said = connection.execute(
            "update training_items set prompt_text = 'new', model_name = 'new' where id = %s returning model_name",
            [a.item],
        ).fetchone()
        silent = connection.execute(
            "update training_items set prompt_text = 'newer' where id = %s returning model_name, system_prompt_version",
            [a.item],
        ).fetchone()
    assert said == {"model_name": "new"}
    assert silent == {"model_name": None, "system_prompt_version": None}
