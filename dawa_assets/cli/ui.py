"""`dawa ui`: the chain in the Dagster UI, with the daemon that runs sensors and schedules."""

from typing import Annotated

import typer


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of this machine to listen on.")] = 3000,
) -> None:
    """Open the chain in the Dagster UI, with sensors and schedules running, until Ctrl-C.

    Its history is where `dawa build` keeps its own: under the home, or in DAGSTER_HOME where that is set. The files
    that its pages link to are served beside it, to this machine alone, unless DAWA_SERVE_URL names who serves them.
    """
    import os

    from dawa_assets.http.beside import serve_files_beside
    from dawa_assets.observability.running_ui import refuse_second_ui
    from resources.settings import Settings

    settings = Settings.load()
    refuse_second_ui(settings.dagster_folder, port)
    if settings.serve_url is None:
        os.environ["DAWA_SERVE_URL"] = serve_files_beside(settings)
    if settings.ui_url is None:
        os.environ["DAWA_UI_URL"] = f"http://localhost:{port}"

    from dawa_assets.defs.dev_server import run_dev_server
    from dawa_assets.defs.run import open_instance

    instance = open_instance(settings)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_folder)  # for all processes that make up the UI
    typer.echo(f"Dagster: http://localhost:{port} in some seconds; Ctrl-C ends it.")
    typer.echo("Here is told what sensors ask for, and trouble.")
    typer.echo(f"For Dagster's own commands: export DAGSTER_HOME={settings.dagster_folder}")
    run_dev_server(instance, port)
