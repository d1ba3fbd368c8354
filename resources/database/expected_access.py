"""What the migrations leave of policies, grants and the publication, and how a database differs from it.

Read from the catalogue alone: nothing is changed. `tests/resources/database/test_expected_access.py` holds what is
expected here against a migrated database.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from resources.database.catalogue import CLIENT_ROLES, client_grants, fetch_rows

PUBLICATION = "supabase_realtime"
FOLLOWED = frozenset({"training_items", "uploads", "training_runs"})

_LINKED = (
    "artist_id in (select user_artists.artist_id from user_artists where user_artists.user_id = "
    "(select auth.uid() as uid))"
)
_USERS: dict[str, dict[str, tuple[str, str]]] = {  # table → policy → command, rule
    "artists": {"users see their artists": ("SELECT", _LINKED.removeprefix("artist_"))},
    "user_artists": {"users see their own links": ("SELECT", "user_id = (select auth.uid() as uid)")},
    "artist_profiles": {
        "users see their artists' profiles": ("SELECT", _LINKED),
        "users add their artists' profiles": ("INSERT", _LINKED),
        "users edit their artists' profiles": ("UPDATE", _LINKED),
    },
    "als_summaries": {"users see their artists' summaries": ("SELECT", _LINKED)},
    "training_items": {
        "users see their artists' items": ("SELECT", _LINKED),
        "users add items to their artists": ("INSERT", _LINKED),
        "users edit their artists' items": ("UPDATE", _LINKED),
    },
    "item_findings": {"users see their artists' findings": ("SELECT", _LINKED)},
    "uploads": {"users see their artists' uploads": ("SELECT", _LINKED)},
    "training_runs": {"users see their artists' trainings": ("SELECT", _LINKED)},
}
_HISTORIES = frozenset({"permissions", "permission_revocations"})  # added to and read, by nobody changed
_CLOSED = _HISTORIES | frozenset(
    (
        *("alignments", "artist_deletions", "artist_prompt_state", "audio_matches", "audio_measurements"),
        *("audio_segments", "dataset_items", "datasets", "item_acceptances", "item_exclusions"),
        *("leases", "listens", "lora_evaluations", "lora_promotions", "prompts", "rendered_audio", "renderings"),
        *("segment_facts", "segment_tags", "song_timelines", "spending", "training_approvals"),
        "verifications",
    )
)
_CLOSED_POLICY = "only the pipeline comes here"
TABLES = frozenset(_USERS) | _CLOSED
"""The tables that the migrations make; a project may have others beside them, of which nothing is said here."""

_READ = frozenset(_USERS) - {"training_runs"}
_BY_COLUMN: dict[tuple[str, str], tuple[str, ...]] = {
    ("artist_profiles", "INSERT"): ("artist_id", "name", "master_schema"),
    ("artist_profiles", "UPDATE"): ("name", "master_schema"),
    ("training_items", "INSERT"): ("artist_id", "als_summary_id", "parse_id", "als_filename", "project_name"),
    ("training_items", "UPDATE"): ("prompt_text", "excluded_at"),
    ("training_runs", "SELECT"): (
        *("id", "artist_id", "dataset_id", "backend", "base", "model_name", "state", "error", "promoted"),
        *("created_at", "finished_at", "candidate_at"),
    ),
}


@dataclass(frozen=True)
class Differences:
    """What is not as it should be, a name each: what is missing, what is there beside it, what has another rule."""

    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    of: int = 0
    """How many there should be."""

    def __bool__(self) -> bool:
        """Return whether anything differs."""
        return bool(self.missing or self.extra or self.changed)


def only_read(connection: psycopg.Connection[Any]) -> None:
    """Let the transaction of this connection write nothing from here on."""
    connection.execute("set transaction read only")


def missing_tables(connection: psycopg.Connection[Any]) -> list[str]:
    """Return which of the tables are not there."""
    there = {row[0] for row in _rows(connection, _THERE)}
    return sorted(TABLES - there)


def policy_differences(connection: psycopg.Connection[Any]) -> Differences:
    """Return how row-level security of our tables differs: the tables without it, and policies."""
    expected = {
        f'"{policy}" on {table}': (command, frozenset({"authenticated"}), "PERMISSIVE", _plain(rule), _plain(rule))
        for table, policies in _USERS.items()
        for policy, (command, rule) in policies.items()
    }
    closed = ("ALL", frozenset(CLIENT_ROLES), "RESTRICTIVE", "false", "false")
    expected |= {f'"{_CLOSED_POLICY}" on {table}': closed for table in _CLOSED}
    there = {
        f'"{name}" on {table}': (command, frozenset(roles), permissive, _plain(seen), _plain(written))
        for table, name, command, roles, permissive, seen, written in _rows(connection, _POLICIES)
    }
    open_tables = [f"row-level security of {row[0]}" for row in _rows(connection, _WITHOUT_SECURITY)]
    return Differences(
        missing=[*open_tables, *sorted(set(expected) - set(there))],
        extra=sorted(set(there) - set(expected)),
        changed=sorted(name for name in set(expected) & set(there) if expected[name] != there[name]),
        of=len(expected),
    )


def grant_differences(connection: psycopg.Connection[Any]) -> Differences:
    """Return how grants on our tables and functions differ, as `select on artists to authenticated`."""
    expected = {("authenticated", "SELECT", table) for table in _READ}
    expected |= {
        ("authenticated", f"{privilege} ({column})", table)
        for (table, privilege), columns in _BY_COLUMN.items()
        for column in columns
    }
    there = client_grants(connection, TABLES)
    lost = [("service_role", privilege, table) for privilege, table in _rows(connection, _LOST)]
    callable_by = [(role, "EXECUTE", name) for name, role in _rows(connection, _FUNCTIONS)]
    return Differences(
        missing=_named([*lost, *(expected - there)]),
        extra=_named([*callable_by, *(there - expected)]),
        of=len(expected),
    )


def publication_differences(connection: psycopg.Connection[Any]) -> Differences | None:
    """Return how what Realtime reads of our tables differs; None where the project has no such publication."""
    if not _rows(connection, "select 1 from pg_publication where pubname = %(publication)s"):
        return None
    there = {row[0] for row in _rows(connection, _PUBLISHED)}
    return Differences(sorted(FOLLOWED - there), sorted(there & TABLES - FOLLOWED), of=len(FOLLOWED))


def extensions_in_public(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the extensions whose functions lie where the API looks for tables and functions."""
    return [row[0] for row in _rows(connection, _EXTENSIONS)]


def bucket_settings(connection: psycopg.Connection[Any], bucket: str) -> dict[str, Any] | None:
    """Return what Storage keeps of a bucket: `public`, `file_size_limit`, `allowed_mime_types`; None without one."""
    storage = _rows(connection, "select to_regclass('storage.buckets') is not null")
    if not storage[0][0]:
        return None
    found = _rows(connection, "select to_jsonb(b) from storage.buckets b where id = %(bucket)s", bucket=bucket)
    return dict(found[0][0]) if found else None


def _plain(rule: str | None) -> str:
    """Return a rule without what servers of different versions write differently."""
    return re.sub(r"[\s()]|\bpublic\.", "", rule or "").lower()


def _named(grants: Iterable[tuple[str, str, str]]) -> list[str]:
    return sorted(f"{privilege.lower()} on {what} to {role}" for role, privilege, what in grants)


_THERE = "select relname from pg_class where relnamespace = 'public'::regnamespace and relname = any(%(tables)s)"
# The rule of rows that are seen, and that of rows that are written: a policy with one of them has it for both.
_POLICIES = """
select tablename, policyname, cmd, roles, permissive, coalesce(qual, with_check), coalesce(with_check, qual)
from pg_policies
where schemaname = 'public' and tablename = any(%(tables)s)
"""
_WITHOUT_SECURITY = """
select relname from pg_class where relnamespace = 'public'::regnamespace and relname = any(%(tables)s)
and not relrowsecurity order by relname
"""
_LOST = """
select privilege, relname from pg_class, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as privilege
where relnamespace = 'public'::regnamespace and relname = any(%(tables)s)
and not has_table_privilege('service_role', oid, privilege)
and not (relname = any(%(histories)s) and privilege in ('UPDATE', 'DELETE'))
"""
_FUNCTIONS = """
select proname || '()', role from pg_proc, unnest(%(roles)s::text[]) as role
where pronamespace = 'public'::regnamespace and proname like 'dawa\\_%%'
and has_function_privilege(role, oid, 'execute')
"""
_PUBLISHED = """
select tablename from pg_publication_tables where pubname = %(publication)s and schemaname = 'public'
"""
_EXTENSIONS = "select extname from pg_extension where extnamespace = 'public'::regnamespace order by extname"


def _rows(connection: psycopg.Connection[Any], query: str, **more: Any) -> list[tuple[Any, ...]]:
    values: dict[str, Any] = {"tables": sorted(TABLES), "histories": sorted(_HISTORIES), "roles": list(CLIENT_ROLES)}
    return fetch_rows(connection, query, {**values, "publication": PUBLICATION, **more})
