"""Texts of pictures: where their ink lies, and how wide they are."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dawa_assets.ableton.fonts import drawable
from dawa_assets.ableton.lettering import Style, fitted, width_in, write

_WHITE = (1.0, 1.0, 1.0)
_STYLES = [Style(5, _WHITE), Style(7, _WHITE, "bold"), Style(8, _WHITE, "italic"), Style(13, _WHITE, "bold")]
_LEFT, _BASELINE = 40, 60


def _ink(text: str, style: Style, x: float = _LEFT) -> npt.NDArray[np.uint8]:
    image = Image.new("RGB", (600, 100))
    write(image, x, _BASELINE, text, style)
    return np.asarray(image)[:, :, 0]


@pytest.mark.parametrize("style", _STYLES)
def test_letters_stand_on_the_baseline_and_end_sharply(style: Style) -> None:
    rows = _ink("xzxz", style).max(axis=1).nonzero()[0]
    assert (rows.min(), rows.max()) == (_BASELINE - style.x_height, _BASELINE - 1)
    capitals = _ink("EHTI", style).max(axis=1).nonzero()[0]
    assert abs(_BASELINE - capitals.min() - style.capital_height) <= 1


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x52F, exclude_categories=["Cc", "Mn", "Me"])),
    style=st.sampled_from(_STYLES),
    room=st.integers(40, 400),
)
def test_what_fits_stays_in_its_room(text: str, style: Style, room: int) -> None:
    columns = _ink(fitted(text * 4, room, style), style).max(axis=0).nonzero()[0]
    if columns.size:  # letters, of the italic most of all, reach over their ends a little
        assert _LEFT - style.size / 4 <= columns.min()
        assert columns.max() <= _LEFT + room + style.size / 4


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(exclude_categories=[]), max_size=60))
def test_any_text_is_drawn(text: str) -> None:
    write(Image.new("RGB", (600, 100)), _LEFT, _BASELINE, fitted(text, 400, _STYLES[0]), _STYLES[0])


@pytest.mark.parametrize("text", ["Kick", "bass To AVA", "עברית", "a\u0323\u0308"])
def test_a_text_ends_where_its_width_says(text: str) -> None:
    style, text = _STYLES[0], drawable(text)
    last = _ink(text, style).max(axis=0).nonzero()[0].max()
    assert abs(last + 1 - _LEFT - width_in(text, style)) <= 2


def test_letters_move_together_that_leave_a_gap() -> None:
    style = _STYLES[3]
    assert width_in("To", style) < width_in("T", style) + width_in("o", style) - 1


def test_a_script_from_right_to_left_is_drawn_so() -> None:
    narrow_first, wide_first = (_ink(text, _STYLES[0]).max(axis=0) for text in ("ישש", "ששי"))
    assert (narrow_first[_LEFT : _LEFT + 6] == _ink("ש", _STYLES[0]).max(axis=0)[_LEFT : _LEFT + 6]).all()
    assert (narrow_first != wide_first).any()


@pytest.mark.parametrize("x", [-300.0, -3.3, 590.0, 9_999.0])
def test_what_is_outside_of_the_image_is_left_out(x: float) -> None:
    for text in ("Kick Four", "עברית"):
        inside = _ink(text, _STYLES[0], x).any()
        assert inside == (-20 < x < 600)


def test_places_between_pixels_differ_a_little() -> None:
    first, second = (_ink("l", _STYLES[0], _LEFT + part).astype(int) for part in (0.0, 0.5))
    assert (first != second).any()
    assert abs(first.sum() - second.sum()) < first.sum() * 0.2
