"""The project's pgTAP files hold on the embedded server and on Debian's, and each hole in the access turns them red."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count

import psycopg
import pytest

from resources.database.base import Database
from resources.database.migrations import migrate
from tests.fakes.hosted_servers import PostgresServer, missing_postgres, postgres_server
from tests.supabase.pgtap import FILES, lay_down_pgtap, pgtap_script, run_script

_numbers = count(1)
_SCRIPT = pgtap_script()
pytestmark = pytest.mark.skipif(_SCRIPT is None, reason="pgTAP is not installed (apt-get install postgresql-15-pgtap)")

HOLES = {
    'drop policy "users see their artists\' items" on training_items': "01_policies",
    'drop policy "only the pipeline comes here" on spending': "01_policies",
    "create policy theirs on training_items for delete to authenticated using (true)": "01_policies",
    'alter policy "users see their artists" on artists using (true)': "01_policies",
    'alter policy "users edit their artists\' items" on training_items with check (true)': "01_policies",
    "alter table prompts disable row level security": "01_policies",
    "create table forgotten (id int)": "01_policies",
    "create table forgotten (id int); alter table forgotten enable row level security": "01_policies",
    "grant select on spending to authenticated": "02_grants",
    "grant update (status) on training_items to authenticated": "02_grants",
    "grant select (metrics) on training_runs to authenticated": "02_grants",
    "grant select on artists to anon": "02_grants",
    "grant execute on function dawa_slugify(text) to anon": "02_grants",
    "revoke insert on training_items from service_role": "02_grants",
    "update storage.buckets set public = true": "04_storage",
    'drop policy "dawa: users read nothing else" on storage.objects': "04_storage",
    "create policy theirs on storage.objects for select using (bucket_id = 'dawa-exports')": "04_storage",
    "alter publication supabase_realtime drop table uploads": "05_realtime",
    "alter publication supabase_realtime add table prompts": "05_realtime",
}


@pytest.fixture
def with_pgtap(database: Database) -> str:
    url = database.server_url()
    lay_down_pgtap(url, _SCRIPT)
    return url


def test_all_hold_on_the_embedded_server(with_pgtap: str) -> None:
    assert len(FILES) == 5
    found = {file.name: run_script(with_pgtap, file.read_text(encoding="utf-8"), file.name) for file in FILES}
    assert {name: tap.failed for name, tap in found.items() if tap.failed} == {}
    assert all(tap.points >= 3 for tap in found.values())


def test_each_hole_turns_its_file_red(with_pgtap: str) -> None:
    """One database for all: what a hole opens is closed again by rolling the file and the hole back together."""
    unseen = []
    for hole, name in HOLES.items():
        [file] = [file for file in FILES if file.name.startswith(name)]
        inside = file.read_text(encoding="utf-8").replace("begin;", f"begin;\n{hole};", 1)
        if not _failed(with_pgtap, inside, file.name):
            unseen.append(hole)
    assert unseen == []


def _failed(url: str, script: str, name: str) -> bool:
    try:
        return bool(run_script(url, script, name).failed)
    except psycopg.Error as error:  # a file may stop at what it finds
        if error.sqlstate in ("42601", "42P01", "42704"):  # the hole itself is written wrongly
            raise AssertionError(f"{name}: {error}") from error
        return True


@pytest.fixture(scope="module")
def debian() -> Iterator[PostgresServer]:
    if reason := missing_postgres():
        pytest.skip(reason)
    with postgres_server() as server:
        yield server


def test_pg_prove_passes_on_debian_s_server(debian: PostgresServer) -> None:
    prove = shutil.which("pg_prove")
    if prove is None:
        pytest.skip("pg_prove is not installed (apt-get install libtap-parser-sourcehandler-pgtap-perl)")
    name = f"pgtap_{next(_numbers)}"
    debian.create_database(name)
    try:
        migrate(debian.url(name))
        lay_down_pgtap(debian.admin_url(name))
        done = subprocess.run(
            [prove, "-d", debian.url(name), *map(str, FILES)],
            env=os.environ | {"PGOPTIONS": "-c search_path=public,extensions"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Result: PASS" in done.stdout
    finally:
        debian.drop_database(name)
