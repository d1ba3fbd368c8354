"""What a hosted project must do, asked of a real one: keep objects, be migrated, let nobody near what is not his.

Nothing of the project's own is touched: objects go into a folder of their own, rows are rolled back.
"""

import json
import os
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import psycopg
import pytest

from resources.bucket.supabase import SupabaseBucket
from resources.errors import ObjectNotFoundError
from resources.hosted_database import HostedDatabase
from resources.migrations import known_migrations, pending_migrations
from tests.live.project import MIGRATE, Project

LARGE = 13 * 2**20  # three parts of a resumable upload
NAMES = ["plain.txt", "with a space (1).wav", "ümläut – 音楽 🎹.als", "n" * 200]


@pytest.mark.parametrize("name", NAMES)
def test_an_object_comes_back_under_the_name_it_was_given(
    live_bucket: SupabaseBucket, project: Project, name: str
) -> None:
    key = f"{project.folder}/names/{name}"
    live_bucket.put(key, name.encode())
    with live_bucket.open(key) as stream:
        assert stream.read() == name.encode()
    stat = live_bucket.stat(key)
    assert stat is not None
    assert stat.size == len(name.encode())
    assert key in [stored.key for stored in live_bucket.list(f"{project.folder}/names")]


def test_a_large_object_goes_up_in_parts_and_comes_down_whole(
    live_bucket: SupabaseBucket, project: Project, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(LARGE))
    live_bucket.put(f"{project.folder}/large.bin", source)
    live_bucket.fetch(f"{project.folder}/large.bin", target)
    assert target.read_bytes() == source.read_bytes()


def test_objects_are_replaced_copied_and_removed(live_bucket: SupabaseBucket, project: Project) -> None:
    old, new = f"{project.folder}/old", f"{project.folder}/new"
    live_bucket.put(old, b"first")
    live_bucket.put(old, b"second")
    live_bucket.copy(old, new)
    live_bucket.delete([old, f"{project.folder}/never there"])
    assert live_bucket.stat(old) is None
    with live_bucket.open(new) as stream:
        assert stream.read() == b"second"
    with pytest.raises(ObjectNotFoundError), live_bucket.open(old):
        pass


def test_a_signed_link_opens_its_object_and_nothing_does_without(live_bucket: SupabaseBucket, project: Project) -> None:
    key = f"{project.folder}/signed.bin"
    live_bucket.put(key, b"for whoever holds the link")
    link = live_bucket.sign(key, 60)
    with urlopen(link) as response:
        assert response.read() == b"for whoever holds the link"
    base = link.partition("/object/sign/")[0]
    for path in (f"object/public/dawa-exports/{key}", f"object/dawa-exports/{key}"):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(f"{base}/{path}"))
        assert refused.value.code in (400, 401, 403, 404)


def test_the_schema_is_known_and_what_is_pending_is_ours(live_database: HostedDatabase, project: Project) -> None:
    pending = pending_migrations(live_database.server_url())
    assert [migration for migration in pending if migration not in known_migrations()] == []
    if project.may_migrate:
        assert pending == []
        with live_database.transaction() as connection:
            assert connection.execute("select count(*) as n from artists").fetchone() is not None


@pytest.fixture
def migrated(live_database: HostedDatabase) -> str:
    url = live_database.server_url()
    if pending := pending_migrations(url):
        pytest.skip(f"{len(pending)} migrations are pending; {MIGRATE}=1 applies them")
    return url


def test_every_table_of_ours_has_row_level_security(migrated: str) -> None:
    with psycopg.connect(migrated, prepare_threshold=None) as connection:
        rows = connection.execute(
            "select tablename, rowsecurity from pg_tables where schemaname = 'public' and tablename = any(%s)",
            [["artists", "als_summaries", "training_items", "prompts", "uploads", "datasets", "user_artists"]],
        ).fetchall()
    assert len(rows) == 7
    assert [table for table, secured in rows if not secured] == []


def test_a_user_uploads_to_his_inbox_only_and_the_anonymous_see_nothing(migrated: str) -> None:
    user, name = uuid4(), f"Live Test {uuid4().hex}"
    with psycopg.connect(migrated, prepare_threshold=None) as connection:
        connection.execute("insert into auth.users (id) values (%s)", [user])
        made = connection.execute("insert into artists (name) values (%s) returning id, slug", [name]).fetchone()
        assert made is not None
        connection.execute("insert into user_artists (user_id, artist_id) values (%s, %s)", [user, made[0]])
        connection.execute(
            "select set_config('request.jwt.claims', %s, true)",
            [json.dumps({"role": "authenticated", "sub": str(user)})],
        )
        connection.execute("set local role authenticated")
        for path, allowed in (
            (f"inbox/{made[1]}/u/file.wav", True),
            (f"artists/{made[1]}/training/file.wav", False),
            ("inbox/somebody-else/u/file.wav", False),
        ):
            assert _may_upload(connection, path) == allowed, path
        connection.execute("set local role anon")
        assert not _may_upload(connection, f"inbox/{made[1]}/u/file.wav")
        seen = connection.execute("select count(*) from storage.objects where bucket_id = 'dawa-exports'").fetchone()
        assert seen == (0,)
        connection.rollback()


def _may_upload(connection: psycopg.Connection[tuple[object, ...]], path: str) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("insert into storage.objects (bucket_id, name) values ('dawa-exports', %s)", [path])
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
