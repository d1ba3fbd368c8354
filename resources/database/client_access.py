"""What clients with the project's public key may do beside what this project grants: told before migrations end it.

Read from the catalogue, and where it matters tried as the role itself: a policy's words don't say whom they let in.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from resources.database.catalogue import BUCKET, client_grants, fetch_rows
from resources.database.migrations import Migration, connect, known_migrations

_TABLES = ("als_summaries", "artist_profiles", "artists", "training_items", "user_artists")
_ACCESS, _STORAGE = "20260101000400", "20260102000000"  # the migrations that take something away
_POLICY_NAME = re.compile(r'create policy "(dawa: [^"]+)"')
_WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True)
class ClientAccess:
    """What roles of the API have on the tables of the pipeline, and on its bucket."""

    policies: frozenset[tuple[str, str]] = frozenset()
    """(table, policy's name); of `storage.objects` those that are about the bucket alone."""
    grants: frozenset[tuple[str, str, str]] = frozenset()
    """(role, privilege, table), where a privilege on a column names it."""
    anyone_reads: frozenset[str] = frozenset()
    """Tables, and `storage.objects` for the bucket's files, that have rows for who is not signed in."""
    public_bucket: bool = False

    def without(self, other: "ClientAccess") -> "ClientAccess":
        """Return what is in this and not in the other."""
        return ClientAccess(
            self.policies - other.policies,
            self.grants - other.grants,
            self.anyone_reads - other.anyone_reads,
            self.public_bucket and not other.public_bucket,
        )

    def lines(self) -> list[str]:
        """Return one line for each policy, and for the grants of each role."""
        found = [f'policy "{name}" on {table}' for table, name in sorted(self.policies)]
        by_tables: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
        by_role: dict[tuple[str, str], list[str]] = defaultdict(list)
        for role, privilege, table in self.grants:
            by_role[role, table].append(privilege)
        for (role, table), privileges in sorted(by_role.items()):
            by_tables[role, tuple(sorted(privileges))].append(table)
        found += [
            f"grants of {role}: {', '.join(privileges).lower()} on {', '.join(tables)}"
            for (role, privileges), tables in sorted(by_tables.items())
        ]
        if self.anyone_reads:
            found.append(f"what anyone could read with the public key: {', '.join(sorted(self.anyone_reads))}")
        if self.public_bucket:
            found.append(f"the public address of every file of the bucket {BUCKET}")
        return found

    def changes_for_clients(self) -> list[str]:
        """Return what code that uses the project's API must do instead."""
        return list(self._changes())

    def _changes(self) -> Iterator[str]:
        tables = sorted(table for table in self.anyone_reads if not table.startswith("storage."))
        if tables or any(privilege == "SELECT" for role, privilege, _ in self.grants if role != "authenticated"):
            yield (
                "reading tables: sign the user in; they see the artists that `user_artists` links them to, which only "
                "the service key can write"
            )
        if any(privilege.startswith(_WRITES) for _, privilege, _ in self.grants):
            yield (
                "writing tables: users may still insert and update `name` and `master_schema` of `artist_profiles`, "
                "insert references and names into `training_items`, update its `prompt_text` and `excluded_at`; all "
                "else goes over `dawa serve`, or by the service key from a server"
            )
        on_files = any(table == "storage.objects" for table, _ in self.policies)
        if on_files or self.public_bucket or "storage.objects" in self.anyone_reads:
            yield (
                f"files of {BUCKET}: getPublicUrl and the public key give none; a signed-in user downloads or signs "
                "what lies under `artists/{slug}/` of their artists, uploads new files to `inbox/{slug}/{upload}/` "
                "(upsert: false) and changes and removes nothing"
            )


@dataclass(frozen=True)
class StoragePolicies:
    """What is there of the policies on the bucket's files."""

    has_storage: bool
    missing: list[str] = field(default_factory=list)
    of: int = 0
    public_bucket: bool = False


def client_access(connection: psycopg.Connection[Any]) -> ClientAccess:
    """Return what is open now. Changes nothing; reads in this connection's transaction."""
    tables = {"tables": list(_TABLES)}
    policies = {(row[0], row[1]) for row in fetch_rows(connection, _POLICIES, tables | {"ours": "dawa: %"})}
    grants = {grant for grant in client_grants(connection, _TABLES) if grant[1].startswith(("SELECT", *_WRITES))}
    there = {row[0] for row in fetch_rows(connection, _THERE, tables)}
    reads = {table for table in there if _anyone_reads(connection, sql.Identifier("public", table), "true")}
    public = False
    if _has_storage(connection):
        if _anyone_reads(connection, sql.Identifier("storage", "objects"), f"bucket_id = '{BUCKET}'"):
            reads.add("storage.objects")
        public = _is_public(connection)
    return ClientAccess(frozenset(policies), frozenset(grants), frozenset(reads), public)


def access_at(url: str) -> ClientAccess:
    """Return what is open now in the database of this address.

    Raises:
        DatabaseError: it does not answer.
    """
    with connect(url) as connection:
        connection.read_only = True
        return client_access(connection)


def ended_by(access: ClientAccess, pending: list[Migration]) -> ClientAccess:
    """Return what of `access` the pending migrations take away."""
    versions = {migration.version for migration in pending}
    on_tables, on_files = _ACCESS in versions, _STORAGE in versions

    def ends(table: str) -> bool:
        return on_files if table == "storage.objects" else on_tables

    return ClientAccess(
        frozenset(policy for policy in access.policies if ends(policy[0])),
        # Signed-in users go on reading; what they may write is granted anew, by column.
        frozenset(grant for grant in access.grants if on_tables and grant[:2] != ("authenticated", "SELECT")),
        frozenset(table for table in access.anyone_reads if ends(table)),
        access.public_bucket and on_files,
    )


def storage_policies(connection: psycopg.Connection[Any]) -> StoragePolicies:
    """Return which of the policies that keep the bucket's files are not there. Changes nothing."""
    if not _has_storage(connection):
        return StoragePolicies(has_storage=False)
    made = next(migration for migration in known_migrations() if migration.version == _STORAGE)
    wanted = _POLICY_NAME.findall(made.sql)
    there = {row[0] for row in fetch_rows(connection, _ON_STORAGE, {})}
    missing = [name for name in wanted if name not in there]
    return StoragePolicies(True, missing, len(wanted), _is_public(connection))


def storage_policies_file() -> str:
    """Return the name of the file that makes them."""
    return next(migration.file for migration in known_migrations() if migration.version == _STORAGE)


_ON_STORAGE = "select policyname from pg_policies where schemaname = 'storage'"
_THERE = "select tablename from pg_tables where schemaname = 'public' and tablename = any(%(tables)s)"

# The same policies of `storage.objects` as the migration drops: those that are about the bucket alone.
_POLICIES = """
select case schemaname when 'public' then tablename else schemaname || '.' || tablename end, policyname
from pg_policies, lateral (select coalesce(qual, '') || ' ' || coalesce(with_check, '') as rule) it
where (schemaname = 'public' and tablename = any(%(tables)s))
  or (schemaname = 'storage' and tablename = 'objects' and permissive = 'PERMISSIVE' and policyname not like %(ours)s
    and strpos(rule, $$(bucket_id = 'dawa-exports'::text)$$) > 0
    and replace(rule, 'IS NOT NULL', '') !~ '\\m(OR|NOT|ANY|CASE)\\M')
"""


def _has_storage(connection: psycopg.Connection[Any]) -> bool:
    found = fetch_rows(
        connection,
        "select 1 from pg_class join pg_namespace n on n.oid = relnamespace where nspname = 'storage' "
        "and relname in ('objects', 'buckets') having count(*) = 2",
        {},
    )
    return bool(found)


def _is_public(connection: psycopg.Connection[Any]) -> bool:
    return bool(fetch_rows(connection, "select 1 from storage.buckets where id = %(id)s and public", {"id": BUCKET}))


def _anyone_reads(connection: psycopg.Connection[Any], table: sql.Identifier, rule: str) -> bool:
    """Return whether who is not signed in sees a row, tried as the role that they are."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("set local role anon")
            found = connection.execute(sql.SQL("select 1 from {} where {} limit 1").format(table, sql.SQL(rule)))
            return found.fetchone() is not None
    except psycopg.Error:  # no such role, no grant, or a policy that fails
        return False
