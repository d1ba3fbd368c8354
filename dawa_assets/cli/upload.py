"""`dawa upload`: Live Sets and bounces of one artist into the inbox."""

from pathlib import Path
from typing import Annotated

import typer


def upload(
    paths: Annotated[list[Path], typer.Argument(help="Live Sets, bounces, or folders of them.", show_default=False)],
    artist: Annotated[str, typer.Option(help="The artist's name; a new name makes a new artist.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipt as JSON.")] = False,
) -> None:
    """Upload Live Sets and bounces. What is taken in, when `dawa build` or the sensor looks, is told by `dawa status`.

    From a project folder the sets and the bounces beside them are taken, not Ableton's backups and samples.
    """
    import dataclasses
    import json

    from rich.console import Console

    from dawa_assets.cli.progress import shown_progress
    from dawa_assets.intake.inbox import upload as upload_files
    from resources.ports import open_ports
    from resources.settings import Settings

    with shown_progress(Console(stderr=True)):
        receipt = upload_files(open_ports(Settings.load()), artist, paths)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(receipt), ensure_ascii=False))
        return
    typer.echo(f"Uploaded {len(receipt.files)} files ({receipt.size_bytes:,} bytes) of {receipt.artist_name}.")
    for name, reason in receipt.skipped:
        typer.echo(f"  left out: {name}: {reason}")
    typer.echo(f"Next: dawa build --artist {receipt.slug}")
