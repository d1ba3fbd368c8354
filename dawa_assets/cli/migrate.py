"""`dawa migrate`: bring the configured database to the schema of this version, and say what that ends for clients."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from resources.database.client_access import ClientAccess


def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be applied; change nothing.")] = False,
) -> None:
    """Bring the database's schema up to date. The embedded database is also migrated by every other command.

    What policies, grants and public addresses that takes away from clients of the project's API is said before, with
    what their code must do instead, and what was taken away is said after.
    """
    from resources.database.client_access import access_at, ended_by
    from resources.database.migrations import migrate as apply
    from resources.database.migrations import pending_migrations
    from resources.database.refusals import place_of
    from resources.errors import DatabaseError
    from resources.ports import open_database
    from resources.settings import Settings

    database = open_database(Settings.load())
    url = database.server_url()
    typer.echo(place_of(url))
    pending = pending_migrations(url)
    before = access_at(url) if pending else None
    if before is not None:
        _print_access("this takes away from clients of the project's API:", ended_by(before, pending), instead=True)
    try:
        found = pending if dry_run else apply(url, embedded=database.embedded)
    except DatabaseError:
        with suppress(DatabaseError):  # the first one is what counts
            _print_removed(before, url)
        raise
    if not dry_run:
        _print_removed(before, url)
    for migration in found:
        typer.echo(f"{'would apply' if dry_run else 'applied'} {migration.file}")
    if not found:
        typer.echo("the database is up to date")


def _print_removed(before: "ClientAccess | None", url: str) -> None:
    from resources.database.client_access import access_at

    if before is not None:
        _print_access("taken away:", before.without(access_at(url)), instead=False)


def _print_access(heading: str, ended: "ClientAccess", *, instead: bool) -> None:
    if not (lines := ended.lines()):
        return
    typer.echo(heading)
    for line in lines:
        typer.echo(f"  {line}")
    if instead:
        typer.echo("what client code must change:")
        for change in ended.changes_for_clients():
            typer.echo(f"  {change}")
