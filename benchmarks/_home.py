"""What benchmarks of the whole product share: a home below their folder, its database's end, and its server."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resources.ports import Ports


def ports(folder: Path) -> "Ports":
    """Return the ports of the benchmark's home."""
    from resources.ports import open_ports
    from resources.settings import Settings

    return open_ports(Settings(home=folder / "home"))


def stop_database(folder: Path) -> None:
    """End the database of the benchmark's home."""
    from resources.database.embedded.embedded_database import EmbeddedDatabase

    EmbeddedDatabase(folder / "home" / "postgres").stop()


def start_server(folder: Path) -> tuple[int, str]:
    """Start `dawa serve` of the benchmark's home, to go on after this process; its process id, and its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAWA_", "SUPABASE_"))}
    log = folder / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-c", "from dawa_assets.cli.main import main; main()", "serve", "--port", "0"],
            env={**environment, "DAWA_HOME": str(folder / "home")},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    while not (found := re.search(r"http://\S+?:\d+", log.read_text())):
        assert server.poll() is None, log.read_text()
        time.sleep(0.05)
    return server.pid, found.group()
