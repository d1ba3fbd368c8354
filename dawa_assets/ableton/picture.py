"""The sheet that both pictures of a set are drawn on: title, a lane per track with its label, shapes and text in lanes.

Sizes are whole pixels, so that edges are sharp. What is drawn in the lanes is `timeline.py`'s and `clip_grid.py`'s.
Bounded for any set: a fixed width, a height up to `MAX_LANES_HEIGHT`, and a limit on how many names are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dawa_assets.ableton.colours import Rgb, in_bytes, mixed, rgb
from dawa_assets.ableton.lettering import Align, Style, fitted, write
from dawa_assets.ableton.live_set import LiveSet, Track

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

WIDTH = 1650
MARGIN = 33
LABELS_WIDTH = 302
LANES_WIDTH = WIDTH - LABELS_WIDTH - 2 * MARGIN
TITLE_HEIGHT = 94
LANE_HEIGHT = 30
SMALLEST_LANE_HEIGHT = 14
MAX_LANES_HEIGHT = 3520
# Below this a lane is too low for names inside its blocks.
LOWEST_LANE_WITH_NAMES = 22

BACKGROUND: Rgb = (0.115, 0.12, 0.13)
LANE: Rgb = (0.155, 0.16, 0.175)
OTHER_LANE: Rgb = (0.175, 0.18, 0.195)
LINE: Rgb = (0.30, 0.31, 0.33)
TEXT: Rgb = (0.90, 0.90, 0.91)
DIM_TEXT: Rgb = (0.60, 0.61, 0.64)
# Of what a set holds and nobody hears.
SILENT: Rgb = (0.33, 0.34, 0.355)

# Parts of a lane's height: where its blocks begin and end, and where the strip of a clip's own colour ends.
BLOCK = (0.08, 0.92)
STRIP_END = 0.24
# Names in blocks stand a little lower than half-way, clear of the strip.
NAME_MIDDLE = 0.52
NAME_X_HEIGHT = 5

_INDENT = 18
_SMOOTHING = 4


@dataclass(frozen=True, slots=True)
class Lane:
    """One track's lane; `colour` is what its blocks have."""

    track: Track
    colour: Rgb


@dataclass(frozen=True, slots=True)
class Sheet:
    """An image with its lanes laid out: `lanes_width` wide from `left`, downwards from `top`."""

    image: Image
    pencil: ImageDraw
    lanes: Sequence[Lane]
    lane_height: int
    lanes_width: int
    top: int
    hidden: int
    left: int = MARGIN + LABELS_WIDTH

    @property
    def bottom(self) -> int:
        """Where the last lane ends."""
        return self.top + len(self.lanes) * self.lane_height

    @property
    def middle(self) -> int:
        """Half-way down the lanes, or below them where there are few."""
        lanes = len(self.lanes)
        return self.top + (lanes + 3 if lanes < 3 else lanes) * self.lane_height // 2

    @property
    def writes_names(self) -> bool:
        """Whether lanes are high enough for names in them."""
        return self.lane_height >= LOWEST_LANE_WITH_NAMES

    def y(self, row: int, part: float = 0.0) -> int:
        """Return the height in the image of a place in a lane, 0 at its top and 1 at its bottom."""
        return self.top + row * self.lane_height + round(part * self.lane_height)

    def fill(self, x: int, y: int, end_x: int, end_y: int, colour: Rgb) -> None:
        """Fill a rectangle up to the pixels before its end, one pixel wide at least."""
        self.pencil.rectangle((x, y, max(end_x - 1, x), max(end_y - 1, y)), fill=in_bytes(colour))

    def block(self, x: int, y: int, end_x: int, end_y: int, colour: Rgb) -> None:
        """Fill a rectangle, but for an edge at its right where there is room: blocks often follow one another."""
        if end_x - x > 2:
            end_x -= 1
            self.fill(end_x, y, end_x + 1, end_y, BACKGROUND)
        self.fill(x, y, end_x, end_y, colour)

    def write(self, x: float, baseline: int, text: str, style: Style, align: Align = "left") -> None:
        """Write `text`, all of which fonts have."""
        write(self.image, x, baseline, text, style, align)

    def write_in_lane(
        self, x: float, row: int, text: str, style: Style, align: Align = "left", middle: float = 0.5
    ) -> None:
        """Write with the capital letters half-way down a lane, or at another part of its height."""
        write(self.image, x, self.y(row, middle) + (style.capital_height + 1) // 2, text, style, align)

    def smooth(self, place: tuple[int, int, int, int], colour: Rgb, draw: Callable[[ImageDraw, int], None]) -> None:
        """Paint what `draw` draws, for slanting lines: it is given a pencil at so many times the size of `place`."""
        from PIL import Image, ImageDraw

        left, top, right, bottom = place
        large = Image.new("L", ((right - left) * _SMOOTHING, (bottom - top) * _SMOOTHING))
        draw(ImageDraw.Draw(large), _SMOOTHING)
        self.image.paste(in_bytes(colour), place, large.reduce(_SMOOTHING))

    def name_ruler(self, unit: str) -> None:
        """Say left of the lanes what the numbers above them count."""
        self.write(self.left - 11, self.top - 8, unit, Style(5, DIM_TEXT), "right")


def lay_out(live_set: LiveSet, *, heading: str, facts: Sequence[str], above: int, beside: int = 0) -> Sheet:
    """Return a sheet with title and labelled lanes: `above` pixels free over the first lane, `beside` right of all."""
    from PIL import Image, ImageDraw

    shown = live_set.tracks[: MAX_LANES_HEIGHT // SMALLEST_LANE_HEIGHT]
    lanes = _lanes(live_set, shown)
    count = max(len(lanes), 3)
    lane_height = min(LANE_HEIGHT, MAX_LANES_HEIGHT // count)
    top = MARGIN + TITLE_HEIGHT + above
    image = Image.new("RGB", (WIDTH, top + count * lane_height + MARGIN), in_bytes(BACKGROUND))
    sheet = Sheet(
        image=image,
        pencil=ImageDraw.Draw(image),
        lanes=lanes,
        lane_height=lane_height,
        lanes_width=LANES_WIDTH - beside,
        top=top,
        hidden=len(live_set.tracks) - len(shown),
    )
    _write_title(sheet, heading, facts)
    _label_lanes(sheet)
    return sheet


def _lanes(live_set: LiveSet, shown: Sequence[Track]) -> list[Lane]:
    """Live 8 gives every track the same colour; then each takes the next of the palette, to tell them apart."""
    chosen = {track.colour for track in live_set.tracks if track.type in {"MIDI", "Audio"}}
    if len(shown) > 2 and len(chosen) == 1:
        return [Lane(track, rgb(track.index * 5 % 13)) for track in shown]
    return [Lane(track, rgb(track.colour)) for track in shown]


def _write_title(sheet: Sheet, heading: str, facts: Sequence[str]) -> None:
    room = WIDTH - 2 * MARGIN
    for text, baseline, style in (
        (heading, MARGIN + 18, Style(13, TEXT, "bold")),
        ("   ·   ".join(facts), MARGIN + 51, Style(8, DIM_TEXT)),
    ):
        sheet.write(MARGIN, baseline, fitted(text, room, style), style)


def _label_lanes(sheet: Sheet) -> None:
    x_height = min(7, max(4, round(sheet.lane_height * 0.34)))
    for row, lane in enumerate(sheet.lanes):
        track = lane.track
        left = MARGIN + track.level * _INDENT
        band = LANE if row % 2 else OTHER_LANE
        sheet.fill(sheet.left, sheet.y(row, 0.04), sheet.left + sheet.lanes_width, sheet.y(row, 0.96), band)
        sheet.fill(left, sheet.y(row, 0.16), left + 8, sheet.y(row, 0.84), lane.colour)
        style = Style(
            x_height,
            TEXT if track.type in {"MIDI", "Audio"} else mixed(lane.colour, TEXT, 0.35),
            "bold" if track.type == "Group" else "italic" if track.type == "Return" else "regular",
        )
        room = LABELS_WIDTH - track.level * _INDENT - 62
        sheet.write_in_lane(left + 15, row, fitted(track.name, room, style), style)
        sheet.write_in_lane(sheet.left - 11, row, _KINDS[track.type], Style(max(4, x_height - 2), DIM_TEXT), "right")
    if sheet.hidden:
        text = f"… and {sheet.hidden:,} more tracks"
        sheet.write(WIDTH / 2, sheet.image.height - 11, text, Style(7, DIM_TEXT), "centre")


_KINDS = {"MIDI": "midi", "Audio": "audio", "Group": "group", "Return": "return"}
