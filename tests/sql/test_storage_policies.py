"""What an attacker with a signed-in user's or the anonymous key can do to the bucket's files."""

import itertools
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from resources.database.base import Connection, Database
from resources.database.migrations import known_migrations, migrate
from resources.errors import DatabaseError
from tests.sql.roles import acting_as, lay_down_surroundings

BUCKET = "dawa-exports"
VERBS = ("select", "insert", "update", "delete")
POLICIES = "20260102000000"
OPEN = ["create policy \"Public read\" on storage.objects for select using (bucket_id = 'dawa-exports')"]


@pytest.fixture
def users(database: Database) -> dict[str, UUID]:
    """A user each for the artists ab, abc, one without a letter, and one user who has none."""
    return _people(database)


def _people(database: Database) -> dict[str, UUID]:
    made = {"nobody's": uuid4()}
    with database.transaction() as connection:
        for name in ("ab", "abc", "🎹"):
            row = connection.execute("insert into artists (name) values (%s) returning id, slug", [name]).fetchone()
            assert row is not None
            made[row["slug"]] = uuid4()
            connection.execute(
                "insert into user_artists (user_id, artist_id) values (%s, %s)", [made[row["slug"]], row["id"]]
            )
        for slug, root in itertools.product(made, ("inbox/{}/u/f.wav", "artists/{}/training/i/audio.mp3")):
            _store(connection, BUCKET, root.format(slug))
        for name in ("artists/stray", "artists", "README", "artists//x", "loras/ab/x"):
            _store(connection, BUCKET, name)
    return made


def _store(connection: Connection, bucket: str, name: str) -> None:
    connection.execute("insert into storage.objects (bucket_id, name) values (%s, %s)", [bucket, name])


def _may_upload(connection: Connection, name: str | None, bucket: str = BUCKET) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("insert into storage.objects (bucket_id, name) values (%s, %s)", [bucket, name])
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _seen(connection: Connection, bucket: str = BUCKET) -> set[str]:
    rows = connection.execute("select name from storage.objects where bucket_id = %s", [bucket]).fetchall()
    return {row["name"] for row in rows}


def test_a_user_reads_only_the_folders_of_their_artists(database: Database, users: dict[str, UUID]) -> None:
    for slug, user in users.items():
        with acting_as(database, "authenticated", user) as connection:
            expected = set() if slug == "nobody's" else {f"artists/{slug}/training/i/audio.mp3"}
            assert _seen(connection) == expected


def test_a_user_uploads_to_the_inboxes_of_their_artists_only(database: Database, users: dict[str, UUID]) -> None:
    for slug, user in users.items():
        with acting_as(database, "authenticated", user) as connection:
            for other in users:
                allowed = other == slug != "nobody's"
                assert _may_upload(connection, f"inbox/{other}/upload 1/a folder/=C3=A4 (1).als") == allowed
                assert _may_upload(connection, f"inbox/{other}/u/_complete") == allowed
                assert not _may_upload(connection, f"artists/{other}/training/i/new.mp3")


def test_a_user_of_two_artists_has_both(database: Database, users: dict[str, UUID]) -> None:
    with database.transaction() as connection:
        connection.execute(
            "insert into user_artists (user_id, artist_id) select %s, id from artists where slug = 'abc'", [users["ab"]]
        )
    with acting_as(database, "authenticated", users["ab"]) as connection:
        assert _seen(connection) == {f"artists/{slug}/training/i/audio.mp3" for slug in ("ab", "abc")}
        assert _may_upload(connection, "inbox/ab/u/x")
        assert _may_upload(connection, "inbox/abc/u/x")


@pytest.mark.parametrize(
    "name",
    [
        "inbox/ab/../abc/u/x", "inbox/ab/u/../../abc/x", "inbox/ab/./u/x", "inbox/ab//x", "inbox/ab//u/x",
        "inbox/ab/u//x", "inbox/ab/u/..", "inbox/ab/u/", "inbox/ab/x", "inbox/ab/", "inbox/ab", "inbox", "inbox//u/x",
        "/inbox/ab/u/x", "inbox/ab\n/u/x", "inbox/ab/u/x\n", "inbox/ab/u\\..\\x", "inbox/ab%2f..%2fabc/u/x",
        "Inbox/ab/u/x", "inbox/AB/u/x", "inbox/a/u/x", "inbox/ab*/u/x", "inbox/%/u/x", "inbox/a_/u/x",
        "xinbox/ab/u/x", "inboxx/ab/u/x", " inbox/ab/u/x", "inbox/ab /u/x", "artists/ab/u/x",
        "artists/ab/../../inbox/ab/u/x", "x/inbox/ab/u/x", "ab/u/x", "", None,
    ],
)  # fmt: skip
def test_a_name_that_is_nearly_in_their_inbox_is_refused(
    database: Database, users: dict[str, UUID], name: str | None
) -> None:
    with acting_as(database, "authenticated", users["ab"]) as connection:
        assert not _may_upload(connection, name)
        assert _may_upload(connection, "inbox/ab/u/x")


@given(
    st.lists(st.sampled_from(["inbox", "artists", "ab", "abc", "..", ".", "", "u", "x", "é", "\\", "\x01"]), max_size=6)
)
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_files_in_a_folder_of_their_inbox_are_accepted(database: Database, parts: list[str]) -> None:
    name = "/".join(parts)
    with database.transaction() as connection:
        missing = connection.execute("select from artists where slug = 'ab'").fetchone() is None
    user = _people(database)["ab"] if missing else _user_of(database, "ab")
    fine = parts[:2] == ["inbox", "ab"] and len(parts) >= 4 and not {"", ".", "..", "\\", "\x01"} & set(parts)
    with acting_as(database, "authenticated", user) as connection:
        assert _may_upload(connection, name) == fine


def _user_of(database: Database, slug: str) -> UUID:
    with database.transaction() as connection:
        row = connection.execute(
            "select user_id from user_artists join artists on id = artist_id where slug = %s", [slug]
        ).fetchone()
    assert row is not None
    user: UUID = row["user_id"]
    return user


def test_nobody_changes_moves_replaces_or_deletes_a_file(database: Database, users: dict[str, UUID]) -> None:
    for role, user in [("authenticated", user) for user in users.values()] + [("anon", None)]:
        with acting_as(database, role, user) as connection:
            for statement in (
                "update storage.objects set metadata = '{}'",
                "update storage.objects set name = 'inbox/ab/u/moved'",
                "update storage.objects set bucket_id = null",
                "delete from storage.objects",
                "update storage.buckets set public = true",
                "delete from storage.buckets",
            ):
                assert connection.execute(statement).rowcount == 0, (role, statement)  # type: ignore[arg-type]
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(
                    "insert into storage.objects (bucket_id, name) values ('dawa-exports', 'inbox/ab/u/f.wav') "
                    "on conflict (bucket_id, name) do update set metadata = '{}'"
                )
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("insert into storage.buckets (id, name) values ('mine', 'mine')")


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_without_a_user_nothing_is_read_or_written(database: Database, users: dict[str, UUID], role: str) -> None:
    assert users
    with acting_as(database, role) as connection:
        assert _seen(connection) == set()
        for slug in users:
            assert not _may_upload(connection, f"inbox/{slug}/u/x")
        assert connection.execute("select * from storage.buckets").fetchall() == []


def test_the_pipeline_s_role_does_all(database: Database, users: dict[str, UUID]) -> None:
    with acting_as(database, "service_role") as connection:
        assert len(_seen(connection)) == 2 * len(users) + 5
        assert _may_upload(connection, "artists/ab/x")
        assert connection.execute("delete from storage.objects").rowcount == 2 * len(users) + 5


def test_open_policies_of_other_buckets_open_nothing_here(database: Database, users: dict[str, UUID]) -> None:
    with database.transaction() as connection:
        connection.execute("insert into storage.buckets (id, name, public) values ('avatars', 'avatars', true)")
        _store(connection, "avatars", "me.png")
        connection.execute("create policy theirs on storage.objects for all using (true) with check (true)")
        connection.execute("create policy theirs on storage.buckets for all using (true) with check (true)")
    for role, user in (("anon", None), ("authenticated", users["ab"])):
        with acting_as(database, role, user) as connection:
            assert _seen(connection, "avatars") == {"me.png"}
            assert _may_upload(connection, "you.png", "avatars")
            assert _seen(connection) == (set() if user is None else {"artists/ab/training/i/audio.mp3"})
            assert not _may_upload(connection, "artists/ab/x")
            assert not _may_upload(connection, "inbox/abc/u/x")
            for statement in (
                "update storage.objects set metadata = '{}'",
                "update storage.buckets set public = true",
                "delete from storage.objects",
                "delete from storage.buckets where id <> 'avatars'",
            ):
                rows = connection.execute(statement).rowcount  # type: ignore[arg-type]
                assert rows == (0 if statement.endswith("'avatars'") else 1), (role, statement)
        with acting_as(database, role, user) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update storage.objects set bucket_id = 'dawa-exports'")


def _before_the_policies(url: str, *statements: str) -> None:
    lay_down_surroundings(url)
    migrate(url, known=[migration for migration in known_migrations() if migration.version < POLICIES])
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _policies(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("select policyname from pg_policies where schemaname = 'storage'")}


def test_only_open_policies_of_our_own_bucket_are_removed(empty_database_url: str) -> None:
    _before_the_policies(
        empty_database_url,
        "insert into storage.buckets (id, name, public) values ('dawa-exports', 'dawa-exports', true)",
        "create policy \"Public read\" on storage.objects for select using (bucket_id = 'dawa-exports')",
        "create policy \"Public insert\" on storage.objects for insert with check (bucket_id = 'dawa-exports')",
        "create policy \"Public update\" on storage.objects for update using (bucket_id = 'dawa-exports')",
        'create policy "Signed in" on storage.objects for all '
        "using (bucket_id = 'dawa-exports' and auth.uid() is not null)",
        "create policy \"Avatars\" on storage.objects for select using (bucket_id = 'avatars')",
        "create policy \"Two\" on storage.objects for select using (bucket_id in ('dawa-exports', 'avatars'))",
        'create policy "Either" on storage.objects for select '
        "using (bucket_id = 'dawa-exports' or bucket_id = 'avatars')",
        "create policy \"All but\" on storage.objects for select using (not (bucket_id = 'dawa-exports'))",
    )
    migrate(empty_database_url)
    policies = _policies(empty_database_url)
    assert {name for name in policies if not name.startswith("dawa: ")} == {"Avatars", "Two", "Either", "All but"}
    assert len(policies) == 4 + 8
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select public from storage.buckets").fetchall() == [(False,)]


def test_tables_are_migrated_without_storage(empty_database_url: str) -> None:
    _before_the_policies(empty_database_url, "drop schema storage cascade")
    migrate(empty_database_url)
    assert _policies(empty_database_url) == set()


def test_storage_without_row_level_security_is_refused(empty_database_url: str) -> None:
    _before_the_policies(empty_database_url, "alter table storage.objects disable row level security")
    with pytest.raises(DatabaseError, match="no row level security"):
        migrate(empty_database_url)


@pytest.mark.parametrize("opened", [False, True])
def test_without_policy_rights_only_closed_storage_is_migrated(empty_database_url: str, opened: bool) -> None:
    _before_the_policies(
        empty_database_url,
        "drop role if exists migrates",
        "create role migrates bypassrls",
        "grant usage on schema storage, supabase_migrations, auth to migrates",
        "grant all on storage.buckets, storage.objects, supabase_migrations.schema_migrations to migrates",
        *(OPEN if opened else []),
    )
    policies = next(migration for migration in known_migrations() if migration.version == POLICIES)
    try:
        with psycopg.connect(empty_database_url) as connection:
            connection.execute("set role migrates")
            if opened:
                with pytest.raises(psycopg.errors.RaiseException, match="mend it in the dashboard"):
                    connection.execute(policies.sql.encode())
            else:
                notices: list[str | None] = []
                connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
                connection.execute(policies.sql.encode())
                assert any("may not make policies" in (notice or "") for notice in notices)
    finally:
        with psycopg.connect(empty_database_url) as connection:
            connection.execute("drop owned by migrates")
            connection.execute("drop role migrates")
    assert _policies(empty_database_url) == ({"Public read"} if opened else set())
