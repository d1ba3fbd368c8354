"""`dawa prune`: remove old zips and what killed runs left."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dawa_assets.defs.history_pruning import HistoryReport
    from dawa_assets.maintenance.prune import File, PruneReport
    from resources.settings import Settings

_MAX_NAMED = 40


def prune(
    keep: Annotated[
        int | None, typer.Option(help="How many of each artist's newest zips stay; the current one always does.")
    ] = None,
    artist: Annotated[str | None, typer.Option(help="Only this artist (slug, id or name).")] = None,
    grace_hours: Annotated[
        float, typer.Option(help="How old a file that no row knows must be before it is removed.")
    ] = 24,
    deleted_artists: Annotated[
        bool, typer.Option("--deleted-artists", help="Also remove what came late for artists who were deleted.")
    ] = False,
    history_days: Annotated[
        int | None, typer.Option(help="Remove what Dagster has on record of runs older than so many days.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed; remove nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Remove old dataset zips, files that killed runs left behind, and records of old runs.

    What was in a removed zip stays on record (its row and manifest), and content that comes back is zipped again. What
    may be somebody else's, such as the dashboard's own export zips, is listed as foreign and never removed. Runs that
    made what an asset's page shows stay.
    """
    import dataclasses
    import json

    from dawa_assets.maintenance.erasure import find_leftovers, remove_leftovers
    from dawa_assets.maintenance.orphans import remove_strays
    from dawa_assets.maintenance.prune import prune as run
    from modal_app.errors import InputError
    from resources.ports import open_ports
    from resources.settings import Settings

    if artist is not None and deleted_artists:
        raise InputError("--deleted-artists: is about artists who are gone; give it without --artist")
    if keep is None and (history_days is None or artist is not None or deleted_artists):
        raise InputError(
            "--keep: how many zips of each artist stay, 5 for instance; --history-days alone is about runs"
        )
    settings = Settings.load()
    reports, strays, leftovers = [], [], []
    if keep is not None:
        ports = open_ports(settings)
        reports = run(ports, keep=keep, slug=artist, grace_hours=grace_hours, dry_run=dry_run)
        if deleted_artists:
            strays = remove_strays(ports, grace_hours=grace_hours, dry_run=dry_run)
            leftovers = find_leftovers(ports) if dry_run else remove_leftovers(ports)
    history = None if history_days is None else _prune_history(settings, history_days, dry_run=dry_run)
    if as_json:
        shown = [dataclasses.asdict(each) | {"freed_bytes": each.freed_bytes} for each in reports]
        nobody = [dataclasses.asdict(each) for each in strays]
        runs = {} if history is None else {"history": dataclasses.asdict(history)}
        left = [dataclasses.asdict(each) for each in leftovers]
        answer = {"dry_run": dry_run, "artists": shown, "strays": nobody, "leftovers": left} | runs
        typer.echo(json.dumps(answer, default=str, ensure_ascii=False))
        return
    if history is not None:
        typer.echo(f"history: {'would remove' if dry_run else 'removed'} {history.headline}")
    if not reports and keep is not None:
        typer.echo("There is no artist yet.")
    for report in reports:
        _print(report, "would remove" if dry_run else "removed")
    for stray in strays:
        verb = "would remove" if dry_run else "removed"
        typer.echo(f"{verb}: {stray.folder}/ of a deleted artist ({stray.amount})")
    for leftover in leftovers:
        typer.echo(f"{'would remove' if dry_run else 'removed'}: {leftover.line}")


def _prune_history(settings: "Settings", days: int, *, dry_run: bool) -> "HistoryReport":
    from dawa_assets.defs.history_pruning import prune_history
    from dawa_assets.defs.run import open_instance
    from modal_app.errors import InputError

    if days < 1:
        raise InputError(f"--history-days {days}: at least 1; 90 is usual")
    with open_instance(settings) as instance:
        return prune_history(instance, days, max_seconds=math.inf, dry_run=dry_run)


def _print(report: "PruneReport", verb: str) -> None:
    count = _files(len(report.zips), "zip"), _files(len(report.leftovers), "leftover file")
    freed = f" ({report.freed_bytes / 1e6:,.1f} MB)" if report.freed_bytes else ""
    typer.echo(f"{report.slug}: {verb} {count[0]} and {count[1]}{freed}; {_files(report.zips_kept, 'zip')} kept")
    _name(verb, [*report.zips, *report.leftovers])
    _name("foreign, left alone", report.foreign)
    for reason in report.busy:
        typer.echo(f"  skipped: {reason}")


def _name(what: str, files: "list[File]") -> None:
    for file in files[:_MAX_NAMED]:
        typer.echo(f"  {what}: {file.key} ({file.size:,} bytes): {file.reason}")
    if len(files) > _MAX_NAMED:
        typer.echo(f"  … and {len(files) - _MAX_NAMED} more; --json names all")


def _files(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"
