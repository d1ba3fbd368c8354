"""A hosted database: which connection strings it takes, what it checks, and how it says what is wrong."""

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from resources.database.hosted import HostedDatabase
from resources.database.migrations import known_migrations, migrate, pending_migrations
from resources.errors import DatabaseError, SettingsError
from tests.fakes.hosted_servers import POOL_SIZE, HostedServer, PostgresServer

_numbers = itertools.count(1)


@pytest.fixture(params=["postgres", "pgbouncer"])
def entrance(request: pytest.FixtureRequest, debian_postgres: PostgresServer) -> HostedServer:
    """Both ways to the same server."""
    return request.getfixturevalue("pooler") if request.param == "pgbouncer" else debian_postgres


@pytest.fixture
def name(debian_postgres: PostgresServer) -> Iterator[str]:
    """A database of the test's own, not migrated."""
    name = f"hosted_{next(_numbers)}"
    debian_postgres.create_database(name)
    yield name
    debian_postgres.drop_database(name)


def _problem(database: HostedDatabase) -> str:
    with pytest.raises(DatabaseError) as refused, database.transaction():
        pass
    assert "\n" not in str(refused.value)
    return str(refused.value)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


# --- which strings it takes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sslmode"),
    [
        ("postgresql://u:p@db.abcdefghijklmnopqrst.supabase.co:5432/postgres", "require"),
        ("postgres://u.ref:p@aws-0-eu-west-1.pooler.supabase.com:6543/postgres", "require"),
        ("postgresql://u:p@db.example.com/postgres?sslmode=prefer", "require"),
        ("postgresql://u:p@db.example.com/postgres?sslmode=allow", "require"),
        ("postgresql://u:p@db.example.com/postgres?sslmode=verify-full&sslrootcert=system", "verify-full"),
        ("postgresql://u:p@10.0.0.1/postgres", "require"),
        ("postgresql://u:p@[2001:db8::1]:5432/postgres", "require"),
        ("postgresql://u:p@localhost.example.com/postgres", "require"),
        ("postgresql://u:p@127.0.0.1.example.com/postgres", "require"),
        ("postgresql://u:p@localhost/postgres?hostaddr=192.0.2.1", "require"),
        ("postgresql://u:p@localhost/postgres?hostaddr=127.0.0.1,192.0.2.1", "require"),
        ("host=db.example.com user=u password=p dbname=postgres", "require"),
        ("postgresql://u:p@localhost:5432/postgres", "prefer"),
        ("postgresql://u:p@127.0.0.1/postgres?sslmode=disable", "disable"),
        ("postgresql://u:p@127.8.9.1/postgres?sslmode=verify-full", "verify-full"),
        ("postgresql://u:p@[::1]/postgres", "prefer"),
        ("postgresql:///postgres?host=/run/postgresql&user=u", "prefer"),
    ],
)
def test_whatever_leaves_the_machine_goes_through_tls(url: str, sslmode: str) -> None:
    assert conninfo_to_dict(HostedDatabase(url).server_url())["sslmode"] == sslmode


@pytest.mark.parametrize("mode", ["disable", "verysecret"])
def test_to_do_without_tls_on_another_machine_is_refused(mode: str) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_DB_URL: sslmode") as refused:
        HostedDatabase(f"postgresql://u:verysecret@db.example.com/postgres?sslmode={mode}")
    assert "verysecret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "https://abc.supabase.co", "postgresql://", "postgresql:///postgres", "mysql://u:secret@h/d",
        "postgresql://u:se/cret@db.example.com/d", "postgresql://u:se@cret@db.example.com/d",
        "postgresql://u:se%cret@db.example.com/d", "postgresql://u:secret@db.example.com:port/d",
        "postgresql://u:secret@db.example.com:99999/d", "postgresql://u:secret@db.example.com/d?no=such",
        "postgresql://u:secret@db example.com/d", "postgresql://u:secret@db.example.com:5432:6543/d",
        "postgresql://u:secret@[::1/d", "postgresql://u:secret@a.example.com,b.example.com/d",
        "postgresql://postgres:[YOUR-PASSWORD]@db.abc.supabase.co:5432/postgres",
    ],
)  # fmt: skip
def test_an_invalid_database_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError, match="SUPABASE_DB_URL: ") as refused:
        HostedDatabase(url)
    said = str(refused.value)
    assert "cret" not in said
    assert "\n" not in said
    assert refused.value.__cause__ is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30).map(lambda text: "Zq7" + text))
def test_no_password_written_as_it_is_ever_gets_into_a_message(password: str) -> None:
    with pytest.raises((SettingsError, DatabaseError)) as refused:
        HostedDatabase(f"postgresql://user:{password}@127.0.0.1:1/db?connect_timeout=2").url()
    assert "Zq7" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_the_string_sets_itself_stays_and_the_rest_is_set() -> None:
    parameters = conninfo_to_dict(HostedDatabase("postgresql://u:p@h.example.com/d?connect_timeout=3").server_url())
    assert parameters["connect_timeout"] == "3"
    assert parameters["application_name"] == "dawa"
    assert int(parameters["keepalives_idle"]) < 60
    assert int(parameters["tcp_user_timeout"]) == 60_000


# --- what it checks of the schema -----------------------------------------------------------------------------------


def test_one_that_is_behind_is_not_migrated_by_the_way_but_named(entrance: HostedServer, name: str) -> None:
    url = entrance.url(name)
    known = known_migrations()
    database = HostedDatabase(url)
    assert f"hosted_{name[7:]} at 127.0.0.1:{entrance.port} is behind this version by {len(known)} migrations; run " \
           "`dawa migrate`" in _problem(database)  # fmt: skip
    migrate(url, known=known[:-1])
    assert "by 1 migration; run" in _problem(database)
    assert pending_migrations(url) == known[-1:]
    migrate(database.server_url())
    with database.transaction() as connection:
        assert connection.execute("select from artists").fetchall() == []
    assert database.url() == database.server_url()


def test_other_migrations_of_the_project_are_ignored(entrance: HostedServer, name: str) -> None:
    url = entrance.url(name)
    migrate(url)
    insert = "insert into supabase_migrations.schema_migrations (version, name, statements) values "
    _execute(url, insert + "('20200101000000', 'app', null), ('20990101000000', 'app_two', '{select 1}'), "
                           "('20990101000001', null, null)")  # fmt: skip
    with HostedDatabase(url).transaction():
        pass
    assert migrate(url) == []
    _execute(url, insert + "('20990101000002', 'dawa_from_the_future', null)")
    assert "20990101000002_dawa_from_the_future, this version of the project has not; upgrade the project" in _problem(
        HostedDatabase(url)
    )


def test_a_foreign_migration_of_the_same_version_is_not_ours(entrance: HostedServer, name: str) -> None:
    url, ours = entrance.url(name), known_migrations()[-1]
    migrate(url, known=known_migrations()[:-1])
    _execute(
        url,
        "insert into supabase_migrations.schema_migrations (version, name, statements) "
        f"values ('{ours.version}', 'theirs', null)",
    )
    assert f"{ours.version}_theirs, which somebody else applied" in _problem(HostedDatabase(url))


def test_the_schema_is_looked_at_once_for_a_process(entrance: HostedServer, name: str) -> None:
    url = entrance.url(name)
    migrate(url)
    database = HostedDatabase(url)
    with database.transaction():
        pass
    _execute(url, "drop schema supabase_migrations cascade")
    with database.transaction():
        pass
    assert "is behind" in _problem(HostedDatabase(url))


def test_a_user_who_may_not_read_the_history_is_told_so(debian_postgres: PostgresServer, name: str) -> None:
    migrate(debian_postgres.url(name))
    with _role(debian_postgres, "curious", "login password 'pw'"):
        said = _problem(HostedDatabase(debian_postgres.url(name, user="curious", password="pw")))
    assert "may not read its history of migrations" in said


def test_many_threads_share_the_pooler_s_few_connections(pooler: HostedServer, name: str) -> None:
    migrate(pooler.url(name))
    database = HostedDatabase(pooler.url(name))

    def process_of_the_server(_: int) -> int:
        with database.transaction() as connection:
            row = connection.execute("select pg_backend_pid() as pid, pg_sleep(0.01)").fetchone()
            assert row is not None
            return int(row["pid"])

    with ThreadPoolExecutor(24) as threads:
        assert len(set(threads.map(process_of_the_server, range(48)))) <= POOL_SIZE


def test_a_user_who_may_not_change_the_schema_is_told_so(debian_postgres: PostgresServer, name: str) -> None:
    with _role(debian_postgres, "guest", "login password 'pw'"), pytest.raises(DatabaseError) as refused:
        migrate(debian_postgres.url(name, user="guest", password="pw"))
    assert "20260101000000_source_tables.sql failed: permission denied for database" in str(refused.value)
    assert "nothing of it was kept" in str(refused.value)


# --- how it says what is wrong: real servers ------------------------------------------------------------------------


@contextmanager
def _role(server: PostgresServer, name: str, options: str) -> Iterator[None]:
    _execute(server.admin_url(), f"create role {name} {options}")
    try:
        yield
    finally:
        _execute(server.admin_url(), f"drop role {name}")


def test_a_wrong_password_or_user_is_reported_and_not_retried(
    entrance: HostedServer, debian_postgres: PostgresServer, name: str
) -> None:
    log = entrance.folder / "log"
    before = log.read_text().count("authentication failed")
    for user in ("dawa", "nobody_here"):
        # libpq asks twice by itself, with and without TLS, unless one of them is demanded as for other machines
        url = entrance.url(name, user=user, password="verysecret") + "?sslmode=disable"
        said = _problem(HostedDatabase(url))
        assert f"{name} at 127.0.0.1:{entrance.port}: the user or the password is wrong; " in said
        assert "verysecret" not in said
        assert debian_postgres.owner_password not in said
    if entrance is debian_postgres:  # the pooler says it twice for each
        assert log.read_text().count("authentication failed") == before + 2


def test_a_database_that_is_not_there_is_named(entrance: HostedServer) -> None:
    said = _problem(HostedDatabase(entrance.url("no_such_database")))
    assert "no_such_database at 127.0.0.1" in said
    assert "it has no database of this name" in said


def test_no_free_connection_is_reported(debian_postgres: PostgresServer, name: str) -> None:
    with _role(debian_postgres, "modest", "login password 'pw' connection limit 0"):
        said = _problem(HostedDatabase(debian_postgres.url(name, user="modest", password="pw")))
    assert "all its connections are taken; use the transaction pooler" in said


def test_a_certificate_is_verified_where_that_is_asked_for(debian_postgres: PostgresServer, name: str) -> None:
    if debian_postgres.certificate is None:
        pytest.skip("openssl is not installed")
    migrate(debian_postgres.url(name))
    trusted = f"?sslmode=verify-full&sslrootcert={debian_postgres.certificate}"
    with HostedDatabase(debian_postgres.url(name, host="localhost") + trusted).transaction() as connection:
        row = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
        assert row == {"ssl": True}
    for url in (
        debian_postgres.url(name) + trusted,  # issued for another name
        debian_postgres.url(name, host="localhost") + "?sslmode=verify-full&sslrootcert=/no/such/file",
        debian_postgres.url(name, host="localhost") + f"?sslmode=verify-full&sslrootcert={_other_certificate()}",
    ):
        assert "its TLS certificate can't be verified" in _problem(HostedDatabase(url))


def _other_certificate() -> str:
    certificates = [Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt")]
    return next((str(path) for path in certificates if path.exists()), "/no/such/file")


@contextmanager
def _listening(answer: Callable[[socket.socket], object]) -> Iterator[tuple[int, list[socket.socket]]]:
    """A server that does `answer` with every connection; its port and the connections so far."""
    taken: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                taken.append(connection)
                with suppress(OSError):
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], taken
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in taken:
            connection.close()


def _answer(text: bytes) -> Callable[[socket.socket], object]:
    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(text)

    return answer


@pytest.mark.parametrize(
    ("answer", "expected", "attempts"),
    [
        (lambda connection: connection.close(), "it broke the connection off", 2),
        (lambda _: None, "it does not answer: the time for connecting ran out", 2),
        (_answer(b"N"), "it does not speak TLS, which is required", 1),
        (_answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "what listens there is no PostgreSQL", 1),
    ],
    ids=["closes", "silent", "no TLS", "HTTP"],
)
def test_a_port_where_something_else_is(
    answer: Callable[[socket.socket], object], expected: str, attempts: int
) -> None:
    with _listening(answer) as (port, taken):
        url = f"postgresql://u:verysecret@127.0.0.1:{port}/db?sslmode=require&connect_timeout=2"
        said = _problem(HostedDatabase(url))
    assert f"the database db at 127.0.0.1:{port}: {expected}" in said
    assert "verysecret" not in said
    assert len(taken) == attempts


def test_a_connection_that_breaks_once_is_asked_for_again(debian_postgres: PostgresServer, name: str) -> None:
    migrate(debian_postgres.url(name))
    seen = itertools.count()

    def pass_on_from_the_second_on(client: socket.socket) -> None:
        if next(seen) == 0:
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", debian_postgres.port))
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()

    with _listening(pass_on_from_the_second_on) as (port, taken):
        url = debian_postgres.url(name).replace(f":{debian_postgres.port}/", f":{port}/") + "?sslmode=disable"
        with HostedDatabase(url).transaction() as connection:
            assert connection.execute("select 1 as one").fetchone() == {"one": 1}
        assert len(taken) == 2


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_host_that_is_none_and_a_port_where_nothing_is() -> None:
    assert "its name leads to no address; check the host" in _problem(
        HostedDatabase("postgresql://u:p@no-such-host.invalid/db")
    )
    assert "the database db at 127.0.0.1:1: it does not answer: nothing listens there" in _problem(
        HostedDatabase("postgresql://u:p@127.0.0.1:1/db")
    )


def test_a_server_that_is_stopping_says_so(debian_postgres: PostgresServer, name: str) -> None:
    migrate(debian_postgres.url(name))
    database = HostedDatabase(debian_postgres.url(name))
    with psycopg.connect(debian_postgres.admin_url(), autocommit=True) as connection:
        connection.execute(sql.SQL("alter database {} allow_connections false").format(sql.Identifier(name)))
    assert "not currently accepting connections" in _problem(database)
