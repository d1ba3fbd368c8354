"""The health of a Supabase project for its owner: migrations, policies, grants, publication, bucket, extensions.

Everything is read in one transaction that may not write, so that looking makes nothing.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import psycopg

from dawa_assets.pipeline.wording import counted, first_of
from resources.bucket.limits import too_narrow
from resources.database.base import Connection
from resources.database.catalogue import BUCKET
from resources.database.expected_access import (
    Differences,
    bucket_settings,
    extensions_in_public,
    grant_differences,
    missing_tables,
    only_read,
    policy_differences,
    publication_differences,
)
from resources.database.migrations import known_migrations, pending_in
from resources.errors import DatabaseError

State = Literal["ok", "warning", "error"]

_OLDEST_POSTGRES = 15
_MAX_NAMED = 3


def look_at_project(connection: Connection) -> Iterator[tuple[str, State, str]]:
    """Yield each part with its state and one line; one that can't be looked at keeps none of the others from it.

    The connection's transaction becomes one that can only read.
    """
    only_read(connection)
    missing = missing_tables(connection)
    parts: list[tuple[str, Callable[[Connection], tuple[State, str]]]] = [
        ("migrations", _migrations),
        ("policies", _policies),
        ("grants", _grants),
        ("publication", _publication),
        ("bucket limits", _bucket_limits),
        ("extensions", _extensions),
    ]
    for part, look in parts:
        if missing and part in ("policies", "grants", "publication"):
            verb = "is" if len(missing) == 1 else "are"
            yield part, "error", f"{counted(len(missing), 'table')} {verb} not there; run `dawa migrate`"
            continue
        try:
            with connection.transaction():
                yield part, *look(connection)
        except (psycopg.Error, DatabaseError) as error:
            yield part, "error", f"can't be looked at: {str(error).splitlines()[0]}; look with the project's own user"


def _migrations(connection: Connection) -> tuple[State, str]:
    known, pending = known_migrations(), pending_in(connection)
    if pending:
        return "error", f"{len(pending)} of {len(known)} are not applied, {pending[0].file} first; run `dawa migrate`"
    return "ok", f"all {len(known)} are applied, {known[-1].file} last"


def _policies(connection: Connection) -> tuple[State, str]:
    found = policy_differences(connection)
    way_out = "as their owner, drop what is too many or changed and create it as sql/migrations has it"
    return _judged(found, f"all {found.of} are there, and no others", way_out)


def _grants(connection: Connection) -> tuple[State, str]:
    found = grant_differences(connection)
    fine = "clients of the API have what they should, and no more"
    return _judged(found, fine, "grant or revoke it in the SQL editor")


def _judged(found: Differences, fine: str, way_out: str) -> tuple[State, str]:
    if not found:
        return "ok", fine
    lines = [
        f"{what}: {_named(names)}"
        for what, names in (("missing", found.missing), ("too many", found.extra), ("changed", found.changed))
        if names
    ]
    return "error", f"{'; '.join(lines)}; {way_out}"


def _publication(connection: Connection) -> tuple[State, str]:
    found = publication_differences(connection)
    if found is None:
        return "warning", "there is no publication supabase_realtime: nothing can be followed as it happens"
    if found.extra:
        return "warning", f"{_named(found.extra)} in it beside what users may follow; take it out of supabase_realtime"
    if found.missing:
        return "warning", (
            f"{_named(found.missing)} not in it, so dashboards can't follow it; run "
            f"`alter publication supabase_realtime add table {found.missing[0]}` as its owner"
        )
    return "ok", f"{found.of} tables can be followed"


def _bucket_limits(connection: Connection) -> tuple[State, str]:
    settings = bucket_settings(connection, BUCKET)
    if settings is None:
        return "warning", f"there is no bucket {BUCKET} yet; the first upload with DAWA_BUCKET=supabase makes it"
    if settings.get("public"):
        return "error", "the bucket is public, so anyone reads every file; make it private in the dashboard"
    size, types = settings.get("file_size_limit"), settings.get("allowed_mime_types")
    if reason := too_narrow(size, types):
        return "warning", f"the bucket {BUCKET} keeps out {reason}; widen it in the dashboard, under Storage"
    limits = f"files of up to {size:,} bytes" if size else "no limit of its own"
    return "ok", f"private, {limits}{', by type' if types else ''}"


def _extensions(connection: Connection) -> tuple[State, str]:
    version = connection.info.server_version // 10_000
    if version < _OLDEST_POSTGRES:
        return "error", f"PostgreSQL {version} is too old; upgrade the project to {_OLDEST_POSTGRES} or later"
    there = [name for name in extensions_in_public(connection) if name != "plpgsql"]
    if there:
        return "warning", (
            f"{_named(there)} in the schema public, where the API offers its functions; "
            f"`alter extension {there[0]} set schema extensions`"
        )
    return "ok", "none is needed, and none lies in the schema public"


def _named(names: list[str]) -> str:
    return first_of(names, _MAX_NAMED)
