"""Why a database did not take a connection, told in one line with a way out. Never with a password.

What libpq, PostgreSQL and the poolers before it say is many lines, differs with every version and may repeat parts
of the connection string: it is sorted into the cases that a person can do something about.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from modal_app.service_address import is_on_this_machine

_DIRECT_HOST = re.compile(r"db\.[a-z0-9]+\.supabase\.[a-z]+")
_TRY_AGAIN = "try again in a minute"
_POOLER = (
    "direct hosts of Supabase are reached by IPv6 only, and a paused project has none: take the session pooler's "
    "connection string from the dashboard, or restore the project there"
)


@dataclass(frozen=True)
class Refusal:
    """Why there is no connection: what it is about, the reason, the way out."""

    place: str
    reason: str
    way_out: str
    again: bool
    """Whether asking once more may help: never where a second wrong password would bar this machine."""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}; {self.way_out}"


@dataclass(frozen=True)
class _Case:
    said: re.Pattern[str]
    reason: str
    way_out: str | Callable[[str], str]  # for a host
    again: bool = False


def _unresolved(host: str) -> str:
    return _POOLER if _DIRECT_HOST.fullmatch(host) else "check the host in the connection string"


def _unrouted(host: str) -> str:
    if _DIRECT_HOST.fullmatch(host):
        return _POOLER
    return "use an address that it can reach: this machine may have no IPv6, or no network at all"


def _silent(host: str) -> str:
    if _DIRECT_HOST.fullmatch(host):  # packets to an address that nothing leads to may be lost without a word
        return (
            f"{_POOLER}; if this machine has IPv6, see there whether the project is restricted to other networks, or "
            "has barred this machine for wrong passwords"
        )
    if _is_supabase(host):
        return (
            "see in the dashboard whether the project is paused, restricted to other networks, or has barred this "
            "machine for wrong passwords"
        )
    return "check host and port, and that the server runs and no firewall is between"


def _cases(*cases: tuple[str, str, str | Callable[[str], str], bool]) -> tuple[_Case, ...]:
    return tuple(
        _Case(re.compile(said, re.IGNORECASE), reason, way_out, again) for said, reason, way_out, again in cases
    )


# The first that fits counts: where several addresses were tried, the answer that says most comes first.
_CASES = _cases(
    (
        r"tenant or user not found|tenant/user .* not found|\(ENOTFOUND\)|external_id or sni_hostname",
        "its pooler knows no such project or user",
        "the user is `postgres.` and the project's reference, the host that of the project's region; a paused project "
        "is restored in the dashboard",
        False,
    ),
    (
        r"password authentication failed|SASL authentication failed|no password supplied|wrong password|SCRAM exchange"
        r"|connection closed when state was authentication|password must not be empty",
        "the user or the password is wrong",
        "set the password anew in the dashboard, and write signs like @ / # % in it as %40 %2F %23 %25",
        False,
    ),
    (
        r"role .* does not exist|no such user|is not permitted to log in",
        "it knows no such user",
        "check the user in the connection string",
        False,
    ),
    (
        r"database .* does not exist|no such database",
        "it has no database of this name",
        "check what stands after the last / of the connection string",
        False,
    ),
    (
        r"no encryption|SSL connection is required|SSL required",
        "it takes connections with TLS only",
        "set sslmode=require in the connection string",
        False,
    ),
    (
        r"not in tenant allow_list|no pg_hba\.conf entry",
        "it takes no connections from this machine's address",
        "allow the address in the database's network restrictions",
        False,
    ),
    (
        r"too many clients|connection slots are reserved|max clients|max client connections|too many connections"
        r"|no more connections allowed|EMAXCONN|query_wait_timeout|pooler is full|checkout timeout",
        "all its connections are taken",
        "use the transaction pooler (port 6543) or run less at once",
        True,
    ),
    (
        r"starting up|shutting down|recovery mode|not yet accepting connections|administrator command",
        "it is just starting or stopping",
        _TRY_AGAIN,
        True,
    ),
    (
        r"does not support SSL",
        "it does not speak TLS, which is required for every host but this machine",
        "check host and port, or switch TLS on in the server",
        False,
    ),
    (
        r"certificate",
        "its TLS certificate can't be verified",
        "download the certificate from the dashboard's database settings and name it with sslrootcert=, or check the "
        "host's name",
        False,
    ),
    (
        r"invalid response to SSL negotiation|expected authentication request|invalid message length",
        "what listens there is no PostgreSQL",
        "check host and port: the address of an API is not that of its database",
        False,
    ),
    (
        r"failed to resolve|could not translate host name|name or service not known|nodename nor servname",
        "it does not answer: its name leads to no address",
        _unresolved,
        True,
    ),
    (
        # Also as it is learnt later, from a router's answer, and in the words of other C libraries.
        r"network is unreachable|no route to host|host is unreachable|network unreachable|(?:host|network) is down"
        r"|cannot assign requested address|address (?:family )?not (?:supported|available)|EHOSTUNREACH|ENETUNREACH",
        "it does not answer: this machine has no way to its address",
        _unrouted,
        True,
    ),
    (r"connection refused", "it does not answer: nothing listens there", _silent, True),
    (r"timeout expired|timed out", "it does not answer: the time for connecting ran out", _silent, True),
    (
        r"closed the connection|connection reset|broken pipe|terminating connection|EDBHANDLEREXITED"
        r"|connection to database closed|could not receive|SSL SYSCALL|SSL error|unexpected eof|server conn crashed",
        "it broke the connection off",
        _TRY_AGAIN,
        True,
    ),
)  # fmt: skip


def explain(error: psycopg.Error, url: str) -> Refusal:
    """Return what an error while connecting to `url` means for whoever configured it."""
    message = str(error)
    host = _parameters(url).get("host", "")
    for case in _CASES:
        if case.said.search(message):
            way_out = case.way_out if isinstance(case.way_out, str) else case.way_out(host)
            return Refusal(place_of(url), case.reason, way_out, case.again)
    way_out = _POOLER if _DIRECT_HOST.fullmatch(host) else "see `dawa doctor`"
    return Refusal(place_of(url), f"it does not answer: {_last_line(message, url)}", way_out, again=True)


def place_of(url: str) -> str:
    """Return which database this is: its name and host, neither user nor password."""
    parameters = _parameters(url)
    database = f"the database {parameters['dbname']}" if parameters.get("dbname") else "the database"
    host = parameters.get("host", "")
    if not host or host.startswith(("/", "@")):
        return f"{database} on this machine"
    shown = f"[{host}]" if ":" in host else host
    return f"{database} at {shown}:{parameters.get('port') or 5432}"


def stays_here(host: str) -> bool:
    """Return whether what is sent to this host stays on the machine: a socket's folder or a loopback address."""
    return host.startswith(("/", "@")) or is_on_this_machine(host)


def _is_supabase(host: str) -> bool:
    return _DIRECT_HOST.fullmatch(host) is not None or host.endswith(".pooler.supabase.com")


def _parameters(url: str) -> dict[str, str]:
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        return {}


def _last_line(message: str, url: str) -> str:
    """Return the last thing that was said, on one line, without what must not be shown."""
    text = " ".join(message.rpartition("failed: ")[2].split()) or "no reason given"
    password = _parameters(url).get("password", "")
    for secret in {url, password, quote(password, safe="")}:
        text = text.replace(secret, "***") if secret else text
    return text[:300]
