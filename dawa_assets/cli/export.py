"""`dawa export`: an artist's current dataset for other trainers."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class FormatChoice(StrEnum):
    """The trainers, or the conventions of many, that a dataset can be written for."""

    ACE_STEP = "ace-step"
    AUDIOCRAFT = "audiocraft"
    AUDIOFOLDER = "audiofolder"
    SIDECAR = "sidecar"


def export(
    form: Annotated[
        FormatChoice,
        typer.Option(
            "--format",
            help="The trainer that is to read it; `audiofolder` is Hugging Face's form, `sidecar` a `.txt`, "
            "`.lyrics.txt` and `.json` beside each track.",
        ),
    ],
    artist: Annotated[str, typer.Option(help="The artist: slug, id or name (`dawa status` lists them).")],
    out: Annotated[Path, typer.Option(help="A new folder; it is there whole or not at all.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write the artist's current dataset as another trainer reads it: its tracks, and what is said of them."""
    import dataclasses
    import json

    from rich.console import Console

    from dawa_assets.exports.export import export_dataset
    from resources.ports import open_ports
    from resources.settings import Settings

    with Console(stderr=True).status("exporting …"):
        report = export_dataset(open_ports(Settings.load()), artist, form.value, out)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report), default=str, ensure_ascii=False))
        return
    typer.echo(f"{report.tracks} tracks ({report.audio_seconds:.1f} s) of {report.artist} in {report.folder}")
    for name, reason in report.left_out:
        typer.echo(f"  left out: {name}: {reason}")
    typer.echo(f"Next: {_next(report.format, report.folder, report.manifest)}")


def _next(form: str, folder: Path, manifest: Path) -> str:
    if form == "audiofolder":
        return f'load_dataset("audiofolder", data_dir="{folder}")'
    return f"point {'the trainer' if form == 'sidecar' else form} at {manifest}"
