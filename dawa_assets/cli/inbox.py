"""`dawa inbox`: what lies in the inbox, and taking out of it what no build looks at."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dawa_assets.intake.inbox import Unclaimed

app = typer.Typer(help="Uploads on their way: list them, take some out.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List every file of the inbox; what is nobody's is said so. What was looked at is told by `dawa status`."""
    import json

    from dawa_assets.intake.inbox import unclaimed_uploads
    from resources.bucket.keys import plain_name
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    files = [(plain_name(stored.key), stored.size) for stored in ports.bucket.list("inbox")]
    unclaimed = unclaimed_uploads(ports)
    if as_json:
        rows = [{"key": key, "bytes": size, "reason": _reason(key, unclaimed)} for key, size in files]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for key, size in files:
        reason = _reason(key, unclaimed)
        typer.echo(f"{key}  {size:,} bytes" + (f"  {reason}" if reason else ""))
    if not files:
        typer.echo("The inbox is empty.")


@app.command("remove")
def remove(
    places: Annotated[
        list[str], typer.Argument(metavar="KEY…", help="Files or folders of the inbox, as `dawa inbox list` has them.")
    ],
) -> None:
    """Take files out of the inbox for good; what was taken in from there stays."""
    from dawa_assets.intake.inbox import remove_from_inbox
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    for place in places:
        for key in remove_from_inbox(ports, place):
            typer.echo(f"removed {key}")


def _reason(key: str, unclaimed: list["Unclaimed"]) -> str | None:
    for each in unclaimed:
        if key == each.place or (each.place.endswith("/") and key.startswith(each.place)):
            return each.reason
    return None
