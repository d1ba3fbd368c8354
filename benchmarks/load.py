"""What loading the code location costs, beside a location that says hello."""

import os
import subprocess
import sys
from pathlib import Path

WHAT = "`dagster definitions validate` of the code location"
PEER = "the same of a location with one asset that says hello"
FLOOR = "importing Dagster"

_HELLO = """import dagster as dg


@dg.asset
def hello() -> str:
    return "hello"


defs = dg.Definitions(assets=[hello])
"""


def setup(folder: Path) -> None:
    """The small location."""
    (folder / "hello_location.py").write_text(_HELLO)


def ours(folder: Path) -> None:
    """The project's."""
    _validate(folder, "dawa_assets.definitions")


def peer(folder: Path) -> None:
    """Hello."""
    _validate(folder, "hello_location")


def floor(folder: Path) -> None:
    """Dagster alone."""
    subprocess.run([sys.executable, "-c", "import dagster"], cwd=folder, check=True)


def _validate(folder: Path, module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAWA_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-m", module, "-d", str(folder)],
        cwd=folder,
        env={**environment, "DAWA_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
