"""Prints what the project needs, one requirement a line: `python requirements.py PYPROJECT [EXTRA,EXTRA…]`.

An image installs these before the project's own code is copied in, so that changed code makes no new layer of packages.
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extras: list[str]) -> list[str]:
    """The project's requirements with those of the extras.

    Raises:
        KeyError: there is no extra of that name.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]


if __name__ == "__main__":
    chosen = [extra for extra in "".join(sys.argv[2:]).split(",") if extra]
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]), chosen)) + "\n")
