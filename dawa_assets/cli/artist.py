"""`dawa artist`: artists and their profiles."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Artists and their profiles.", no_args_is_help=True)


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="The artist's name or slug; a new name makes a new artist.")],
    profile: Annotated[Path, typer.Option(help="The artist's master_schema, a JSON file; `{}` is allowed.")],
) -> None:
    """Store an artist's profile. Prompts that it makes stale are rewritten by the next build."""
    from dawa_assets.artists.profile import load_profile, set_profile
    from dawa_assets.artists.store import ensure_artist
    from modal_app.errors import InputError
    from resources.ports import open_ports
    from resources.settings import Settings

    content = load_profile(profile)
    if not name.strip() or "\x00" in name:
        raise InputError("the artist's name is empty; give the name that the dashboard shows")
    ports = open_ports(Settings.load())
    with ports.database.transaction() as connection:
        artist = ensure_artist(connection, name.strip())
    changed = set_profile(ports, artist, content)
    typer.echo(f"{artist.name} ({artist.slug}): {'profile stored' if changed else 'profile unchanged'}")
    if changed:
        typer.echo(f"Next: dawa build --artist {artist.slug}")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print the artists as JSON.")] = False,
) -> None:
    """List the artists."""
    import json

    from dawa_assets.artists.store import list_profiles
    from resources.ports import open_database
    from resources.settings import Settings

    with open_database(Settings.load()).transaction() as connection:
        artists = list_profiles(connection)
    if as_json:
        rows = [
            {"slug": each.slug, "name": each.name, "profile": each.has_profile, "schema_version": each.schema_version}
            for each in artists
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for each in artists:
        profile = f"profile {each.schema_version or 'without version'}" if each.has_profile else "no profile"
        typer.echo(f"{each.slug}  {each.name}  ({profile})")
    if not artists:
        typer.echo("There is no artist yet; `dawa artist set NAME --profile FILE` or `dawa upload` makes one.")
