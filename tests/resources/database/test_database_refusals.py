"""What libpq, PostgreSQL and poolers say when they refuse a connection, and what is made of it."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.database.refusals import explain, place_of

DIRECT = "postgresql://postgres:verysecret@db.abcdefghijklmnopqrst.supabase.co:5432/postgres"
POOLER = "postgresql://postgres.abcdefghijklmnopqrst:verysecret@aws-0-eu-west-1.pooler.supabase.com:6543/postgres"
OWN = "postgresql://dawa:verysecret@db.example.com/music"


def _direct(said: str) -> str:
    return f'connection failed: connection to server at "2a05:d018::1", port 5432 failed: {said}'


def _pooler(said: str) -> str:
    return f'connection failed: connection to server at "52.1.2.3", port 6543 failed: {said}'


def _own(said: str) -> str:
    return f'connection failed: connection to server at "192.0.2.1", port 5432 failed: {said}'


WITHOUT_SERVER = "\n\tIs the server running on that host and accepting TCP/IP connections?"
GONE = (
    "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or "
    "while processing the request."
)


@pytest.mark.parametrize(
    ("url", "said", "expected", "again"),
    [
        (DIRECT, _direct("Network is unreachable" + WITHOUT_SERVER), "session pooler's", True),
        (DIRECT, _direct("Cannot assign requested address" + WITHOUT_SERVER), "session pooler's", True),
        (DIRECT, "failed to resolve host 'db.abc.supabase.co': [Errno -5] No address associated with hostname",
         "session pooler's connection string from the dashboard, or restore the project", True),
        (DIRECT, "failed to resolve host 'db.abc.supabase.co': [Errno -2] Name or service not known", "paused", True),
        (DIRECT, _direct("Connection refused" + WITHOUT_SERVER), "barred this machine", True),
        (DIRECT, "connection timeout expired", "reached by IPv6 only", True),
        (DIRECT, _direct('FATAL:  password authentication failed for user "postgres"'),
         "the user or the password is wrong", False),
        (DIRECT, _direct("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER "
                     "attribute"), "all its connections are taken", True),
        (DIRECT, _direct("FATAL:  the database system is starting up"), "starting or stopping", True),
        (POOLER, _pooler("FATAL:  Tenant or user not found"), "knows no such project or user", False),
        (POOLER, _pooler("FATAL:  (ENOTFOUND) tenant/user postgres.abc not found"),
         "a paused project is restored in the dashboard", False),
        (POOLER, _pooler("FATAL:  MaxClientsInSessionMode: max clients reached - in Session mode max "
                     "clients are limited to pool_size"), "use the transaction pooler", True),
        (POOLER, _pooler("FATAL:  Max client connections reached"), "connections are taken", True),
        (POOLER, _pooler("FATAL:  SASL authentication failed"), "password is wrong", False),
        (POOLER, _pooler("FATAL:  Address not in tenant allow_list: {1, 2, 3, 4}"), "restrictions", False),
        (POOLER, _pooler("FATAL:  (EDBHANDLEREXITED) connection to database closed. Check logs for more "
                     "information"), "broke the connection off", True),
        (POOLER, _pooler(GONE), "broke the connection off", True),
        (POOLER, _pooler("SSL connection is required"), "set sslmode=require", False),
        (OWN, _own("FATAL:  sorry, too many clients already"), "connections are taken", True),
        (OWN, _own("fe_sendauth: no password supplied"), "password is wrong", False),
        (OWN, _own('FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "u", database "d", no '
                  "encryption"), "it takes connections with TLS only", False),
        (OWN, _own('FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "u", database "d", SSL '
                  "encryption"), "it takes no connections from this machine", False),
        (OWN, _own("server does not support SSL, but SSL was required"), "does not speak TLS", False),
        (OWN, _own("SSL error: certificate verify failed"), "certificate can't be verified", False),
        (OWN, _own('server certificate for "a" does not match host name "b"'), "certificate", False),
        (OWN, _own('root certificate file "/etc/certificates/root.crt" does not exist\nEither provide '
                  "the file, use the system's trusted roots with sslrootcert=system, or change sslmode to disable "
                  "certificate verification."), "certificate can't be verified", False),
        (OWN, _own("received invalid response to SSL negotiation: H"), "no PostgreSQL", False),
        (OWN, _own("expected authentication request from server, but received H"), "no PostgreSQL", False),
        (OWN, _own('FATAL:  database "music" does not exist'), "no database of this name", False),
        (OWN, _own('FATAL:  role "dawa" does not exist'), "no such user", False),
        (OWN, _own("FATAL:  no more connections allowed (max_client_conn)"), "are taken", True),
        (OWN, _own("FATAL:  query_wait_timeout"), "are taken", True),
        (OWN, "failed to resolve host 'db.example.com': [Errno -3] Temporary failure in name resolution",
         "its name leads to no address; check the host", True),
        (OWN, _own("No route to host" + WITHOUT_SERVER), "no way to its address", True),
        # What a router answers comes later than the call: each way in which it is told then.
        *((DIRECT, said, "reached by IPv6 only, and a paused project has none: take the session pooler's", True)
          for said in (
              "connection is bad: " + _own("No route to host" + WITHOUT_SERVER),
              "connection is bad: No route to host",
              "connection is bad: no error details available",
              "consuming input failed: could not receive data from server: No route to host",
              _own("could not send SSL negotiation packet: No route to host"),
              "SSL SYSCALL error: No route to host",
              _own("Host is unreachable" + WITHOUT_SERVER),
              _own("Network unreachable"),
              _own("Host is down"),
              "connection timeout expired",
              _own("Connection timed out"),
              "[Errno 113] EHOSTUNREACH",
          )),
        (POOLER, "connection timeout expired", "whether the project is paused, restricted", True),
        (OWN, _own("Host is unreachable"), "this machine may have no IPv6", True),
        (OWN, "Multiple connection attempts failed. All failures were:\n- host: 'localhost', port: 5432: "
              'connection to server at "::1" failed: Connection refused' + WITHOUT_SERVER + "\n- host: "
              "'localhost', port: 5432: connection failed: FATAL:  password authentication failed "
              'for user "dawa"', "the user or the password is wrong", False),
    ],
)  # fmt: skip
def test_what_is_said_becomes_one_line_with_a_way_out(url: str, said: str, expected: str, again: bool) -> None:
    refusal = explain(psycopg.OperationalError(said), url)
    assert expected in str(refusal)
    assert str(refusal).startswith(place_of(url) + ": ")
    assert refusal.again == again
    assert "\n" not in str(refusal)
    assert "verysecret" not in str(refusal)
    assert "postgres.abc" not in str(refusal)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (DIRECT, "the database postgres at db.abcdefghijklmnopqrst.supabase.co:5432"),
        (OWN, "the database music at db.example.com:5432"),
        ("postgresql://u:p@[2001:db8::1]:6543/d", "the database d at [2001:db8::1]:6543"),
        ("host=/run/s dbname=dawa user=u password=verysecret", "the database dawa on this machine"),
        ("postgresql://u:verysecret@", "the database on this machine"),
        ("very:secret%nonsense", "the database on this machine"),
    ],
)
def test_a_database_is_called_by_name_and_host(url: str, place: str) -> None:
    assert place_of(url) == place


@given(said=st.text(max_size=200), around=st.sampled_from(["", "verysecret", "very%2Fsecret", "very/secret", "\n\t"]))
def test_whatever_else_is_said_is_one_line_without_the_password(said: str, around: str) -> None:
    url = "postgresql://u:very%2Fsecret@db.example.com/d"
    line = str(explain(psycopg.OperationalError(f"connection failed: {around}{said}{around}"), url))
    assert "very/secret" not in line
    assert "very%2Fsecret" not in line
    assert len(line.splitlines()) == 1
    assert len(line) < 500
