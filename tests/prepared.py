"""What many tests begin with, made once and copied: a database in a home, the example artist's files."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from dawa_assets.example.compose import Example

SHARED = "PREPARED_FOR_TESTS"
"""The variable that names the folder of what is made once for all test processes (`tests/conftest.py`)."""


def prepare_database(home: Path) -> Path:
    """Put an embedded database into a home, made and migrated, not running: it starts when it is first used."""
    home.mkdir(parents=True, exist_ok=True)
    copy_database(home / "postgres")
    return home


def copy_database(folder: Path) -> None:
    """The same, as `folder`."""
    made = made_once("database", _make_database)
    subprocess.run(["cp", "-a", made / "postgres", folder], check=True)  # with its owner, who may be another one


def example_in(folder: Path) -> "Example":
    """The example artist, as `compose_example` leaves them in `folder`."""
    from dawa_assets.example.compose import compose_example

    shutil.copytree(made_once("example", compose_example), folder, dirs_exist_ok=True)
    return compose_example(folder)


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder of this name that `make` fills: made by the first test process that asks, kept for all of them."""
    folder = Path(os.environ[SHARED]) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            begun = folder.with_suffix(".begun")
            shutil.rmtree(begun, ignore_errors=True)  # of one that failed
            begun.mkdir(mode=0o711)
            make(begun)
            begun.rename(folder)
    return folder


def _make_database(folder: Path) -> None:
    from resources.database.embedded.embedded_database import EmbeddedDatabase

    database = EmbeddedDatabase(folder / "postgres")
    database.url()
    database.stop()
