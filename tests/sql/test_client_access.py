"""What `dawa migrate` says that it takes away from clients, before and after; and what the doctor says of policies."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from dawa_assets.observability.doctor import examine
from resources.database.client_access import access_at, ended_by
from resources.database.migrations import migrate, pending_migrations
from resources.settings import Settings
from tests.dawa_assets.prompting.commands import run_main
from tests.fakes.storage.storage_server import StorageServer
from tests.sql.roles import lay_down_surroundings
from tests.sql.test_adoption import SOURCE

OPENED = """
update storage.buckets set public = true;
insert into storage.objects (bucket_id, name) values ('dawa-exports', 'artists/nova/a.wav');
create policy "Two" on storage.objects for select using (bucket_id in ('dawa-exports', 'avatars'));
"""


@pytest.fixture
def source(empty_database_url: str) -> str:
    """The source's database, with its open bucket."""
    lay_down_surroundings(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(SOURCE.encode())
        connection.execute(OPENED)
    return empty_database_url


def test_what_is_foretold_is_what_is_taken_away(source: str) -> None:
    before = access_at(source)
    predicted = ended_by(before, pending_migrations(source))
    migrate(source)
    gone = before.without(access_at(source))
    assert predicted == gone
    assert ("training_items", "Users can read their own training items") in gone.policies
    assert ("storage.objects", "Public read") in gone.policies
    assert ("storage.objects", "Two") not in gone.policies, "other buckets need it"
    assert ("anon", "UPDATE (name)", "artists") in gone.grants
    assert {("anon", "SELECT", "artists"), ("authenticated", "INSERT", "user_artists")} <= gone.grants
    assert ("authenticated", "SELECT", "artists") not in gone.grants
    assert {"artists", "user_artists", "storage.objects"} <= gone.anyone_reads
    assert "als_summaries" not in gone.anyone_reads, "its policy let nobody read who was not signed in"
    assert gone.public_bucket
    after = access_at(source)
    assert (after.anyone_reads, after.public_bucket) == (frozenset(), False)
    assert ended_by(after, pending_migrations(source)) == type(after)(), "what is migrated has nothing to lose"


@pytest.fixture
def command(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str], str]]:
    """`dawa migrate` on that database."""
    monkeypatch.setenv("DAWA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAWA_DATABASE", "supabase")
    monkeypatch.setenv("SUPABASE_DB_URL", source)
    monkeypatch.setattr("resources.ports.open_database", lambda _: _Given(source))

    def run(*words: str) -> tuple[int, list[str], str]:
        said = run_main(monkeypatch, capsys, "migrate", *words)
        return said.code, said.out.splitlines(), said.err

    return run


class _Given:
    embedded = False

    def __init__(self, url: str) -> None:
        self._url = url

    def server_url(self) -> str:
        return self._url


def test_changes_for_clients_are_reported_before_and_after(
    command: Callable[..., tuple[int, list[str], str]], source: str
) -> None:
    code, would, _ = command("--dry-run")
    assert code == 0
    begin, instead = (
        would.index("this takes away from clients of the project's API:"),
        would.index("what client code must change:"),
    )
    named = would[begin + 1 : instead]
    assert '  policy "Public read" on storage.objects' in named
    assert '  policy "read summaries for my artists" on als_summaries' in named
    assert any(line.startswith("  grants of anon: delete, insert, select, update on") for line in named)
    assert "  the public address of every file of the bucket dawa-exports" in named
    changes = "\n".join(would[instead + 1 :])
    for word in ("sign the user in", "`prompt_text`", "getPublicUrl", "inbox/{slug}", "upsert: false"):
        assert word in changes
    assert access_at(source).public_bucket, "a dry run changes nothing"

    code, did, _ = command()
    assert code == 0
    taken = did[did.index("taken away:") + 1 :]
    assert [line for line in taken if line.startswith("  ")] == named, "what was said before is what came of it"
    code, again, _ = command()
    assert again[1:] == ["the database is up to date"]


def test_what_was_taken_before_a_migration_failed_is_said_too(
    command: Callable[..., tuple[int, list[str], str]], source: str
) -> None:
    with psycopg.connect(source) as connection:
        connection.execute("alter table storage.objects disable row level security")
    code, did, err = command()
    assert code == 1
    assert "no row level security" in err
    taken = did[did.index("taken away:") + 1 :]
    assert '  policy "read summaries for my artists" on als_summaries' in taken
    assert not any("storage.objects" in line for line in taken if line.startswith("  policy"))


def _looked(
    monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path, storage: StorageServer
) -> dict[str, tuple[str, str]]:
    from resources.database.hosted import HostedDatabase

    monkeypatch.setattr("dawa_assets.observability.doctor.open_database", lambda _: HostedDatabase(url))
    settings = Settings.load(
        home=str(tmp_path / "never made"),
        database="supabase",
        bucket="supabase",
        supabase_url=storage.url,
        supabase_secret_key=storage.secret_key,
        supabase_db_url="postgresql://x:y@127.0.0.1/z",
    )
    parts = ("home", "database", "bucket", "storage policies")
    found: dict[str, tuple[str, str]] = {}
    for finding in examine(settings):
        if finding.part in parts:
            found[finding.part] = finding.state, finding.detail
        if len(found) == len(parts):
            break
    return found


def test_the_doctor_reports_missing_storage_policies(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(source)
    with StorageServer(tmp_path) as storage:
        found = _looked(monkeypatch, source, tmp_path, storage)
        assert found["storage policies"] == ("ok", "all 8 are there")
        assert found["bucket"][0] == "warning"
        assert "is not there yet" in found["bucket"][1]
        assert storage.state.buckets == {}
        assert storage.called("POST", "^/bucket") == []
        assert not (tmp_path / "never made").exists()
        assert found["home"][0] == "ok"

        with psycopg.connect(source) as connection:
            connection.execute('drop policy "dawa: users read nothing else" on storage.objects')
        state, detail = _looked(monkeypatch, source, tmp_path, storage)["storage policies"]
        assert state == "error"
        assert "1 of 8 are missing" in detail
        assert "20260102000000_dawa_storage_policies.sql" in detail

        with psycopg.connect(source) as connection:
            connection.execute("update storage.buckets set public = true")
        assert "the bucket is public" in _looked(monkeypatch, source, tmp_path, storage)["storage policies"][1]

        storage.state.create_bucket("dawa-exports", public=False)
        settings = storage.state.bucket("dawa-exports")
        settings.largest, settings.types = 1000, ("audio/*",)
        state, detail = _looked(monkeypatch, source, tmp_path, storage)["bucket"]
        assert state == "warning"
        assert "keeps out files of more than 1,000 bytes and files of the types application/octet-stream" in detail
        settings.largest, settings.types = 50 * 2**30, ("audio/*", "application/*", "image/png", "text/*")
        assert _looked(monkeypatch, source, tmp_path, storage)["bucket"][0] == "ok"

        with psycopg.connect(source) as connection:
            connection.execute("drop schema storage cascade")
        assert "has no Storage" in _looked(monkeypatch, source, tmp_path, storage)["storage policies"][1]
