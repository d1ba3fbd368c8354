"""Brings a database to the schema that this version of the project knows. The SQL is in the package `sql`.

File names and history table are those of the Supabase CLI (`supabase_migrations.schema_migrations`), so either tool
can go on where the other stopped. One file is one transaction together with its row of history.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from resources.database.refusals import explain
from resources.errors import DatabaseError

log = logging.getLogger(__name__)

_NAME = re.compile(r"^(\d{14})_([a-z0-9_]+)\.sql$")
# From the version below on, files are called `<version>_dawa_<what>.sql`: a Supabase project's history also holds its
# own app's migrations, older and newer ones, and this tells a newer one of ours from those.
_OURS = "dawa_"
NAMED_AS_OURS_FROM = "20260102000000"
_LOCK = 0x64617761  # "dawa": whoever migrates holds this advisory lock for their transaction
_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text not null primary key, statements text[], name text
);
do $$
begin
  if (select count(*) from pg_attribute where attrelid = 'supabase_migrations.schema_migrations'::regclass
      and attname in ('statements', 'name')) < 2 then
    alter table supabase_migrations.schema_migrations
      add column if not exists statements text[], add column if not exists name text;
  end if;
end
$$
"""


@dataclass(frozen=True)
class Migration:
    """One file of `sql/migrations`: `<version>_<name>.sql`."""

    version: str
    name: str
    sql: str

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.version}_{self.name}.sql"


def known_migrations(folder: str = "migrations") -> list[Migration]:
    """Return the migrations that are shipped, oldest first."""
    found = [
        Migration(match[1], match[2], entry.read_text(encoding="utf-8"))
        for entry in files("sql").joinpath(folder).iterdir()
        if (match := _NAME.match(entry.name))
    ]
    return sorted(found, key=lambda migration: migration.version)


def pending_migrations(url: str, known: Sequence[Migration] | None = None) -> list[Migration]:
    """Return what `migrate` would apply. Changes nothing.

    Raises:
        DatabaseError: the database does not answer, is ahead of `known`, or an applied file was changed since.
    """
    wanted = known_migrations() if known is None else known
    with connect(url) as connection:
        connection.read_only = True
        return _pending(connection, wanted)


def pending_in(connection: psycopg.Connection[Any]) -> list[Migration]:
    """Return what `migrate` would apply to the database of this connection: for who checks that nothing is.

    Raises:
        DatabaseError: the database is ahead, an applied file was changed since, or the history can't be read.
    """
    return _pending(connection, known_migrations())


def migrate(url: str, *, embedded: bool = False, known: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is pending, oldest first. Safe when several processes do it at once, and when one is killed.

    Args:
        url: the database.
        embedded: also lay down what Supabase has beside the tables (`sql/embedded`), where it is missing.
        known: the migrations to bring the database to; those shipped if not given.

    Returns:
        The migrations that this call applied.

    Raises:
        DatabaseError: as `pending_migrations`, or a migration failed; everything before it stays applied.
    """
    wanted = known_migrations() if known is None else known
    with connect(url) as connection:
        if not _pending(connection, wanted):
            return []
    if embedded:
        _lay_down_surroundings(url)
    applied = []
    while (migration := _apply_next(url, wanted)) is not None:
        log.info("applied %s", migration.file)
        applied.append(migration)
    return applied


def _lay_down_surroundings(url: str) -> None:
    for part in sorted(files("sql").joinpath("embedded").iterdir(), key=lambda entry: entry.name):
        if part.name.endswith(".sql"):
            with connect(url) as connection:
                _lock(connection)
                if _is_hosted(connection):
                    raise DatabaseError(
                        "this is a Supabase database, and the embedded database's own parts stay out of it; "
                        "run `dawa migrate`"
                    )
                _run(connection, part.read_text(encoding="utf-8"), part.name)


def _is_hosted(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the roles that only Supabase itself makes are there."""
    query = "select 1 from pg_roles where rolname in ('supabase_admin', 'supabase_auth_admin', 'authenticator')"
    return connection.execute(query).fetchone() is not None


def _apply_next(url: str, wanted: Sequence[Migration]) -> Migration | None:
    with connect(url) as connection:
        _lock(connection)
        pending = _pending(connection, wanted)
        if not pending:
            return None
        migration = pending[0]
        _run(connection, _HISTORY, migration.file)
        _run(connection, migration.sql, migration.file)
        try:
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, statements, name) values (%s, %s, %s)",
                [migration.version, [migration.sql], migration.name],
            )
        except psycopg.errors.UniqueViolation:
            raise DatabaseError(
                f"migration {migration.file} was applied by another tool just now; run it again"
            ) from None
        return migration


def _pending(connection: psycopg.Connection[Any], wanted: Sequence[Migration]) -> list[Migration]:
    by_version = {migration.version: migration for migration in wanted}
    applied = set()
    for version, name, statements in _history(connection, list(by_version)):
        migration = by_version.get(version)
        if migration is None:
            if (name or "").startswith(_OURS):
                raise DatabaseError(
                    f"the database has migration {version}_{name}, this version of the project has not; upgrade the "
                    "project"
                )
            continue
        if name and name != migration.name:
            raise DatabaseError(
                f"migration {migration.file} can't be told from {version}_{name}, which somebody else applied to the "
                "database; give theirs another version (`supabase migration repair`)"
            )
        if statements and _words(statements) != _words([migration.sql]):
            raise DatabaseError(
                f"migration {migration.file} was changed after the database had applied it; restore the file and put "
                "the change into a new one"
            )
        applied.add(version)
    return [migration for migration in wanted if migration.version not in applied]


def _history(
    connection: psycopg.Connection[Any], versions: list[str]
) -> list[tuple[str, str | None, list[str] | None]]:
    """Return every applied migration: version, name, and for the versions asked for also what was run."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        try:
            # Asked of the catalogue itself: `to_regclass` answers from the server process's cache, and a process that a
            # pooler hands from one to the next may have cached that there is no such table.
            there = cursor.execute(
                "select attname from pg_catalog.pg_attribute "
                "join pg_catalog.pg_class on pg_class.oid = attrelid "
                "join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace "
                "where nspname = 'supabase_migrations' and relname = 'schema_migrations' and attnum > 0"
            ).fetchall()
            columns = {name for (name,) in there}
            if not columns:
                return []
            if not {"name", "statements"} <= columns:  # as early versions of the Supabase CLI made it
                versions_only = cursor.execute("select version from supabase_migrations.schema_migrations").fetchall()
                return [(version, None, None) for (version,) in versions_only]
            return cursor.execute(
                "select version, name, case when version = any(%s) then statements end "
                "from supabase_migrations.schema_migrations",
                [versions],
            ).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            raise DatabaseError(
                "the database's user may not read its history of migrations; connect as the user who migrates it "
                "(`postgres` in a Supabase project)"
            ) from None


def _words(statements: Sequence[str]) -> str:
    """Return what counts of a migration when it is compared: the Supabase CLI stores it cut into statements."""
    text = "\n".join(statements)
    return "".join(re.sub(r"--[^\n]*", "", text).replace(";", "").split())


def _run(connection: psycopg.Connection[Any], sql: str, file: str) -> None:
    connection.execute("set local statement_timeout = 0")  # a hosted user's own limit is meant for requests
    try:
        connection.execute(sql.encode())
    except psycopg.Error as error:
        raise DatabaseError(f"migration {file} failed: {str(error).splitlines()[0]}; nothing of it was kept") from None


def _lock(connection: psycopg.Connection[Any]) -> None:
    connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])


def connect(url: str) -> psycopg.Connection[Any]:
    """Connect as whoever migrates does.

    Raises:
        DatabaseError: there is no connection, in one line.
    """
    try:
        connection = psycopg.connect(url, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise DatabaseError(str(explain(error, url))) from None
    connection.add_notice_handler(_pass_on)
    return connection


def _pass_on(notice: psycopg.errors.Diagnostic) -> None:
    if notice.severity_nonlocalized == "WARNING":
        log.warning("%s", notice.message_primary)
