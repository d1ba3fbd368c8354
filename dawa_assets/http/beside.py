"""Serves the files of the bucket beside another program, for as long as that runs: the Dagster UI, whose pages link.

Files and nothing else, to this machine alone, and without a password, as the UI is itself. The server is a process of
its own that ends with the one that started it, however that ends: it waits at a pipe that only that one holds open.
"""

import logging
import os
import sys
import threading
from typing import NoReturn

from dawa_assets.pipeline.files_address import address_at, keep_port, kept_port, listening_at_or_near
from resources.settings import Settings

_LAST_SECONDS = 2  # for answers that are under way at the end

log = logging.getLogger(__name__)


def serve_files_beside(settings: Settings) -> str:
    """Start to serve, and return the address; call it before anything starts a thread, since it forks.

    Raises:
        SettingsError: the home can't be written to.
    """
    wanted = kept_port(settings)
    listener = listening_at_or_near(wanted)
    port = int(listener.getsockname()[1])
    if port != wanted:
        keep_port(settings, port)
        log.warning("port %d is taken: pages that were made before link to nothing now, new ones to %d", wanted, port)
    ended, runs = os.pipe()
    if os.fork() == 0:
        os.close(runs)
        os.setsid()  # Ctrl-C is for the one that started it
        _serve_until(ended, settings, listener.detach())
    os.close(ended)  # the other end is open until this process has gone: its children do not get it
    listener.close()
    return address_at(port)


def _serve_until(ended: int, settings: Settings, listener: int) -> NoReturn:
    """Serve until the other end of the pipe is closed; what goes wrong ends this process alone."""
    code = 1
    try:
        import socket

        from dawa_assets.http.app import create_files_app
        from dawa_assets.http.server import Server, configuration
        from resources.ports import open_ports

        with socket.socket(fileno=listener) as listening:
            server = Server(configuration(create_files_app(open_ports(settings)), _LAST_SECONDS))

            def wait() -> None:
                os.read(ended, 1)
                server.should_exit = True

            threading.Thread(target=wait, daemon=True).start()
            server.run(sockets=[listening])
        code = 0
    except Exception as error:  # the other program goes on
        sys.stderr.write(f"dawa: links to files lead nowhere now: {' '.join(str(error).split())}\n")
    finally:
        os._exit(code)
