import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.backends.text_length import fitting


@pytest.mark.parametrize(
    ("length", "left"),
    [
        (99, "Dark dub. Pads, plucks; kick at 4 s. calm, warm."),
        (47, "Dark dub. Pads, plucks; kick at 4 s. calm"),
        (40, "Dark dub. Pads, plucks; kick at 4 s."),
        (35, "Dark dub. Pads, plucks"),
        (9, "Dark dub."),
        (6, "Dark"),
        (3, "Dar"),
        (0, ""),
    ],
)
def test_whole_clauses_are_left_off_then_words_then_letters(length: int, left: str) -> None:
    assert fitting("Dark dub. Pads, plucks; kick at 4 s. calm, warm.", lambda text: len(text) <= length) == left


@given(st.text(), st.integers(0, 50))
def test_what_is_left_is_a_beginning_that_fits(text: str, length: int) -> None:
    left = fitting(text, lambda each: len(each) <= length)
    assert len(left) <= length
    assert text.startswith(left)
    assert left or not text or not text[:length].strip(" ,;:")
