"""Every table × verb × role, tried out as the attacker and held against what is meant; `pytest -s` prints the table.

What is not written down here is meant to be closed to signed-in users, and everything to the anonymous role: so a new
table that is open, for want of row level security or by a policy or grant too many, fails here.
"""

import json
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from resources.database.base import Connection, Database
from tests.sql.roles import Side, acting_as, side, tables_of

VERBS = ("select", "insert", "update", "delete")
ROLES = ("anon", "authenticated", "service_role")
NOTHING, OWN, ALL = "-", "own", "all"

# What a signed-in user may do: select, insert, update, delete.
MEANT_FOR_USERS = {
    "public.artists": (OWN, NOTHING, NOTHING, NOTHING),
    "public.artist_profiles": (OWN, OWN, OWN, NOTHING),
    "public.user_artists": (OWN, NOTHING, NOTHING, NOTHING),
    "public.als_summaries": (OWN, NOTHING, NOTHING, NOTHING),
    "public.training_items": (OWN, OWN, OWN, NOTHING),
    "public.item_findings": (OWN, NOTHING, NOTHING, NOTHING),
    "public.uploads": (OWN, NOTHING, NOTHING, NOTHING),
    "public.training_runs": (OWN, NOTHING, NOTHING, NOTHING),
    "storage.objects": (OWN, OWN, NOTHING, NOTHING),
}

# Histories: read and added to, by nobody changed.
APPEND_ONLY = ("public.permissions", "public.permission_revocations")

Access = dict[str, dict[str, tuple[str, ...]]]  # table → role → what each verb reaches


@dataclass(frozen=True)
class Row:
    """A row as the superuser sees it, and whether it is the attacking user's artist's."""

    place: str  # ctid
    values: str  # JSON
    own: bool


@pytest.fixture
def a(database: Database) -> Side:
    return side(database, "Artist A")


@pytest.fixture
def b(database: Database) -> Side:
    return side(database, "Artist B")


def test_each_role_has_exactly_the_intended_access(database: Database, a: Side, b: Side) -> None:
    access = _access(database, a, b)
    print("\n" + _as_text(access))  # noqa: T201 - to be read with `pytest -s`
    meant = {
        table: {
            "anon": (NOTHING,) * 4,
            "authenticated": MEANT_FOR_USERS.get(table, (NOTHING,) * 4),
            "service_role": (ALL, ALL, NOTHING, NOTHING) if table in APPEND_ONLY else (ALL,) * 4,
        }
        for table in access
    }
    assert access == meant
    assert set(MEANT_FOR_USERS) <= set(access)


@pytest.mark.parametrize(
    ("opened", "found"),
    [
        ("create table forgotten as select id, slug from artists; grant all on forgotten to authenticated", (ALL,) * 4),
        ("create table forgotten as select id, slug from artists; alter table forgotten enable row level security; "
         "create policy p on forgotten for select using (true); grant select on forgotten to authenticated",
         (ALL, NOTHING, NOTHING, NOTHING)),
        ("create table forgotten as select id, slug from artists; grant update on forgotten to authenticated",
         (NOTHING, NOTHING, ALL, NOTHING)),
    ],
    ids=["no row level security", "a policy too many", "a blind grant"],
)  # fmt: skip
def test_a_new_table_that_is_open_is_found(
    database: Database, a: Side, b: Side, opened: str, found: tuple[str, ...]
) -> None:
    with database.transaction() as connection:
        connection.execute(opened.encode())
    assert _access(database, a, b)["public.forgotten"]["authenticated"] == found


def _access(database: Database, a: Side, b: Side) -> Access:
    with database.transaction() as connection:
        for one in (a, b):
            for name in (f"inbox/{one.slug}/u/new.wav", f"artists/{one.slug}/training/i/audio.mp3"):
                connection.execute("insert into storage.objects (bucket_id, name) values ('dawa-exports', %s)", [name])
    tables = [*(f"public.{table}" for table in tables_of(database)), "storage.objects", "storage.buckets"]
    rows = {table: _rows(database, table, a) for table in tables}
    access: Access = {table: {} for table in tables}
    for role in ROLES:
        with acting_as(database, role, a.user if role == "authenticated" else None) as connection:
            for table in tables:
                access[table][role] = tuple(_reach(connection, table, verb, rows[table]) for verb in VERBS)
    return access


def _rows(database: Database, table: str, a: Side) -> list[Row]:
    with database.transaction() as connection:
        found = connection.execute(
            sql.SQL("select t.ctid::text as place, to_jsonb(t) as row from {} as t").format(_name(table))
        ).fetchall()
    own = (str(a.artist), str(a.dataset), a.slug)
    rows = [
        Row(row["place"], json.dumps(row["row"]), any(mark in json.dumps(row["row"]) for mark in own)) for row in found
    ]
    assert not all(row.own for row in rows), f"{table}: give it a row of each artist in tests/sql/roles.py"
    return rows


def _reach(connection: Connection, table: str, verb: str, rows: list[Row]) -> str:
    """Whether a role gets through with a verb to nothing, to its own artist's rows, or to others' too."""
    privileges = _ask(
        connection,
        "select has_table_privilege(%(t)s, 'select') as sees, case when %(v)s = 'delete' "
        "then has_table_privilege(%(t)s, %(v)s) else has_any_column_privilege(%(t)s, %(v)s) end as may"
        if verb != "select"
        else "select true as sees, has_any_column_privilege(%(t)s, 'select') as may",
        t=table,
        v=verb,
    )
    if not privileges["may"]:
        return NOTHING
    if not privileges["sees"] and verb in ("update", "delete"):
        return ALL  # blindly: which rows it hits can't be tried out one by one
    reached = {
        row.own for row in rows if any(_gets_through(connection, one) for one in _tries(connection, table, verb, row))
    }
    return ALL if False in reached else OWN if True in reached else NOTHING


def _tries(connection: Connection, table: str, verb: str, row: Row) -> list[sql.Composed]:
    name, where = _name(table), sql.SQL("where ctid = {}::tid").format(sql.Literal(row.place))
    if verb == "select":
        key = json.loads(row.values).get("id")  # who may read some columns only may not read `ctid`
        by_key = [sql.SQL("select from {} where id::text = {}").format(name, sql.Literal(str(key)))] if key else []
        return [sql.SQL("select from {} {}").format(name, where), *by_key]
    if verb == "delete":
        return [sql.SQL("delete from {} {}").format(name, where)]
    columns = _ask(
        connection,
        "select coalesce(array_agg(attname::text order by attnum), '{}') as columns from pg_attribute "
        "where attrelid = %(t)s::regclass and attnum > 0 and not attisdropped and attgenerated = '' "
        "and has_column_privilege(%(t)s, attnum, %(v)s)",
        t=table,
        v=verb,
    )["columns"]
    if verb == "update":
        return [sql.SQL("update {} set {c} = {c} {}").format(name, where, c=sql.Identifier(one)) for one in columns]
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    copy = sql.SQL("insert into {t} ({c}) select {c} from json_populate_record(null::{t}, {r}::json)")
    return [copy.format(t=name, c=listed, r=sql.Literal(row.values))]


def _gets_through(connection: Connection, statement: sql.Composed) -> bool:
    """Whether a statement does something. A row that is there already was let in: policies are asked before keys."""
    try:
        with connection.transaction(force_rollback=True):
            return connection.execute(statement).rowcount > 0
    except psycopg.errors.UniqueViolation:
        return True
    except psycopg.errors.ForeignKeyViolation:
        return True  # a delete that was let through, of a row that others hang on
    except psycopg.errors.InsufficientPrivilege:
        return False


def _ask(connection: Connection, statement: str, **values: object) -> dict[str, Any]:
    row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row


def _name(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))


def _as_text(access: Access) -> str:
    lines = [f"{'':28}" + "".join(f"{role:^28}" for role in ROLES)]
    lines.append(f"{'':28}" + "".join(f"{verb:^7}" for verb in VERBS) * len(ROLES))
    lines += [
        f"{table:28}" + "".join(f"{reach:^7}" for role in ROLES for reach in access[table][role]) for table in access
    ]
    return "\n".join(line.rstrip() for line in lines)
