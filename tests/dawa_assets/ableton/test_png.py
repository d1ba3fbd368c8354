"""PNG files of ours, as another program reads them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dawa_assets.ableton.png import save_png


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    rows=st.lists(st.integers(0, 3), min_size=1, max_size=200),
    width=st.integers(1, 40),
    noisy=st.booleans(),
)
def test_a_picture_is_read_as_it_was_drawn(tmp_path: Path, rows: list[int], width: int, noisy: bool) -> None:
    pixels = np.array(rows, np.uint8)[:, None, None] * np.ones((1, width, 3), np.uint8) * 80
    if noisy:
        pixels += np.random.default_rng(len(rows)).integers(0, 9, (len(rows), width, 3), np.uint8)
    save_png(Image.fromarray(pixels), tmp_path / "t.png")
    with Image.open(tmp_path / "t.png") as read:
        read.verify()  # its checksums
    with Image.open(tmp_path / "t.png") as read:
        assert (np.asarray(read) == pixels).all()


def test_flat_colours_are_small(tmp_path: Path) -> None:
    save_png(Image.new("RGB", (1650, 1000), (30, 31, 33)), tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size < 50_000


def test_a_picture_that_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_png(Image.new("RGB", (1, 1)), tmp_path / "nowhere" / "t.png")
    assert not list(tmp_path.iterdir())
