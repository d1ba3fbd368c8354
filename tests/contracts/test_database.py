"""What every `Database` promises: the embedded one, a hosted one, and one behind a pooler in transaction mode."""

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from dawa_assets.errors import BusyError, LostLeaseError
from dawa_assets.pipeline.leases import lease
from dawa_assets.tables.artists import ensure_artist
from resources.database.base import Database
from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.database.hosted import HostedDatabase
from resources.database.migrations import known_migrations, migrate, pending_in, pending_migrations
from resources.errors import DatabaseError
from tests.command_line import together
from tests.fakes.hosted_servers import POOL_SIZE, HostedServer, PostgresServer
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("embedded", "postgres", "pgbouncer")
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(scope="module")
def under_test(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """One migrated database for all tests of a kind: each keeps to artists and rows of its own."""
    if kind == "embedded":
        embedded = EmbeddedDatabase(tmp_path_factory.mktemp("contract") / "postgres")
        yield embedded
        embedded.stop()
        return
    for url in _hosted_database(kind, request):
        migrate(url)
        yield HostedDatabase(url)


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database in which no migration has run, but what Supabase has is there."""
    if kind == "embedded":
        yield request.getfixturevalue("empty_database_url")
    else:
        yield from _hosted_database(kind, request)


def _hosted_database(kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    postgres: PostgresServer = request.getfixturevalue("debian_postgres")
    entrance: HostedServer = request.getfixturevalue("pooler") if kind == "pgbouncer" else postgres
    name = f"contract_{next(_numbers)}"
    postgres.create_database(name)
    yield entrance.url(name)
    postgres.drop_database(name)


@pytest.fixture
def artist(under_test: Database) -> UUID:
    with under_test.transaction() as connection:
        return ensure_artist(connection, f"Artist {uuid4()}").id


def _names(database: Database, like: str) -> list[str]:
    with database.transaction() as connection:
        rows = connection.execute("select name from artists where name like %s order by name", [like]).fetchall()
    return [row["name"] for row in rows]


def _in_threads(number: int, work: Callable[[int], object]) -> list[object]:
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, range(number)))


def test_a_block_commits_when_it_ends_and_rolls_back_on_errors(under_test: Database) -> None:
    with under_test.transaction() as connection:
        connection.execute("insert into artists (name) values ('block: kept')")
    with pytest.raises(ZeroDivisionError), under_test.transaction() as connection:
        connection.execute("insert into artists (name) values (%s)", ["block: " + str(1 / 0)])
    with pytest.raises(psycopg.errors.DivisionByZero), under_test.transaction() as connection:
        connection.execute("insert into artists (name) select 'block: ' || 1 / 0")
    with pytest.raises(psycopg.errors.UniqueViolation), under_test.transaction() as connection:
        connection.execute("insert into artists (name) values ('block: dropped'), ('block: kept')")
    assert _names(under_test, "block: %") == ["block: kept"]


def test_a_connection_is_closed_with_its_block(under_test: Database) -> None:
    with under_test.transaction() as connection:
        pass
    assert connection.closed
    with pytest.raises(psycopg.errors.DivisionByZero), under_test.transaction() as connection:
        connection.execute("select 1 / 0")
    assert connection.closed


def test_values_come_back_as_they_went(under_test: Database) -> None:
    values = {
        "text": "'; drop table artists; -- %s \\ \" é 🎹 \n",
        "long": "x" * 1_000_000,
        "whole": 2**62,
        "money": Decimal("0.000001"),
        "part": 0.1,
        "time": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "id": uuid4(),
        "json": {"a": [1, None, "é", {"b": 0.5}]},
        "list": ["a", "b,c", None],
        "bytes": bytes(range(256)),
        "nothing": None,
    }
    with under_test.transaction() as connection:
        row = connection.execute(
            "select %(text)s as text, %(long)s as long, %(whole)s::bigint as whole, %(money)s::numeric as money, "
            "%(part)s::float8 as part, %(time)s::timestamptz as time, %(id)s::uuid as id, %(json)s::jsonb as json, "
            "%(list)s::text[] as list, %(bytes)s::bytea as bytes, %(nothing)s::text as nothing",
            values | {"json": Jsonb(values["json"])},
        ).fetchone()
    assert row == values


def test_no_statement_is_prepared_however_often_it_runs(under_test: Database) -> None:
    for _ in range(3):
        with under_test.transaction() as connection:
            for number in range(20):
                connection.execute("select name from artists where id = %s and %s > 0", [uuid4(), number])
            assert connection.execute("select name from pg_prepared_statements").fetchall() == []


def test_a_setting_ends_with_its_transaction(under_test: Database) -> None:
    with under_test.transaction() as connection:
        usual = connection.execute("show work_mem").fetchone()
        connection.execute("set local work_mem = '77MB'")
        connection.execute("select set_config('request.jwt.claims', '{}', true)")
    for _ in range(2 * POOL_SIZE):
        with under_test.transaction() as connection:
            assert connection.execute("show work_mem").fetchone() == usual
            row = connection.execute("select nullif(current_setting('request.jwt.claims', true), '') as who").fetchone()
            assert row == {"who": None}


def test_many_at_once_claim_each_row_once(under_test: Database, artist: UUID) -> None:
    with under_test.transaction() as connection:
        connection.execute(
            "insert into training_items (artist_id, parse_id) select %s, n::text from generate_series(1, 120) n",
            [artist],
        )
    claimed: list[UUID] = []

    def claim(_: int) -> None:
        while True:
            with under_test.transaction() as connection:
                rows = connection.execute(
                    "update training_items set status = 'needs_prompt' where id in ("
                    "select id from training_items where artist_id = %s and status = 'needs_audio' "
                    "limit 3 for update skip locked) and status = 'needs_audio' returning id",
                    [artist],
                ).fetchall()
            if not rows:
                return
            claimed.extend(row["id"] for row in rows)

    _in_threads(8, claim)
    assert len(claimed) == len(set(claimed)) == 120


def test_of_guarded_updates_at_once_one_wins(under_test: Database, artist: UUID) -> None:
    with under_test.transaction() as connection:
        connection.execute("insert into training_items (artist_id, parse_id) values (%s, 'x')", [artist])

    def move(_: int) -> int:
        with under_test.transaction() as connection:
            return connection.execute(
                "update training_items set status = 'ready' where artist_id = %s and status = 'needs_audio'", [artist]
            ).rowcount

    assert sorted(_in_threads(8, move)) == [0] * 7 + [1]


def test_a_lease_is_held_by_one_and_renewed(under_test: Database, artist: UUID) -> None:
    def expiry() -> datetime:
        with under_test.transaction() as connection:
            row = connection.execute("select expires_at from leases where artist_id = %s", [artist]).fetchone()
        assert row is not None
        return row["expires_at"]

    with lease(under_test, artist, "step", seconds=1.5, wait_seconds=0) as held:
        first = expiry()
        until(lambda: expiry() > first + timedelta(seconds=0.9))  # renewed twice
        with pytest.raises(BusyError), lease(under_test, artist, "step", seconds=1.5, wait_seconds=0.3):
            pass
        with under_test.transaction() as connection:
            held.check(connection)
    with lease(under_test, artist, "step", seconds=60, wait_seconds=0) as next_one:
        assert next_one.fence == held.fence + 1
        with pytest.raises(LostLeaseError), under_test.transaction() as connection:
            held.check(connection)


def test_of_many_that_want_a_lease_one_at_a_time_works(under_test: Database, artist: UUID) -> None:
    working, most = 0, 0
    lock = threading.Lock()

    def work(_: int) -> int:
        nonlocal working, most
        with lease(under_test, artist, "step", seconds=30, wait_seconds=60) as held:
            with lock:
                working += 1
                most = max(most, working)
            time.sleep(0.02)
            with lock:
                working -= 1
            return held.fence

    assert sorted(_in_threads(6, work)) == list(range(1, 7))
    assert most == 1


def test_a_process_that_is_killed_leaves_neither_rows_nor_locks(under_test: Database, artist: UUID) -> None:
    code = (
        "import sys, time, psycopg; c = psycopg.connect(sys.argv[1], prepare_threshold=None); "
        "c.execute('update artists set name = name || %s where id = %s', ['!', sys.argv[2]]); "
        "print('changed', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, under_test.url(), str(artist)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "changed\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with under_test.transaction() as connection:
        connection.execute("set local lock_timeout = '10s'")
        row = connection.execute("select name from artists where id = %s for update", [artist]).fetchone()
    assert row is not None
    assert not row["name"].endswith("!")


def test_a_connection_cut_in_the_middle_keeps_nothing(under_test: Database, artist: UUID) -> None:
    with pytest.raises(DatabaseError, match="broke off in the middle; run it again") as cut:
        _insert_and_cut(under_test, artist)
    assert "\n" not in str(cut.value)
    with under_test.transaction() as connection:
        assert connection.execute("select from training_items where artist_id = %s", [artist]).fetchall() == []


def test_a_cut_before_the_commit_is_never_taken_for_committed(under_test: Database, artist: UUID) -> None:
    with pytest.raises(DatabaseError, match="broke off"):
        _insert_and_cut(under_test, artist, suppress(psycopg.OperationalError))
    with under_test.transaction() as connection:
        assert connection.execute("select from training_items where artist_id = %s", [artist]).fetchall() == []


def _insert_and_cut(database: Database, artist: UUID, around: AbstractContextManager[None] = nullcontext()) -> None:  # noqa: B008
    with database.transaction() as connection:
        connection.execute("insert into training_items (artist_id, parse_id) values (%s, 'cut')", [artist])
        with around:
            connection.execute("select pg_terminate_backend(pg_backend_pid())")


def test_processes_migrating_at_once_apply_each_file_once(empty_url: str, kind: str) -> None:
    code = (
        "import sys; from resources.database.migrations import migrate; "
        "print(*[m.file for m in migrate(sys.argv[1], embedded=sys.argv[2] == 'embedded')])"
    )
    answers = together(4, empty_url, kind, code=code)
    assert [each.returncode for each in answers] == [0] * 4, answers
    applied = " ".join(each.stdout for each in answers).split()
    assert sorted(applied) == [migration.file for migration in known_migrations()]
    assert pending_migrations(empty_url) == []


def test_a_reused_server_process_sees_later_migrations(empty_url: str, kind: str) -> None:
    """A pooler hands a server's processes from one to the next, with all that they have cached."""
    known = known_migrations()
    with psycopg.connect(empty_url, prepare_threshold=None) as connection:
        connection.execute("select to_regclass('supabase_migrations.schema_migrations')")
        assert pending_in(connection) == known
        migrate(empty_url, embedded=kind == "embedded", known=known[:1])
        assert pending_in(connection) == known[1:]
