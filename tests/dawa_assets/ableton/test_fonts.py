"""Fonts of names: what has no glyph, what another font has, and how much of a name fits."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from dawa_assets.ableton import fonts
from dawa_assets.ableton.fonts import FONT, drawable, face_of, families, shortened, width_of
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.timeline import draw_timeline
from tests.dawa_assets.ableton.als_factory import SetSpec, TrackSpec, write_als

# U+20E5 is in a font that comes with matplotlib beside the first one, and not in that.
_OTHER = (("matplotlib", "mpl-data/fonts/ttf/STIXGeneral.ttf"),)
_PACKAGED = fonts._PACKAGED


@pytest.fixture(autouse=True)
def _with_its_own_fonts() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    for kept in (fonts._packaged, fonts._file_of, fonts.face_of):
        kept.cache_clear()


def _with(monkeypatch: pytest.MonkeyPatch, packaged: tuple[tuple[str, str], ...]) -> None:
    monkeypatch.setattr(fonts, "_PACKAGED", packaged)


@pytest.mark.parametrize("packaged", [(), (("no_such_package", "x.ttf"),), (("matplotlib", "no such file.ttf"),)])
def test_without_a_font_for_it_a_square_stands_for_a_character(
    monkeypatch: pytest.MonkeyPatch, packaged: tuple[tuple[str, str], ...]
) -> None:
    _with(monkeypatch, packaged)
    assert drawable("A 中文 🎹 ä") == "A □□ □ ä"
    assert families("A 中文") == families("A") == [FONT]


def test_a_font_of_a_package_takes_what_the_first_one_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, _OTHER)
    assert drawable("a\u20e5中") == "a\u20e5□"
    assert (families("a\u20e5"), families("plain")) == ([FONT, "STIXGeneral"], [FONT])


@pytest.mark.parametrize("name", ["中文 吉他", "ドラム", "한국어", "🎹🔥", "हिन्दी", "ลีด"])
def test_names_in_any_script_are_drawn_with_the_fonts_installed(tmp_path: Path, name: str) -> None:
    if not all(find_spec(package) for package, _ in _PACKAGED):
        pytest.skip("the extra `fonts` is not installed")
    assert drawable(name) == name
    pictures = set()
    for number, each in enumerate((name, "□" * len(name))):
        live_set = read_live_set(write_als(tmp_path, SetSpec(tracks=[TrackSpec(name=each, clips=[(0, 64, each)])])))
        draw_timeline(live_set, tmp_path / f"{number}.png", title="t")
        pictures.add((tmp_path / f"{number}.png").read_bytes())
    assert len(pictures) == 2


def test_wide_characters_take_the_room_of_wide_ones() -> None:
    assert width_of("中文") == 2
    assert width_of("MMM") > width_of("iii") * 2
    assert width_of("bass", "bold") > width_of("bass")
    assert len(shortened("x" * 400, 18)) > len(shortened("中" * 400, 18)) > 10
    for words in ("x" * 400, "中" * 400, "中x" * 200, "i" * 400):
        short = shortened(words, 18)
        assert short.endswith("…")
        assert 16.5 < width_of(short) <= 18
    assert shortened("中文", 18) == "中文"
    assert shortened("exact", width_of("exact")) == "exact"
    assert shortened("x" * 400, 2.7) == ""


def test_a_letter_and_its_mark_are_one_where_there_is_one() -> None:
    assert drawable("u\u0308ber") == "über"
    assert drawable("tab\tnew\x00line\n") == "tab□new□line□"


def test_what_a_weight_lacks_is_taken_from_the_regular_font() -> None:
    letters = [chr(code) for code in fonts._face(fonts._first("regular")).glyphs]
    names = {(face_of(letter, "italic") or pytest.fail(letter)).path.name for letter in letters}
    assert names == {"DejaVuSans-Oblique.ttf", "DejaVuSans.ttf"}
