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

app = typer.Typer(help="Artists and their profiles: list, show, set, delete.", no_args_is_help=True)

_MAX_NAMED = 20
_MAX_FIELDS = 60
_MAX_VALUE = 100


@app.command("set")
def set_(
    name: Annotated[
        str | None,
        typer.Argument(help="The artist: slug, id or name; with --profile, a new name makes a new artist."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="The artist's whole master_schema, a JSON file; `{}` is allowed.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH=VALUE",
            help="One field, as `dawa artist show` names it: `schema_version=2.0`, `catalog[0].key_center=A minor`, "
            '`creative_policy.no_go_zones=["vocals"]`. May be given several times.',
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="With --field: every artist who has a profile.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --field: print what changed as JSON.")] = False,
) -> None:
    """Store a profile, or change fields of it: of one artist, or of all at once.

    What does not follow the interface is refused by its field, and then no profile is changed. Prompts that a
    change makes stale are rewritten by the sensor or the next build; a higher `schema_version` makes all of them stale.
    """
    from modal_app.errors import InputError

    if (profile is None) == (not field):
        raise InputError("artist set: give either --profile FILE or --field PATH=VALUE; `dawa artist set --help`")
    if everyone == (name is not None):
        raise InputError("artist set: name one artist, or say --all; `dawa artist list` names them")
    if profile is None:
        _set_fields(name, field or [], as_json)
    elif name is None or as_json:
        raise InputError("artist set: --profile is for one artist, without --json; take --field for all")
    else:
        _set_profile(name, profile)


def _set_profile(name: str, file: Path) -> None:
    from dawa_assets.artists.profile import load_profile, set_profile
    from dawa_assets.tables.artists import ensure_artist
    from modal_app.errors import InputError
    from resources.ports import open_ports
    from resources.settings import Settings

    content = load_profile(file)
    if not name.strip() or "\x00" in name:
        raise InputError("the artist's name is empty; give the name that the dashboard shows")
    ports = open_ports(Settings.load())
    with ports.database.transaction() as connection:
        artist = ensure_artist(connection, name.strip())
    changed = set_profile(ports, artist, content)
    typer.echo(f"{artist.name} ({artist.slug}): {'profile stored' if changed else 'profile unchanged'}")
    if changed:
        typer.echo(f"Next: dawa build --artist {artist.slug}")


def _set_fields(name: str | None, fields: list[str], as_json: bool) -> None:
    import dataclasses
    import json

    from dawa_assets.artists.profile_fields import Assignment, change_fields
    from dawa_assets.tables.artists import artists_with_profiles, require_staying, resolve_artist
    from resources.ports import open_database
    from resources.settings import Settings

    assignments = [Assignment.parse(each) for each in fields]
    database = open_database(Settings.load())
    with database.transaction() as connection:
        if name is None:
            artists = artists_with_profiles(connection)
        else:
            artists = [resolve_artist(connection, name)]
            require_staying(connection, artists[0])
    changes = change_fields(database, artists, assignments)
    if as_json:
        shown = [{"artist": each.artist.slug, "fields": [dataclasses.asdict(one) for one in each.fields],
                  "stale_prompts": each.is_for_prompts} for each in changes]  # fmt: skip
        typer.echo(json.dumps(shown, ensure_ascii=False, default=str))
        return
    changed = [each for each in changes if each.fields]
    for each in changed[:_MAX_NAMED]:
        for one in each.fields:
            typer.echo(f"{each.artist.slug}: {one.field}: {_shown(one.before)} → {_shown(one.after)}")
    if (more := len(changed) - _MAX_NAMED) > 0:
        typer.echo(f"… and {more:,} more artists; --json names all")
    same = len(changes) - len(changed)
    typer.echo(
        f"{len(changed):,} of {len(changes):,} profiles changed" + (f"; {same:,} had it already" if same else "")
    )
    stale = [each for each in changed if each.is_for_prompts]
    if stale:
        only = f" --artist {stale[0].artist.slug}" if len(stale) == 1 else ""
        typer.echo(f"Next: dawa backfill prompts{only} --dry-run   # what is rewritten, and what it costs")


def _shown(value: object) -> str:
    import json

    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"


@app.command("show")
def show(
    artist: Annotated[str, typer.Argument(help="The artist: slug, id or name (`dawa artist list` names them).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show an artist: what there is of them, what is open, and their profile, field by field."""
    import dataclasses
    import json

    from rich.console import Console

    from dawa_assets.artists.profile import profile_problems
    from dawa_assets.artists.profile_fields import list_fields
    from dawa_assets.cli.status import print_artist
    from dawa_assets.observability.overview import overview
    from dawa_assets.observability.status import artist_statuses
    from dawa_assets.tables.artist_profiles import observed_profile
    from dawa_assets.tables.artists import resolve_artist
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    with ports.database.transaction() as connection:
        found = resolve_artist(connection, artist)
        profile = observed_profile(connection, found.id)
    [status] = artist_statuses(ports, found.slug)
    problems = profile_problems(profile.master_schema) if profile.content_hash else []
    if as_json:
        [line] = overview(ports, [status]).lines
        shown = {
            "artist": dataclasses.asdict(found),
            "profile": dataclasses.asdict(profile) | {"problems": [dataclasses.asdict(each) for each in problems]},
            "status": dataclasses.asdict(status),
            "open": [dataclasses.asdict(each) for each in line.issues],
        }
        typer.echo(json.dumps(shown, ensure_ascii=False, default=str, indent=2))
        return
    print_artist(Console(), status)
    if not profile.content_hash:
        typer.echo(f"no profile yet: `dawa artist set {found.slug} --profile FILE` stores one")
        return
    version = profile.schema_version or "without schema_version"
    typer.echo(f"profile {version}, changed {profile.updated_at:%Y-%m-%d %H:%M}")
    for problem in problems:
        typer.echo(f"  wrong: {problem.field}: {problem.message}")
    fields = list(list_fields(profile.master_schema))
    for path, value in fields[:_MAX_FIELDS]:
        typer.echo(f"  {path} = {_shown(value)}")
    if (more := len(fields) - _MAX_FIELDS) > 0:
        typer.echo(f"  … and {more:,} more fields; --json shows all")
    typer.echo(f"One is changed by `dawa artist set {found.slug} --field PATH=VALUE`.")


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
