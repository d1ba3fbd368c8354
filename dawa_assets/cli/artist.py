"""`dawa artist`: artists and their profiles."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dawa_assets.cli.prompt import Author, login_name

if TYPE_CHECKING:
    from dawa_assets.artists.delete import Plan, RunHistory
    from resources.settings import Settings

app = typer.Typer(help="Artists and their profiles.", no_args_is_help=True)


@app.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="The artist's name or slug; a new name makes a new artist.")],
    profile: Annotated[Path, typer.Option(help="The artist's master_schema, a JSON file; `{}` is allowed.")],
) -> None:
    """Store an artist's profile. Prompts that it makes stale are rewritten by the next build."""
    from dawa_assets.artists.profile import load_profile, set_profile
    from dawa_assets.tables.artists import ensure_artist
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

    from dawa_assets.tables.artists import list_profiles
    from resources.ports import open_database
    from resources.settings import Settings

    with open_database(Settings.load()).transaction() as connection:
        artists = list_profiles(connection)
    if as_json:
        rows = [
            {
                "id": str(each.id),
                "slug": each.slug,
                "name": each.name,
                "profile": each.has_profile,
                "schema_version": each.schema_version,
            }
            for each in artists
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for each in artists:
        profile = f"profile {each.schema_version or 'without version'}" if each.has_profile else "no profile"
        typer.echo(f"{each.slug}  {each.name}  ({profile})")
    if not artists:
        typer.echo("There is no artist yet; `dawa artist set NAME --profile FILE` or `dawa upload` makes one.")


@app.command("delete")
def delete(
    slug: Annotated[str, typer.Argument(help="The artist's slug (`dawa artist list` names them).")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only show what would go.")] = False,
    author: Author = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan, or the receipt, as JSON.")] = False,
) -> None:
    """Delete everything of an artist's: rows, files, published adapters, the worker's copies, the history of runs.

    Without --yes it changes nothing. It can be stopped at any moment and run again. A receipt with counts, bytes and
    hashes is kept under the home folder.
    """
    import dataclasses
    import json

    from rich.console import Console

    from dawa_assets.artists.delete import delete_artist, plan_deletion
    from dawa_assets.cli.progress import shown_progress
    from resources.ports import open_ports
    from resources.settings import Settings

    settings = Settings.load()
    ports = open_ports(settings)
    if not yes:
        with run_history(settings) as history:
            plan = plan_deletion(ports, slug, history)
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(plan)))
            return
        _print_plan(plan)
        return
    with shown_progress(Console(stderr=True)), run_history(settings) as history:
        done = delete_artist(ports, slug, author=author or login_name(), history=history)
    if as_json:
        typer.echo(json.dumps({**done.receipt, "receipt": str(done.path)}))
        return
    rows, files, worker = done.receipt["rows"], done.receipt["files"], done.receipt["worker"]
    runs = _history(done.receipt["history"])
    typer.echo(
        f"{slug}: deleted {sum(rows.values()):,} rows, {_sum(files)}, {_sum(worker)} of the worker's copies, and {runs}"
    )
    typer.echo(f"Receipt: {done.path}")


@contextmanager
def run_history(settings: "Settings") -> "Iterator[RunHistory]":
    """Open the records of runs that are kept on this machine; where there are none, none are made."""
    from dawa_assets.artists.delete import NoHistory

    if not settings.dagster_folder.is_dir():
        yield NoHistory()
        return
    from dawa_assets.defs.forgetting import RunHistory
    from dawa_assets.defs.run import open_instance

    with open_instance(settings) as instance:
        yield RunHistory(instance)


def _print_plan(plan: "Plan") -> None:
    typer.echo(f"{plan.slug}: {'is being deleted; left are' if plan.under_way else 'would be deleted with'}")
    typer.echo(f"  rows    {', '.join(f'{count:,} {name}' for name, count in plan.rows.items()) or 'none'}")
    for title, areas in (("files", plan.files), ("worker", plan.worker)):
        named = ", ".join(f"{area} {each['files']:,}" for area, each in areas.items())
        typer.echo(f"  {title:<7} {_sum(areas)}{f': {named}' if named else ''}")
    typer.echo(f"  history {_history(plan.history)}")
    if plan.shared_audio:
        shared = "1 audio file" if plan.shared_audio == 1 else f"{plan.shared_audio} audio files"
        typer.echo(f"  stays   what was made of {shared} that another artist has too")
    typer.echo(f"Nothing was deleted. Next: dawa artist delete {plan.slug} --yes")


def _history(counts: dict[str, int]) -> str:
    runs, events, ticks = (counts.get(name, 0) for name in ("runs", "events", "ticks"))
    named = f"{runs:,} {'run' if runs == 1 else 'runs'} of Dagster's with {events:,} events"
    return f"{named} and {ticks:,} ticks" if ticks else named


def _sum(areas: dict[str, dict[str, int]]) -> str:
    files, size = (sum(each[what] for each in areas.values()) for what in ("files", "bytes"))
    return f"{files:,} {'file' if files == 1 else 'files'} ({size / 1e6:,.1f} MB)"
