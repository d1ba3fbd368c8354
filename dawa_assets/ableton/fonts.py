"""Which fonts names are drawn with, and how much room they take: names of sets are in any script, and in emoji.

The first font comes with matplotlib, so that a picture is the same on every machine. The others come with packages of
the extra `fonts`; where they are not installed, a square stands for what the first does not have.
"""

import unicodedata
from functools import cache
from importlib.resources import files
from pathlib import Path

FONT = "DejaVu Sans"
# Each where the ones before it have nothing: Chinese, Japanese, Korean; emoji; scripts that a name may be in.
_PACKAGED = (
    ("noto_cjk_sans_jp_regular", "NotoSansCJKjp-Regular.otf"),
    ("manimgx_fonts", "NotoEmoji[wght].ttf"),
    ("manimgx_fonts", "NotoSansDevanagari[wght].ttf"),
    ("manimgx_fonts", "NotoSansThai[wght].ttf"),
)
_MISSING = "\N{WHITE SQUARE}"
# Mean width of a character, in parts of the font size: of most scripts, and of those that fill a square.
_NARROW, _WIDE = 0.58, 1.0


def drawable(text: str) -> str:
    """`words` with a square for every character that no font has."""
    missing = {ord(letter) for letter in text} - _glyphs()
    if missing:
        missing.difference_update(*(glyphs for _, glyphs in _packaged()))
    return "".join(_MISSING if ord(letter) in missing else letter for letter in text)


def families(text: str) -> list[str]:
    """Return the fonts to draw `words` with, the first before all others."""
    if not {ord(letter) for letter in text} - _glyphs():
        return [FONT]
    return [FONT, *(family for family, _ in _packaged())]


def width_of(text: str) -> float:
    """About how wide `words` are, in parts of the font size."""
    return sum(_WIDE if unicodedata.east_asian_width(letter) in "WF" else _NARROW for letter in text)


def shortened(text: str, width: float, size: float) -> str:
    """`words` cut to about `width` inches at `size` points; empty if nothing readable is left."""
    room = width * 72 / size
    if width_of(text) <= room:
        return text
    kept, taken = 0, _NARROW  # of the dots
    for letter in text:
        taken += width_of(letter)
        if taken > room:
            break
        kept += 1
    return text[:kept].rstrip() + "…" if room >= 7 * _NARROW else ""


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FONT)).get_charmap())


@cache
def _packaged() -> tuple[tuple[str, frozenset[int]], ...]:
    """Name and characters of each font that is installed, once matplotlib knows of it."""
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    found = []
    for package, name in _PACKAGED:
        try:
            path = Path(str(files(package).joinpath(name)))
        except ModuleNotFoundError:
            continue
        if path.is_file():
            fontManager.addfont(path)
            found.append((FontProperties(fname=path).get_name(), frozenset(get_font(path).get_charmap())))
    return tuple(found)
