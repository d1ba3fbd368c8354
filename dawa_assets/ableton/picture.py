"""The sheet that both pictures of a set are drawn on: title, a lane per track with its label, safe text.

Sizes are inches. What is drawn in the lanes is `timeline.py`'s and `clip_grid.py`'s. Bounded for any set: a
fixed width, a height up to `MAX_LANES_HEIGHT`, and a limit on how many names are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawa_assets.ableton.colours import Rgb, mixed, rgb
from dawa_assets.ableton.fonts import FONT, drawable, families, shortened
from dawa_assets.ableton.live_set import LiveSet, Track
from modal_app.data_root.atomic_writes import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
WIDTH = 15.0
LABELS_WIDTH = 2.75
MARGIN = 0.3
TITLE_HEIGHT = 0.85
LANE_HEIGHT = 0.27
SMALLEST_LANE_HEIGHT = 0.13
MAX_LANES_HEIGHT = 32.0
LANES_WIDTH = WIDTH - LABELS_WIDTH - 2 * MARGIN
# Below this a lane is too low for names inside its blocks.
LOWEST_LANE_WITH_NAMES = 0.2

BACKGROUND: Rgb = (0.115, 0.12, 0.13)
LANE: Rgb = (0.155, 0.16, 0.175)
OTHER_LANE: Rgb = (0.175, 0.18, 0.195)
LINE: Rgb = (0.30, 0.31, 0.33)
TEXT: Rgb = (0.90, 0.90, 0.91)
DIM_TEXT: Rgb = (0.60, 0.61, 0.64)
# Of what a set holds and nobody hears.
SILENT: Rgb = (0.33, 0.34, 0.355)

_INDENT = 0.16


@dataclass(frozen=True, slots=True)
class Lane:
    """One track's lane; `colour` is what its blocks have."""

    track: Track
    colour: Rgb


@dataclass(frozen=True, slots=True)
class Sheet:
    """A figure with its lanes laid out; in `axes`, `lanes_width` wide, lane i spans y = i .. i + 1 downwards."""

    figure: Figure
    axes: Axes
    lanes: Sequence[Lane]
    lane_height: float
    lanes_width: float
    hidden: int

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """Text at data coordinates, whatever characters it is made of."""
        text = drawable(text)
        self.axes.text(x, y, text, parse_math=False, family=families(text), **style)

    def name_ruler(self, unit: str) -> None:
        """Say left of the lanes what the numbers above them count."""
        self.axes.text(
            -0.1 / self.lanes_width,
            -0.08 / self.lane_height,
            unit,
            transform=self.axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            size=6.5,
            color=DIM_TEXT,
            family=FONT,
        )

    @property
    def writes_names(self) -> bool:
        """Whether lanes are high enough for names in them."""
        return self.lane_height >= LOWEST_LANE_WITH_NAMES


def lay_out(live_set: LiveSet, *, heading: str, facts: Sequence[str], above: float, beside: float = 0.0) -> Sheet:
    """Return a sheet with title and labelled lanes: `above` inches free over the first lane, `beside` right of all."""
    from matplotlib.figure import Figure

    shown = live_set.tracks[: int(MAX_LANES_HEIGHT / SMALLEST_LANE_HEIGHT)]
    lanes = _lanes(live_set, shown)
    count = max(len(lanes), 3)
    lane_height = min(LANE_HEIGHT, MAX_LANES_HEIGHT / count)
    height = TITLE_HEIGHT + above + count * lane_height + 2 * MARGIN
    lanes_width = LANES_WIDTH - beside
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=BACKGROUND)
    axes = figure.add_axes(
        (
            (MARGIN + LABELS_WIDTH) / WIDTH,
            MARGIN * 1.1 / height,
            lanes_width / WIDTH,
            count * lane_height / height,
        )
    )
    axes.set_facecolor(BACKGROUND)
    axes.set_ylim(count, 0)
    axes.set_yticks([])
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    sheet = Sheet(figure, axes, lanes, lane_height, lanes_width, len(live_set.tracks) - len(shown))
    _write_title(sheet, heading, facts, height)
    _label_lanes(sheet)
    return sheet


def save(figure: Figure, target: Path) -> None:
    """Write the PNG at once or not at all, and take the figure apart; the same figure gives the same bytes."""
    with atomic_path(target) as half:
        figure.savefig(half, format="png", facecolor=BACKGROUND, metadata={"Software": None})
    # A figure is a circle of what it consists of, each text with the pixels (up to 24 MB) that it was drawn on. Whole,
    # it would stay until the garbage collector comes by, with a dozen others where many sets are taken in.
    for part in figure.findobj():
        vars(part).clear()


def _lanes(live_set: LiveSet, shown: Sequence[Track]) -> list[Lane]:
    """Live 8 gives every track the same colour; then each takes the next of the palette, to tell them apart."""
    chosen = {track.colour for track in live_set.tracks if track.type in {"MIDI", "Audio"}}
    if len(shown) > 2 and len(chosen) == 1:
        return [Lane(track, rgb(track.index * 5 % 13)) for track in shown]
    return [Lane(track, rgb(track.colour)) for track in shown]


def _write_title(sheet: Sheet, heading: str, facts: Sequence[str], height: float) -> None:
    left = MARGIN / WIDTH
    style: dict[str, Any] = {"parse_math": False, "va": "top"}
    title, line = drawable(shortened(heading, WIDTH - 2 * MARGIN, 15)), drawable("   ·   ".join(facts))
    sheet.figure.text(
        left, 1 - MARGIN / height, title, size=15, weight="bold", color=TEXT, family=families(title), **style
    )
    sheet.figure.text(
        left, 1 - (MARGIN + 0.36) / height, line, size=9.5, color=DIM_TEXT, family=families(line), **style
    )


def _label_lanes(sheet: Sheet) -> None:
    from matplotlib.collections import PolyCollection

    per_inch = 1 / sheet.lanes_width
    chips: list[Any] = []
    colours: list[Rgb] = []
    bands: list[Any] = []
    size = min(8.5, sheet.lane_height * 72 * 0.62)
    for row, lane in enumerate(sheet.lanes):
        track = lane.track
        left = (-LABELS_WIDTH + track.level * _INDENT) * per_inch
        chips.append(_box(left, row + 0.16, 0.07 * per_inch, 0.68))
        colours.append(lane.colour)
        bands.append(_box(0, row + 0.04, 1, 0.92))
        room = LABELS_WIDTH - track.level * _INDENT - 0.65
        name = drawable(shortened(track.name, room, size))
        sheet.axes.text(
            left + 0.14 * per_inch,
            row + 0.5,
            name,
            transform=_lane_transform(sheet),
            va="center",
            size=size,
            color=TEXT if track.type in {"MIDI", "Audio"} else mixed(lane.colour, TEXT, 0.35),
            weight="bold" if track.type == "Group" else "normal",
            style="italic" if track.type == "Return" else "normal",
            family=families(name),
            parse_math=False,
        )
        sheet.axes.text(
            -0.1 * per_inch,
            row + 0.5,
            _KINDS[track.type],
            transform=_lane_transform(sheet),
            va="center",
            ha="right",
            size=size * 0.7,
            color=DIM_TEXT,
            family=FONT,
        )
    fills = [LANE if row % 2 else OTHER_LANE for row in range(len(bands))]
    for boxes, fill, order in ((bands, fills, 0), (chips, colours, 1)):
        sheet.axes.add_collection(
            PolyCollection(
                boxes, facecolors=fill, linewidths=0, transform=_lane_transform(sheet), clip_on=False, zorder=order
            ),
            autolim=False,
        )
    if sheet.hidden:
        sheet.figure.text(
            0.5, 0.1 / sheet.figure.get_figheight(), f"… and {sheet.hidden:,} more tracks", size=9, color=DIM_TEXT
        )


_KINDS = {"MIDI": "midi", "Audio": "audio", "Group": "group", "Return": "return"}


def _lane_transform(sheet: Sheet) -> Any:
    """X in parts of the lanes' width, y in lanes."""
    return sheet.axes.get_yaxis_transform()


def _box(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
