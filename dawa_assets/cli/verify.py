"""`dawa verify`: hold what the database says against what the bucket has."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dawa_assets.maintenance.orphans import Stray
    from dawa_assets.maintenance.verify import Discrepancy, VerifyReport

_MAX_NAMED = 40
_MARKS = {"mended": "mended", "can be mended": "", "next build": "", "needs you": "needs you"}


def verify(
    artist: Annotated[str | None, typer.Option(help="Only this artist (slug, id or name).")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file and compare its hash, too.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended without guessing; tell what is left to do.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Check that every file that the database names is there, whole, and in its artist's own folder.

    Exit code 1 when something is wrong (with --repair: still wrong). Files that no row knows are listed as foreign;
    they are not wrong (the dashboard's own exports are among them) and are never touched. Without --artist, so are
    folders that are no artist's, and with --deep what is left of deleted artists with the worker and on this machine.
    """
    import dataclasses
    import json

    from rich.console import Console

    from dawa_assets.cli.progress import shown_progress
    from dawa_assets.maintenance.erasure import find_leftovers
    from dawa_assets.maintenance.orphans import find_strays
    from dawa_assets.maintenance.verify import verify as run
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    reports = []
    with shown_progress(Console(stderr=True)):
        reports = list(run(ports, artist, deep=deep, fix=repair))
        strays = find_strays(ports) if artist is None else []
        leftovers = find_leftovers(ports) if artist is None and deep else []
    wrong = sum(report.still_wrong for report in reports) + len(leftovers)
    if as_json:
        shown = [dataclasses.asdict(each) | {"still_wrong": each.still_wrong} for each in reports]
        nobody = [dataclasses.asdict(each) for each in strays]
        left = [dataclasses.asdict(each) for each in leftovers]
        answer = {"deep": deep, "repair": repair, "artists": shown, "strays": nobody, "leftovers": left}
        typer.echo(json.dumps(answer, default=str, ensure_ascii=False))
    else:
        if not reports:
            typer.echo("There is no artist yet.")
        for report in reports:
            _print(report)
        for stray in strays:
            _print_stray(stray)
        for leftover in leftovers:
            typer.echo(f"left over: {leftover.line}; `dawa prune --keep 5 --deleted-artists` removes it")
        if wrong > len(leftovers) and not repair:
            typer.echo("Next: dawa verify --repair")
    if wrong:
        raise typer.Exit(1)


def _print(report: "VerifyReport") -> None:
    looked = f"{report.claims:,} files on record, {report.objects:,} in the bucket"
    found = len(report.findings)
    fixed = found - report.still_wrong
    verdict = "all well" if not found else f"{found} wrong" + (f", {fixed} of them mended" if fixed else "")
    typer.echo(f"{report.slug}: {looked}: {verdict}")
    for problem in ("outside", "missing", "wrong size", "wrong bytes", "left over"):
        findings = [finding for finding in report.findings if finding.problem == problem]
        for finding in findings[:_MAX_NAMED]:
            typer.echo(f"  {problem}: {_line(finding)}")
        if len(findings) > _MAX_NAMED:
            typer.echo(f"  {problem}: … and {len(findings) - _MAX_NAMED} more; --json names all")
    for key, size in report.foreign[:_MAX_NAMED]:
        typer.echo(f"  foreign: {key} ({size:,} bytes)")
    if report.foreign_count > _MAX_NAMED:
        typer.echo(f"  foreign: … {report.foreign_count:,} in all, {report.foreign_bytes:,} bytes")


def _print_stray(stray: "Stray") -> None:
    whose = (
        "of an artist who was deleted; `dawa prune --deleted-artists` removes it" if stray.was_deleted else "nobody's"
    )
    typer.echo(f"foreign: {stray.folder}/ ({stray.amount}): {whose}")


def _line(finding: "Discrepancy") -> str:
    mark = _MARKS[finding.outcome.state]
    line = f"{mark}: {finding.outcome.said}" if mark else finding.outcome.said
    if finding.problem == "outside":
        return f"{finding.key} names {finding.name}; {line}"
    named = "" if finding.name == finding.key else f" of {finding.name}"
    return f"{finding.key} ({finding.what}{named}); {line}"
