"""`dawa stop`: ends what this home keeps running."""

import typer


def stop() -> None:
    """Stop the embedded database now. It stops by itself some minutes after its last use; the next use starts it."""
    from resources.database.embedded.embedded_database import EmbeddedDatabase
    from resources.ports import open_database
    from resources.settings import Settings

    database = open_database(Settings.load())
    if isinstance(database, EmbeddedDatabase):
        database.stop()
        typer.echo("The embedded database is stopped.")
    else:
        typer.echo("Nothing runs here: the database is a hosted one (DAWA_DATABASE).")
