"""`dawa build`: the whole chain for one artist, through Dagster, from the terminal."""

from typing import Annotated

import typer
from rich.console import Console

from modal_app.errors import JobError


def build(
    artist: Annotated[str, typer.Option(help="The artist: slug, id or name (`dawa status` lists them).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Bring everything of one artist up to date: from what lies in the inbox to the LoRA and its preview.

    Does only what is not done yet. It can be stopped at any moment and run again.
    """
    import json

    run_id, materialised = run_build(artist, Console(stderr=True))
    if as_json:
        typer.echo(json.dumps({"artist": artist, "run_id": run_id, "materialised": materialised}))


def run_build(name: str, console: Console, job: str = "build_job") -> tuple[str, list[str]]:
    """Run a job, by default the whole chain, for one artist with progress on the console.

    Returns the run's id and what was materialised.

    Raises:
        UnknownArtistError: there is no artist of this name or slug.
        JobError: a step failed; the message says which and why.
    """
    with console.status("loading …"):
        from dawa_assets.cli.progress import shown_progress
        from dawa_assets.defs.resources import Pipeline
        from dawa_assets.defs.run import keeps_history_here, open_instance, run_job
        from dawa_assets.pipeline.files_address import files_address
        from dawa_assets.tables.artists import resolve_artist
        from resources.ports import open_ports
        from resources.settings import Settings

        settings = Settings.load()
        with open_ports(settings).database.transaction() as connection:
            artist = resolve_artist(connection, name)
        instance = open_instance(settings)
        # The pages of what is built here are looked at in `make ui`, which serves the files.
        overrides = {"serve_url": files_address(settings)} if keeps_history_here(settings) else {}
    with instance, shown_progress(console):
        result = run_job(instance, Pipeline(overrides=overrides), job, artist.slug)
    if not result.success:
        raise JobError(
            f"the build of {artist.slug} stopped: {'; '.join(result.failures) or 'see the run'}; "
            f"the run is {result.run_id} in the UI (`make ui`)"
        )
    return result.run_id, result.materialised
