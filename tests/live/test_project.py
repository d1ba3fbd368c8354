"""What a hosted project must do, asked of a real one: keep objects, be migrated, let nobody near what is not theirs.

Nothing of the project's own is touched: objects go into a folder of their own, rows are rolled back.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import UUID, uuid4

import psycopg
import pytest

from resources.bucket.supabase import SupabaseBucket
from resources.database.client_access import client_access, storage_policies
from resources.database.hosted import HostedDatabase
from resources.database.migrations import known_migrations, pending_migrations
from resources.errors import InvalidKeyError, ObjectNotFoundError
from tests.live.project import MIGRATE, Project
from tests.prepared import SHARED

LARGE = 13 * 2**20  # three parts of a resumable upload
NAMES = [
    *("plain.txt", "with a space (1).wav", "ümläut – 音楽 🎹.als", "n" * 200),
    *("what?.wav", "a?b=c&d,e;f:g@h+i$j!.als", "100% #1?.wav"),
]


def test_a_project_is_believed_as_this_machine_believes_others(project: Project) -> None:
    assert project.url
    assert not os.environ.get("SSL_CERT_DIR", "").startswith(os.environ[SHARED])


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
    with urlopen(live_bucket.sign(key, 60)) as response:
        assert response.read() == name.encode()


def test_a_key_part_over_255_bytes_is_kept_or_refused(live_bucket: SupabaseBucket, project: Project) -> None:
    key = f"{project.folder}/{'ü' * 60}.txt"  # six bytes each as it is stored; hosted projects keep it, disks don't
    refused = ""
    try:
        live_bucket.put(key, b"1")
    except InvalidKeyError as error:
        refused = str(error)
    assert ("255 bytes" in refused) == (live_bucket.stat(key) is None)
    assert refused.count("\n") == 0


def test_the_bucket_s_own_settings_keep_nothing_out(live_bucket: SupabaseBucket, project: Project) -> None:
    live_bucket.put(f"{project.folder}/there", b"1")  # looking makes no bucket
    state, said = live_bucket.inspect()
    assert state == "ok", said


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


def test_storage_policies_exist_and_the_public_reads_nothing(migrated: str) -> None:
    with psycopg.connect(migrated, prepare_threshold=None) as connection:
        found, access = storage_policies(connection), client_access(connection)
    assert found.has_storage
    assert (found.missing, found.public_bucket) == ([], False)
    assert (sorted(access.anyone_reads), access.public_bucket) == ([], False)
    assert [grant for grant in access.grants if grant[0] != "authenticated"] == []


@pytest.mark.parametrize("text", ["x" * 5_000, "w " * 200, "a \x1b[31m b", "a \u202e b"])
def test_a_text_that_a_user_writes_directly_is_bounded(migrated: str, text: str) -> None:
    with psycopg.connect(migrated, prepare_threshold=None) as connection:
        user, _, artist = _user_of_an_artist(connection)
        made = connection.execute(
            "insert into training_items (artist_id, parse_id) values (%s, 'live test') returning id", [artist]
        ).fetchone()
        assert made is not None
        _become(connection, user)
        update = "update training_items set prompt_text = %s where id = %s"
        assert connection.execute(update, ["Warm house with plucks.\nBPM: 120", made[0]]).rowcount == 1
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            connection.execute(update, [text, made[0]])
        connection.rollback()


def test_a_user_uploads_only_to_their_own_inbox(migrated: str) -> None:
    with psycopg.connect(migrated, prepare_threshold=None) as connection:
        user, slug, _ = _user_of_an_artist(connection)
        _become(connection, user)
        for path, allowed in (
            (f"inbox/{slug}/u/file.wav", True),
            (f"artists/{slug}/training/file.wav", False),
            ("inbox/somebody-else/u/file.wav", False),
        ):
            assert _may_upload(connection, path) == allowed, path
        connection.execute("set local role anon")
        assert not _may_upload(connection, f"inbox/{slug}/u/file.wav")
        seen = connection.execute("select count(*) from storage.objects where bucket_id = 'dawa-exports'").fetchone()
        assert seen == (0,)
        connection.rollback()


def _user_of_an_artist(connection: psycopg.Connection[tuple[Any, ...]]) -> tuple[UUID, str, UUID]:
    """A user's id, and the slug and id of an artist that they are linked to; to be rolled back."""
    user = uuid4()
    connection.execute("insert into auth.users (id) values (%s)", [user])
    made = connection.execute(
        "insert into artists (name) values (%s) returning id, slug", [f"Live Test {uuid4().hex}"]
    ).fetchone()
    assert made is not None
    connection.execute("insert into user_artists (user_id, artist_id) values (%s, %s)", [user, made[0]])
    return user, made[1], made[0]


def _become(connection: psycopg.Connection[tuple[Any, ...]], user: UUID) -> None:
    claims = json.dumps({"role": "authenticated", "sub": str(user)})
    connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
    connection.execute("set local role authenticated")


def _may_upload(connection: psycopg.Connection[tuple[object, ...]], path: str) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("insert into storage.objects (bucket_id, name) values ('dawa-exports', %s)", [path])
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
