"""`dawa migrate`: bring the configured database to the schema of this version."""

from typing import Annotated

import typer


def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be applied; change nothing.")] = False,
) -> None:
    """Bring the database's schema up to date. The embedded database is also migrated by every other command."""
    from resources.database_refusals import place_of
    from resources.migrations import migrate as apply
    from resources.migrations import pending_migrations
    from resources.ports import open_database
    from resources.settings import Settings

    database = open_database(Settings.load())
    url = database.server_url()
    typer.echo(place_of(url))
    found = pending_migrations(url) if dry_run else apply(url, embedded=database.embedded)
    for migration in found:
        typer.echo(f"{'would apply' if dry_run else 'applied'} {migration.file}")
    if not found:
        typer.echo("the database is up to date")
