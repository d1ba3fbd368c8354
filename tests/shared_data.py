"""Where the real data lies that tests use if it is there: beside the checkout, never in it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(*parts: str) -> Path:
    """The path of something in the shared data; skips the test where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the shared test data is absent: {path}")
    return path


def shared_names(folder: str, pattern: str) -> list[str]:
    """Names in a folder of the shared data, to parametrise over; none where it is absent."""
    return sorted(path.name for path in (SHARED / folder).glob(pattern))
