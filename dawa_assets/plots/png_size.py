"""Makes a PNG small enough to be shown in place: in bytes by fewer colours, then fewer pixels; or in width."""

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDEST = 1_400
_STEPS = (1.0, 0.8, 0.6, 0.45, 0.33)
_MAX_PIXELS = 60_000_000  # of ours the largest has some 6 million; a file that claims more is none of ours


def at_most(png: bytes, size: int) -> bytes | None:
    """Return the picture in at most `size` bytes; None for what is no picture or can't be made so small.

    Fonts stay readable as long as they can: colours go first.
    """
    if len(png) <= size:
        return png
    whole = _read(png)
    if whole is None:
        return None
    fitting = min(1.0, _WIDEST / whole.width)
    for step in _STEPS:
        scale = fitting * step
        resized = whole.resize((max(1, round(whole.width * scale)), max(1, round(whole.height * scale))))
        file = BytesIO()
        resized.quantize(64).save(file, format="PNG", optimize=True)
        if file.tell() <= size:
            return file.getvalue()
    return None


def no_wider_than(png: bytes, width: int) -> bytes:
    """Return the picture at most so many pixels wide; as it is where it is not wider, or is no picture of ours."""
    from PIL import Image

    whole = _read(png)
    if whole is None or whole.width <= width:
        return png
    height = max(1, round(whole.height * width / whole.width))
    file = BytesIO()
    whole.resize((width, height), Image.Resampling.LANCZOS).save(file, format="PNG")
    return file.getvalue()


def _read(png: bytes) -> "Image | None":
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(png), formats=["PNG"]) as opened:
            return opened.convert("RGB") if opened.width * opened.height <= _MAX_PIXELS else None
    except (UnidentifiedImageError, OSError, ValueError):
        return None
