"""`HostedDatabase`: a `Database` on a server that somebody else runs, such as a Supabase project. No domain here.

Any of a project's three connection strings will do: direct, session pooler, transaction pooler. It is migrated by
`dawa migrate` only, never by a process that happens to come along first.
"""

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from resources.database.base import Connection, Database
from resources.database.migrations import pending_in
from resources.database.refusals import place_of, stays_here
from resources.errors import DatabaseError, SettingsError

_SETTING = "SUPABASE_DB_URL"
_OLDEST = 15  # what Supabase's oldest projects run
_CONNECT_SECONDS = 10
_HOST = re.compile(r"[A-Za-z0-9._:-]+|[/@].*")
_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": _CONNECT_SECONDS,
    "application_name": "dawa",
    "client_encoding": "utf8",
    # A peer that is gone without a word is noticed within a minute, also while it is waited for.
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}


class HostedDatabase(Database):
    """The database that a connection string names.

    Args:
        url: `postgresql://user:password@host:port/database`, as the dashboard shows it. What it sets itself
            (`sslmode=verify-full`, `connect_timeout`, …) stays. Nothing is reached before the first use.

    Raises:
        SettingsError: it is no such string, or asks for a connection without TLS to another machine.
    """

    def __init__(self, url: str) -> None:
        self._url = _checked(url.strip())
        self._schema_is_current = False

    def url(self) -> str:
        """Return the connection string.

        Once per process, makes sure that the schema is the one that this version knows.

        Raises:
            DatabaseError: there is no connection, or the schema is behind or ahead.
        """
        if not self._schema_is_current:
            self.connect().close()
        return self._url

    def server_url(self) -> str:
        """Return the connection string; whoever connects finds out whether the server answers."""
        return self._url

    def reopen(self) -> bool:
        """Return a connection that broke, or that no free one was left for, is asked for once more."""
        return True

    def _address(self) -> str:
        return self._url

    def _open(self, address: str) -> Connection:
        connection = super()._open(address)
        if self._schema_is_current:
            return connection
        try:
            self._check_schema(connection)
            connection.rollback()
        except BaseException:
            connection.close()
            raise
        self._schema_is_current = True
        return connection

    def _check_schema(self, connection: Connection) -> None:
        place = place_of(self._url)
        version = connection.info.server_version // 10_000
        if version < _OLDEST:
            raise DatabaseError(f"{place} is PostgreSQL {version}; {_OLDEST} or newer is needed: upgrade the server")
        pending = pending_in(connection)
        if pending:
            what = "1 migration" if len(pending) == 1 else f"{len(pending)} migrations"
            raise DatabaseError(f"{place} is behind this version by {what}; run `dawa migrate`")


def _checked(url: str) -> str:
    """Return the connection string with everything in it that every connection here has.

    libpq's own words about a malformed string quote pieces of it, so they are never passed on.
    """
    if "[YOUR-PASSWORD]" in url:
        raise SettingsError(f"{_SETTING}: the password is missing; write it where [YOUR-PASSWORD] stands")
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except (psycopg.Error, UnicodeError):
        given = {}
    host, port = given.get("host", ""), given.get("port", "5432")
    if not _HOST.fullmatch(host) or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingsError(
            f"{_SETTING}: not of the form postgresql://user:password@host:port/database; take it from the dashboard, "
            "and write signs like @ / # % in the password as %40 %2F %23 %25"
        )
    parameters: dict[str, str | int] = {
        **_DEFAULTS,
        **given,
        "sslmode": _sslmode(given.get("sslmode"), given.get("hostaddr") or host),
    }
    return make_conninfo("", **parameters)


def _sslmode(wanted: str | None, host: str) -> str:
    """TLS for every host but this machine: at least `require`, more where more is asked for."""
    if stays_here(host):
        return wanted or "prefer"
    if wanted in (None, "prefer", "allow"):
        return "require"
    if wanted in ("require", "verify-ca", "verify-full"):
        return wanted
    raise SettingsError(
        f"{_SETTING}: sslmode has a value that is not used for another machine; leave it out, or set require, "
        "verify-ca or verify-full"
    )
