"""Packages of npm that tests run where they are installed: in `node_modules` of the checkout, or on `NODE_PATH`."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def file_of(package: str, path: str) -> Path:
    """A file of an installed package; the test is skipped where it is not there."""
    folders = [_ROOT / "node_modules", *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))]
    found = next((folder / package / path for folder in folders if (folder / package / path).is_file()), None)
    if found is None:
        pytest.skip(f"{package} is not installed (npm install --no-save {package})")
    return found
