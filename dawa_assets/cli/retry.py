"""`dawa retry-rejected`: send what could not be read through the intake again."""

from typing import Annotated

import typer


def retry_rejected(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these files, as `dawa status` names them.", show_default=False)
    ] = None,
    artist: Annotated[str | None, typer.Option(help="Only this artist (slug, id or name).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Put rejected uploads back into the inbox, beside the files that they were uploaded with.

    For files that a newer version can read, or that were rejected by mistake. What can't be read still is rejected
    again by the next build.
    """
    import dataclasses
    import json

    from dawa_assets.maintenance.retry import retry_rejected as retry
    from resources.ports import open_ports
    from resources.settings import Settings

    reports = retry(open_ports(Settings.load()), artist, names or [])
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in reports], ensure_ascii=False))
        return
    if not reports:
        typer.echo("No upload is rejected.")
    for report in reports:
        files = "1 file is" if len(report.sent) == 1 else f"{len(report.sent)} files are"
        typer.echo(f"{report.artist_name}: {files} in the inbox again.")
        for name in report.sent:
            typer.echo(f"  {name}")
        for name, reason in report.left:
            typer.echo(f"  still rejected: {name}: {reason}")
    for report in reports:
        if report.sent:
            typer.echo(f"Next: dawa build --artist {report.slug}")
