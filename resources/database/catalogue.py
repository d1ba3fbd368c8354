"""What several modules ask a database's catalogue for: plain rows, grants of the API's roles. Nothing is changed."""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.rows import tuple_row

BUCKET = "dawa-exports"
"""The bucket of a Supabase project that the policies are about."""

CLIENT_ROLES = ("anon", "authenticated")
"""The roles of the API: who is not signed in, and users."""


def fetch_rows(connection: psycopg.Connection[Any], query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query as tuples, whatever the connection makes of rows otherwise."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query.encode(), values or None).fetchall()


def client_grants(connection: psycopg.Connection[Any], tables: Iterable[str]) -> set[tuple[str, str, str]]:
    """Return what the API's roles, or everybody, may do with tables of the schema `public`.

    As (role, privilege, table), where a privilege on a column names it: `UPDATE (name)`.
    """
    rows = fetch_rows(connection, _GRANTS, {"tables": list(tables), "roles": list(CLIENT_ROLES)})
    return {(row[0], row[1], row[2]) for row in rows}


_GRANTS = """
select coalesce(r.rolname, 'public'), given.privilege_type || given.of, given.relname
from (
  select c.relname, a.grantee, a.privilege_type, '' as of
  from pg_class c, lateral aclexplode(c.relacl) a
  where c.relnamespace = 'public'::regnamespace and c.relname = any(%(tables)s)
  union all
  select c.relname, a.grantee, a.privilege_type, ' (' || t.attname || ')'
  from pg_class c join pg_attribute t on t.attrelid = c.oid and not t.attisdropped, lateral aclexplode(t.attacl) a
  where c.relnamespace = 'public'::regnamespace and c.relname = any(%(tables)s)
) given left join pg_roles r on r.oid = given.grantee
where given.grantee = 0 or r.rolname = any(%(roles)s)
"""
