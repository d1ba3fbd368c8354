"""Text on a picture: letters are drawn at four times their size, made smaller and kept, and texts are put together.

Scripts whose letters change with their neighbours, or that run from right to left, are laid out by matplotlib, which
brings HarfBuzz and is imported for them only.
"""

from __future__ import annotations

import logging
import math
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from dawa_assets.ableton.colours import Rgb, in_bytes
from dawa_assets.ableton.fonts import (
    X_HEIGHT,
    Weight,
    advance_of,
    drawable,
    face_of,
    faces,
    kerning,
    shortened,
    sized,
)

if TYPE_CHECKING:
    from PIL.Image import Image

Align = Literal["left", "centre", "right"]

_SCALE = 4
# Blocks that are put together without marks: parts of Korean syllables, halves of flags, tones of skin.
_JOINING = (
    range(0x1100, 0x1200),
    range(0xA960, 0xA980),
    range(0xD7B0, 0xD800),
    range(0x1F1E6, 0x1F200),
    range(0x1F3FB, 0x1F400),
)


class Style(NamedTuple):
    """How a text looks. Letters like x are `x_height` whole pixels high, which keeps them sharp without hinting."""

    x_height: int
    colour: Rgb
    weight: Weight = "regular"

    @property
    def size(self) -> float:
        """Pixels to the em."""
        return self.x_height / X_HEIGHT

    @property
    def capital_height(self) -> int:
        """Height of capital letters in pixels."""
        return round(self.x_height * 4 / 3)


class _Ink(NamedTuple):
    """Opacity of a letter or of a line; the pixel at its upper left, seen from where the pen starts on the baseline."""

    opacity: Image
    left: int
    top: int


def fitted(text: str, room: float, style: Style) -> str:
    """Return what of `text` can be drawn, in `room` pixels; empty if nothing readable is left."""
    return shortened(drawable(text), room / style.size, style.weight)


def width_in(text: str, style: Style) -> float:
    """Return how wide `text`, all of which fonts have, is drawn, in pixels."""
    if _needs_shaping(text):
        return _shaped(text, style.weight, style.x_height)[1]
    spacing = sum(kerning(*pair, style.weight) for pair in pairwise(text))
    return (sum(_advance(letter, style.weight) for letter in text) + spacing) * style.size


def write(image: Image, x: float, baseline: int, text: str, style: Style, align: Align = "left") -> None:
    """Write `text`, all of which fonts have, at a place in pixels; what is outside of the image is left out."""
    if align != "left":
        x -= width_in(text, style) * (1 if align == "right" else 0.5)
    colour = in_bytes(style.colour)
    if _needs_shaping(text):
        _paint(image, round(x), baseline, _shaped(text, style.weight, style.x_height)[0], colour)
        return
    previous = ""
    for letter in text:
        if previous:
            x += kerning(previous, letter, style.weight) * style.size
        pixel, part = divmod(round(x * _SCALE), _SCALE)
        _paint(image, pixel, baseline, _letter(letter, style.weight, style.x_height, part), colour)
        x += _advance(letter, style.weight) * style.size
        previous = letter


def _paint(image: Image, x: int, y: int, ink: _Ink | None, colour: tuple[int, int, int]) -> None:
    if ink is not None:
        left, top = x + ink.left, y + ink.top
        image.paste(colour, (left, top, left + ink.opacity.width, top + ink.opacity.height), ink.opacity)


@lru_cache(maxsize=8192)
def _advance(letter: str, weight: Weight) -> float:
    """Return how far the font that a character is drawn with moves the pen, in ems."""
    face = face_of(letter, weight)
    return sized(face, face.units_per_em).getlength(letter) / face.units_per_em if face else advance_of(letter, weight)


@lru_cache(maxsize=4096)
def _letter(letter: str, weight: Weight, x_height: int, part: int) -> _Ink | None:
    """Draw a letter, the pen `part` quarters right of a pixel's edge; None where it leaves no ink."""
    from PIL import Image, ImageDraw

    face = face_of(letter, weight)
    if face is None:
        return None
    font = sized(face, x_height / X_HEIGHT * _SCALE)
    left, top, right, bottom = font.getbbox(letter, anchor="ls")
    first, above = math.floor((left + part) / _SCALE), math.floor(top / _SCALE)
    width, height = math.ceil((right + part) / _SCALE) - first, math.ceil(bottom / _SCALE) - above
    if width <= 0 or height <= 0:
        return None
    large = Image.new("L", (width * _SCALE, height * _SCALE))
    place = part - first * _SCALE, -above * _SCALE
    ImageDraw.Draw(large).text(place, letter, fill=255, font=font, anchor="ls")
    return _Ink(large.reduce(_SCALE), first, above)


def _needs_shaping(text: str) -> bool:
    return not text.isascii() and not all(map(_stands_alone, text))


@lru_cache(maxsize=8192)
def _stands_alone(letter: str) -> bool:
    """Whether a character is drawn the same beside any other, from left to right."""
    return (
        unicodedata.category(letter)[0] not in "MC"
        and unicodedata.bidirectional(letter) not in {"R", "AL", "AN"}
        and not any(ord(letter) in block for block in _JOINING)
    )


@lru_cache(maxsize=256)
def _shaped(text: str, weight: Weight, x_height: int) -> tuple[_Ink | None, float]:
    """Lay out and draw a line of any scripts; its ink, and its width in pixels."""
    # It says at length when it first makes its font cache or finds no home for it; neither is the user's affair.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.font_manager import get_font
    from matplotlib.ft2font import LoadFlags
    from PIL import Image

    font = get_font([str(face.path) for face in faces(weight)])
    font.clear()
    font.set_size(x_height / X_HEIGHT * _SCALE, 72)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    font.draw_glyphs_to_bitmap(antialiased=True)
    drawn = Image.fromarray(font.get_image())
    left, top = round(font.get_bitmap_offset()[0] / 64), round(font.get_descent() / 64) - drawn.height
    first, above = left // _SCALE, top // _SCALE
    width, height = -(-(left + drawn.width) // _SCALE) - first, -(-(top + drawn.height) // _SCALE) - above
    large = Image.new("L", (max(1, width) * _SCALE, max(1, height) * _SCALE))
    large.paste(drawn, (left - first * _SCALE, top - above * _SCALE))
    return _Ink(large.reduce(_SCALE), first, above), font.get_width_height()[0] / 64 / _SCALE
