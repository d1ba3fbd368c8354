"""`dawa serve`: the dashboard's routes, the worker's endpoints and the files, over HTTP in one process."""

from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(help="The address to listen at; other than loopback only when protected.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one and says which.")] = 8000,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page of Train Mode in a browser.")] = False,
) -> None:
    """Serve HTTP until it is told to stop (Ctrl-C, SIGTERM); requests under way are finished first.

    Protected by NAWFSIDE_APP_PASSWORD, or by users' tokens of the Supabase project (SUPABASE_URL or
    SUPABASE_JWT_SECRET). With neither it is open, and listens on this machine only.
    """
    import logging

    from dawa_assets.http.access import Access
    from dawa_assets.http.app import create_app
    from dawa_assets.http.server import address_of, listen, run, summary
    from dawa_assets.rights.marks import marks_line
    from resources.ports import open_ports
    from resources.settings import Settings

    settings = Settings.load()
    access = Access(settings)
    marks = marks_line(settings)
    with listen(host, port, access) as listener:
        app = create_app(open_ports(settings), access)
        logging.getLogger("dawa_assets.http").setLevel(logging.INFO)
        for line in summary(listener, access, marks):
            typer.echo(line, err=True)
        if open_page and typer.launch(address_of(listener)) != 0:
            typer.echo(f"no browser could be opened; open {address_of(listener)} in one", err=True)
        run(app, listener)
