"""What the whole demonstration costs, and what asking for it again costs when nothing is left to do.

The database server is a process of its own and not counted.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WHAT = "`dawa demo` run again: everything is made, so that it only has to see that nothing changed"
PEER = "the first `dawa demo`: composing, intake, prompts, dataset, segments, tags, training, preview"
FLOOR = "importing Dagster"
ROUNDS = 3

_HOME = "home"


def setup(folder: Path) -> None:
    """Everything that the second run finds."""
    _demo(folder / _HOME)


def ours(folder: Path) -> None:
    """The second run; it may add nothing to the bucket."""
    before = _bucket(folder / _HOME)
    _demo(folder / _HOME)
    assert _bucket(folder / _HOME) == before


def peer(folder: Path) -> None:
    """The first run, in a home of its own."""
    home = Path(tempfile.mkdtemp(dir=folder))
    _demo(home)
    assert any(key.endswith(".safetensors") for key in _bucket(home))
    shutil.rmtree(home, ignore_errors=True)


def floor(folder: Path) -> None:
    """What any program has paid before its first line when it uses Dagster."""
    subprocess.run([sys.executable, "-c", "import dagster"], cwd=folder, check=True)


def _demo(home: Path) -> None:
    program = "from dawa_assets.cli.main import main; main()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DAWA_")}
    subprocess.run(
        [sys.executable, "-c", program, "demo"],
        env={**environment, "DAWA_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _bucket(home: Path) -> dict[str, int]:
    """Keys and sizes of what lies in the bucket."""
    root = home / "bucket"
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.stat().st_size for path in files}
