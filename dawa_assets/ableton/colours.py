"""Colours for Live's palette of 70: 14 hues in five rows, the last column grey.

Approximations made here by rule; what matters is that tracks that differ in Live differ in the picture, with
the same family of colour.
"""

import colorsys
from functools import lru_cache

Rgb = tuple[float, float, float]

COLUMNS = 14
# Degrees, from Live's pink to its magenta; the fourteenth column is grey.
_HUES = (350, 28, 42, 54, 72, 110, 140, 168, 192, 212, 232, 268, 318)
# Saturation, value, and the grey's value for each row: soft, strong, pale, muted, dark.
_ROWS = ((0.52, 1.0, 1.0), (0.82, 0.93, 0.82), (0.28, 0.95, 0.68), (0.45, 0.76, 0.52), (0.70, 0.60, 0.36))
PALETTE_SIZE = COLUMNS * len(_ROWS)

NEUTRAL: Rgb = (0.62, 0.64, 0.68)


def rgb(index: int | None) -> Rgb:
    """Return the colour for a palette index, a neutral grey for None; components 0..1."""
    if index is None:
        return NEUTRAL
    row, column = divmod(index % PALETTE_SIZE, COLUMNS)
    saturation, value, grey = _ROWS[row]
    if column == COLUMNS - 1:
        return (grey, grey, grey)
    return colorsys.hsv_to_rgb(_HUES[column] / 360, saturation, value)


def mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """`one` with `share` (0..1) of `other` mixed in."""
    red, green, blue = (a * (1 - share) + b * share for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def ink_on(colour: Rgb) -> Rgb:
    """Near-black or near-white, whichever reads better on `colour` (relative luminance, Rec. 709)."""
    red, green, blue = colour
    return (0.07, 0.07, 0.08) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.42 else (0.97, 0.97, 0.97)


@lru_cache(maxsize=1024)
def in_bytes(colour: Rgb) -> tuple[int, int, int]:
    """Return the components as 0..255."""
    red, green, blue = colour
    return round(red * 255), round(green * 255), round(blue * 255)
