"""Which fonts names are drawn with, and how much room they take: names of sets are in any script, and in emoji.

The first font comes with matplotlib, so that a picture is the same on every machine. The others come with packages of
the extra `fonts`; where they are not installed, a square stands for what the first does not have. Widths are in ems,
which are parts of the font size.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Weight = Literal["regular", "bold", "italic"]

FONT = "DejaVu Sans"
X_HEIGHT = 1120 / 2048
"""Of the first font in all its weights, in ems."""

_FIRST: Mapping[Weight, str] = {
    "regular": "DejaVuSans.ttf",
    "bold": "DejaVuSans-Bold.ttf",
    "italic": "DejaVuSans-Oblique.ttf",
}
# Each where the ones before it have nothing: Chinese, Japanese, Korean; emoji; scripts that a name may be in.
_PACKAGED = (
    ("noto_cjk_sans_jp_regular", "NotoSansCJKjp-Regular.otf"),
    ("manimgx_fonts", "NotoEmoji[wght].ttf"),
    ("manimgx_fonts", "NotoSansDevanagari[wght].ttf"),
    ("manimgx_fonts", "NotoSansThai[wght].ttf"),
)
_MISSING = "\N{WHITE SQUARE}"
# About the width of a character that the first font lacks, in ems: of those that fill a square, and of others.
_WIDE, _NARROW = 1.0, 0.58
# A cut name shows this much at least.
_LEAST_ROOM = 7 * _NARROW


@dataclass(frozen=True, eq=False, slots=True)
class Face:
    """A font's file: the glyph of each character, and by how many ems two glyphs move apart where it says so."""

    path: Path
    units_per_em: int
    glyphs: Mapping[int, str]
    kerning: Mapping[tuple[str, str], float]


def drawable(text: str) -> str:
    """`text` with a square for every character that no font has, and a letter and its marks as one where there is one.

    Names of files from a Mac have their umlauts in two parts.
    """
    if text.isascii() and text.isprintable():
        return text
    text = unicodedata.normalize("NFC", text)
    return "".join(letter if face_of(letter, "regular") else _MISSING for letter in text)


def families(text: str) -> list[str]:
    """Return matplotlib's names of the fonts to draw `text` with, the first before all others."""
    if all(ord(letter) in _face(_first("regular")).glyphs for letter in text):
        return [FONT]
    from matplotlib.font_manager import FontProperties, fontManager

    names = []
    for face in _packaged():
        fontManager.addfont(face.path)
        names.append(FontProperties(fname=face.path).get_name())
    return [FONT, *names]


def faces(weight: Weight) -> tuple[Face, ...]:
    """Return the fonts of a weight: each has what those before it lack."""
    first = (_face(_first(weight)),)
    return (*first, *(() if weight == "regular" else (_face(_first("regular")),)), *_packaged())


@lru_cache(maxsize=8192)
def face_of(letter: str, weight: Weight) -> Face | None:
    """Return the font that a character is drawn with, or None if no font has it, or it is one of control."""
    if unicodedata.category(letter) == "Cc":  # some fonts have glyphs for these
        return None
    return next((face for face in faces(weight) if ord(letter) in face.glyphs), None)


@lru_cache(maxsize=16384)
def kerning(left: str, right: str, weight: Weight) -> float:
    """Return what the first font adds between two characters, in ems: usually less than nothing."""
    face = _face(_first(weight))
    pair = face.glyphs.get(ord(left), ""), face.glyphs.get(ord(right), "")
    return face.kerning.get(pair, 0.0)


@lru_cache(maxsize=8192)
def advance_of(letter: str, weight: Weight = "regular") -> float:
    """Return how far a character moves the pen, in ems; roughly, where the first font lacks it.

    So names are cut at the same place whatever fonts are installed.
    """
    face = _face(_first(weight))
    if ord(letter) in face.glyphs:
        return sized(face, face.units_per_em).getlength(letter) / face.units_per_em
    if unicodedata.combining(letter) or unicodedata.category(letter) in {"Mn", "Me", "Cf"}:
        return 0.0
    return _WIDE if unicodedata.east_asian_width(letter) in "WF" else _NARROW


def width_of(text: str, weight: Weight = "regular") -> float:
    """Return about how wide `text` is, in ems."""
    return sum(advance_of(letter, weight) for letter in text)


def shortened(text: str, room: float, weight: Weight = "regular") -> str:
    """`text` cut to `room` ems; empty if nothing readable is left."""
    dots = advance_of("…", weight)
    kept, taken = 0, 0.0
    for place, letter in enumerate(text, 1):
        taken += advance_of(letter, weight)
        if taken > room:
            return text[:kept].rstrip() + "…" if room >= _LEAST_ROOM else ""
        if taken + dots <= room:
            kept = place
    return text


@lru_cache(maxsize=64)
def sized(face: Face, size: float) -> "FreeTypeFont":
    """Return a font for Pillow, at `size` pixels to the em; letters stand alone, without what machines differ in."""
    from PIL import ImageFont

    # The other layout needs a library that Pillow finds on some machines only.
    return ImageFont.truetype(face.path, size, layout_engine=ImageFont.Layout.BASIC)


def _first(weight: Weight) -> Path:
    """Find the font without importing matplotlib, which takes half a second."""
    return _file_of("matplotlib", f"mpl-data/fonts/ttf/{_FIRST[weight]}") or Path(_FIRST[weight])


@cache
def _file_of(package: str, name: str) -> Path | None:
    found = find_spec(package)
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder) / name
        if path.is_file():
            return path
    return None


@cache
def _packaged() -> tuple[Face, ...]:
    """The fonts that are installed beside the first one."""
    paths = (_file_of(package, name) for package, name in _PACKAGED)
    return tuple(_face(path) for path in paths if path is not None)


@cache
def _face(path: Path) -> Face:
    from fontTools.ttLib import TTFont

    with TTFont(path, lazy=True) as font:
        units = font["head"].unitsPerEm
        tables = font["kern"].kernTables if "kern" in font else []
        pairs = {pair: units_apart / units for table in tables for pair, units_apart in table.kernTable.items()}
        return Face(path, units, font.getBestCmap(), pairs)
