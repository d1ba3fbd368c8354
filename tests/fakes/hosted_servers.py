"""Servers as a hosted project has them, on loopback: Debian's PostgreSQL over TCP, and pgbouncer before it.

Neither belongs to the project: where they are not installed, `missing_postgres` and `missing_pgbouncer` say what is.
They run as an unprivileged user on free ports below a folder of their own, and end with their block.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.sql.roles import lay_down_surroundings

OWNER = "dawa"  # as `postgres` in a Supabase project: no superuser, but not held by policies
POOL_SIZE = 4  # server connections of the pooler, shared by all of its clients
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class HostedServer:
    """A server that takes connections on loopback."""

    port: int
    owner_password: str
    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str, *, user: str = OWNER, password: str | None = None, host: str = "127.0.0.1") -> str:
        """The connection string of one of its databases, for the owner if nobody else is named."""
        secret = quote(self.owner_password if password is None else password, safe="")
        return f"postgresql://{user}:{secret}@{host}:{self.port}/{database}"


@dataclass(frozen=True)
class PostgresServer(HostedServer):
    """Debian's PostgreSQL."""

    admin_password: str
    certificate: Path | None
    """What it shows to whoever asks for TLS (issued for the name `localhost`); None where openssl is missing."""

    def admin_url(self, database: str = "postgres") -> str:
        """The connection string of its superuser."""
        return self.url(database, user="postgres", password=self.admin_password)

    def create_database(self, name: str) -> None:
        """Make a database of the owner's, with what Supabase has in one beside the tables."""
        with psycopg.connect(self.admin_url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} owner {} template template0").format(
                    sql.Identifier(name), sql.Identifier(OWNER)
                )
            )
        lay_down_surroundings(self.url(name))

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.admin_url(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def missing_postgres() -> str | None:
    """Why `postgres_server` can't be used here; None where it can."""
    return None if _postgres_binaries() else "Debian's postgresql is not installed (no /usr/lib/postgresql/*/bin)"


def missing_pgbouncer() -> str | None:
    """Why `pgbouncer` can't be used here; None where it can."""
    return missing_postgres() or (None if _pgbouncer_binary() else "pgbouncer is not installed")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A fresh PostgreSQL for the length of the block, with the owner's role and no database of its own yet."""
    binaries = _postgres_binaries()
    assert binaries is not None, missing_postgres()
    with _folder() as folder:
        admin_password, owner_password = secrets.token_hex(8), f"@/#:% {secrets.token_hex(8)}"
        (folder / "password").write_text(admin_password)
        _give(folder)
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
             "--no-sync", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"],
            check=True, stdout=subprocess.DEVNULL, **_as_unprivileged(),
        )  # fmt: skip
        certificate = _certificate(folder)
        port = _free_port()
        options = [
            f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=60",
            *([f"ssl_cert_file={certificate}", f"ssl_key_file={folder / 'key'}", "ssl=on"] if certificate else []),
        ]  # fmt: skip
        command = [
            binaries / "postgres",
            "-D",
            folder / "data",
            *(part for option in options for part in ("-c", option)),
        ]
        with _running(command, folder / "log", signal.SIGINT) as process:
            server = PostgresServer(port, owner_password, folder, process, admin_password, certificate)
            _wait_until_it_answers(server.admin_url(), process, folder / "log")
            _make_roles(server)
            yield server


@contextmanager
def pgbouncer(server: PostgresServer) -> Iterator[HostedServer]:
    """A pooler in transaction mode before all databases of a server."""
    binary = _pgbouncer_binary()
    assert binary is not None, missing_pgbouncer()
    with _folder() as folder:
        port = _free_port()
        (folder / "users").write_text(f'"{OWNER}" "{server.owner_password}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {folder / 'users'}\n"
            f"pool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\nmax_client_conn = 100\n"
            "server_tls_sslmode = disable\nserver_login_retry = 1\nquery_wait_timeout = 60\n"
        )
        _give(folder)
        with _running([binary, folder / "pgbouncer.ini"], folder / "log", signal.SIGTERM) as process:
            pooler = HostedServer(port, server.owner_password, folder, process)
            _wait_until_it_answers(pooler.url("postgres"), process, folder / "log")
            yield pooler


def _make_roles(server: PostgresServer) -> None:
    lay_down_surroundings(server.admin_url())
    with psycopg.connect(server.admin_url()) as connection:
        connection.execute(
            sql.SQL("create role {} login bypassrls password {}").format(
                sql.Identifier(OWNER), sql.Literal(server.owner_password)
            )
        )
        connection.execute(sql.SQL("grant anon, authenticated, service_role to {}").format(sql.Identifier(OWNER)))


def _postgres_binaries() -> Path | None:
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name)) if found and _runs_as_somebody() else None


def _pgbouncer_binary() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run as: both servers refuse to run as root."""
    if os.geteuid() != 0:
        return None
    there = {user.pw_name: user for user in pwd.getpwall()}
    return next((there[name] for name in _UNPRIVILEGED if name in there), None)


def _runs_as_somebody() -> bool:
    return os.geteuid() != 0 or _unprivileged() is not None


def _as_unprivileged() -> dict[str, object]:
    user = _unprivileged()
    who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return {"cwd": "/", **who}


@contextmanager
def _folder() -> Iterator[Path]:
    """Not below pytest's folder, which only its own user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="dawa-hosted-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give(folder: Path) -> None:
    user = _unprivileged()
    if user is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)


def _certificate(folder: Path) -> Path | None:
    if shutil.which("openssl") is None:
        return None
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key", "-out", folder / "certificate"],
        check=True, capture_output=True, **_as_unprivileged(),
    )  # fmt: skip
    (folder / "key").chmod(0o600)
    return folder / "certificate"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(
    command: Sequence[str | Path], log: Path, how_to_stop: signal.Signals
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **_as_unprivileged())
    try:
        yield process
    finally:
        process.send_signal(how_to_stop)
        try:
            process.wait(timeout=240)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{process.args} did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)
        else:
            return
