"""`dawa demo`: an example artist, composed on the spot, through the whole chain."""

from typing import TYPE_CHECKING

import typer
from rich.console import Console

if TYPE_CHECKING:
    from dawa_assets.observability.status import ArtistStatus
    from resources.settings import Settings


def demo() -> None:
    """Compose an example artist, upload them, run the whole chain, and say what was made and where it lies.

    Everything happens on this machine: an embedded PostgreSQL, a folder as the bucket, and a tiny base model with
    random weights, which proves every step but makes no music. A second run changes nothing.
    """
    import json
    from importlib.util import find_spec

    from dawa_assets.artists.profile import set_profile
    from dawa_assets.cli.build import run_build
    from dawa_assets.example.compose import compose_example
    from dawa_assets.intake.inbox import upload
    from dawa_assets.observability.status import artist_statuses
    from dawa_assets.tables.artists import ensure_artist
    from dawa_assets.tables.uploads import are_all_taken
    from modal_app.data_root.digests import sha256_file
    from resources.ports import open_ports
    from resources.settings import Settings

    console = Console(stderr=True)
    settings = Settings.load()
    ports = open_ports(settings)
    with console.status("composing three tracks …"):
        example = compose_example(settings.home / "example")
    typer.echo(f"{example.artist_name}: three tracks as Live Sets and bounces in {example.folder}")
    hashes = {sha256_file(path) for path in example.files}
    with console.status("starting the database …"), ports.database.transaction() as connection:
        artist = ensure_artist(connection, example.artist_name)
        known = are_all_taken(connection, artist.id, hashes)
    set_profile(ports, artist, json.loads(example.profile.read_text("utf-8")))
    if known:
        typer.echo("Uploaded before; building what is not up to date:")
    else:
        receipt = upload(ports, artist, [example.folder])
        typer.echo(f"Uploaded {len(receipt.files)} files and the artist's profile; building:")
    if settings.compute == "local" and find_spec("torch") is None:
        for job in ("ingest_job", "dataset_job"):
            run_build(artist.slug, console, job)
        typer.echo("No LoRA: torch is not installed here (`make setup EXTRAS=train,hosted,marks,dev` installs it).")
    else:
        run_build(artist.slug, console)
    _print_made(artist_statuses(ports, artist.slug)[0], settings)


def _print_made(made: "ArtistStatus", settings: "Settings") -> None:
    bucket = f"{settings.home / 'bucket'}/" if settings.bucket == "folder" else ""
    typer.echo()
    typer.echo(
        f"{made.name} has {made.ready} of {made.items} items ready, {made.segments} segments ({made.tagged} tagged)."
    )
    typer.echo(f"  dataset   {bucket}{made.dataset_key}")
    if made.lora_key:
        typer.echo(f"  LoRA      {bucket}{made.lora_key}")
    typer.echo(f"  segments  {settings.data_root / 'training_data' / made.slug}")
    typer.echo()
    typer.echo("Next:")
    typer.echo("  make train-mode                           their sets, prompts and LoRA on the artist's screen")
    typer.echo("  make ui                                   the same chain in the Dagster UI, with its pictures")
    typer.echo("  .venv/bin/dawa status                     what there is of each artist, and what waits")
    typer.echo('  .venv/bin/dawa upload --artist "You" DIR  your own sets and bounces; then `dawa build --artist you`')
