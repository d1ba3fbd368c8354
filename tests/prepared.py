"""What many tests begin with, made once a test process and copied: a database in a home, the example artist's files."""

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from dawa_assets.example.compose import Example, compose_example
from resources.embedded_postgres import EmbeddedDatabase


def prepare_database(home: Path) -> Path:
    """Put an embedded database into a home, made and migrated, not running: it starts when it is first used."""
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", _database(), home / "postgres"], check=True)  # with its owner, who may be another one
    return home


def example_in(folder: Path) -> Example:
    """The example artist, as `compose_example` leaves them in `folder`."""
    shutil.copytree(_example(), folder, dirs_exist_ok=True)
    return compose_example(folder)


@cache
def _database() -> Path:
    folder = _temporary() / "postgres"
    database = EmbeddedDatabase(folder)
    database.url()
    database.stop()
    return folder


@cache
def _example() -> Path:
    folder = _temporary()
    compose_example(folder)
    return folder


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dawa-prepared-"))
    folder.chmod(0o711)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
