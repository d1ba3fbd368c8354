"""Session clips, tracks as lanes and scenes as columns: a set's whole picture, or a strip beside an arrangement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dawa_assets.ableton.colours import Rgb, ink_on, mixed, rgb
from dawa_assets.ableton.fonts import FONT, shortened
from dawa_assets.ableton.live_set import LiveSet, Track
from dawa_assets.ableton.picture import (
    BACKGROUND,
    DIM_TEXT,
    LANES_WIDTH,
    LINE,
    SILENT,
    WIDTH,
    Sheet,
    lay_out,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_COLUMNS = 200
FEWEST_COLUMNS = 8
MAX_NAMES = 800
MAX_STRIP_COLUMNS = 24

_GAP = 0.2
_STRIP_CELL, _NARROWEST_STRIP, _WIDEST_STRIP = 0.3, 0.5, 1.5
_HEADER = 0.3
_NAME_SIZE = 6.2


def draw_clip_grid(live_set: LiveSet, heading: str, facts: Sequence[str]) -> Figure:
    """Return the grid up to the last scene that has a clip, at most `MAX_COLUMNS` wide."""
    used = 1 + max((clip.slot for track in live_set.tracks for clip in track.session_clips), default=0)
    columns = min(max(used, FEWEST_COLUMNS), MAX_COLUMNS)
    facts = [*facts, f"first {columns} of {used:,} scenes"] if used > columns else facts
    sheet = lay_out(live_set, heading=heading, facts=facts, above=_HEADER)
    sheet.axes.set_xlim(0, columns)
    sheet.name_ruler("scene")
    _draw_scenes(sheet, live_set, columns)
    _draw_slots(sheet, columns)
    _draw_clips(sheet, columns)
    return sheet.figure


def strip_width(tracks: Iterable[Track]) -> float:
    """Return how many inches the strip of these tracks' session clips takes right of the lanes.

    0 where there are none.
    """
    scenes = len({clip.slot for track in tracks for clip in track.session_clips})
    return _GAP + min(max(_STRIP_CELL * scenes, _NARROWEST_STRIP), _WIDEST_STRIP) if scenes else 0.0


def draw_clip_strip(sheet: Sheet) -> None:
    """What the session view holds beside an arrangement, hollow, as none of it is part of the song.

    Columns are the scenes with clips, at most `MAX_STRIP_COLUMNS`.
    """
    from matplotlib.collections import PolyCollection

    scenes = sorted({clip.slot for lane in sheet.lanes for clip in lane.track.session_clips})
    columns = {slot: column for column, slot in enumerate(scenes[:MAX_STRIP_COLUMNS])}
    if not columns:
        return
    width = min(_STRIP_CELL * len(columns), _WIDEST_STRIP)
    place = sheet.axes.get_position()
    axes = sheet.figure.add_axes((place.x1 + _GAP / WIDTH, place.y0, width / WIDTH, place.height))
    axes.set_facecolor(BACKGROUND)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(sheet.axes.get_ylim())
    axes.set_axis_off()
    cells: list[Any] = []
    fills: list[Rgb] = []
    edges: list[Rgb] = []
    for row, lane in enumerate(sheet.lanes):
        for clip in lane.track.session_clips:
            if clip.slot in columns:
                colour = lane.colour if lane.track.audible and clip.heard else SILENT
                cells.append(_cell(row, columns[clip.slot]))
                fills.append(mixed(colour, BACKGROUND, 0.75))
                edges.append(colour)
    axes.add_collection(PolyCollection(cells, facecolors=fills, edgecolors=edges, linewidths=0.8), autolim=False)
    axes.plot([0, len(columns)], [0, 0], color=LINE, linewidth=1, clip_on=False)
    hidden = len(scenes) - len(columns)
    label = f"session, {hidden:,} scenes more" if hidden else "session"
    style: dict[str, Any] = {"va": "bottom", "size": 7.5, "color": DIM_TEXT, "family": FONT}
    axes.text(0, -0.07 / sheet.lane_height, label, **style)


def _draw_scenes(sheet: Sheet, live_set: LiveSet, columns: int) -> None:
    width = LANES_WIDTH / columns
    every = max(1, round(0.3 / width))
    for column in range(0, columns, every):
        name = live_set.scenes[column].strip() if column < len(live_set.scenes) else ""
        number = str(column + 1)
        label = shortened(number if name in {"", number} else f"{number} {name}", width * every - 0.05, 7.5) or number
        sheet.write(
            column + 0.5,
            -0.08 / sheet.lane_height,
            label,
            ha="center",
            va="bottom",
            size=7.5,
            color=DIM_TEXT,
        )


def _draw_slots(sheet: Sheet, columns: int) -> None:
    from matplotlib.collections import PolyCollection

    slots = [
        _cell(row, column)
        for row, lane in enumerate(sheet.lanes)
        for column in range(columns)
        if lane.track.type in {"MIDI", "Audio"}
    ]
    sheet.axes.add_collection(
        PolyCollection(slots, facecolors=[_EMPTY], edgecolors=[BACKGROUND], linewidths=0.5, zorder=2), autolim=False
    )


_EMPTY: Rgb = (0.205, 0.21, 0.225)


def _draw_clips(sheet: Sheet, columns: int) -> None:
    """Blocks in the track's colour, grey where nothing is heard; a clip's own colour is a strip on top."""
    from matplotlib.collections import PolyCollection

    blocks: list[Any] = []
    fills: list[Rgb] = []
    strips: list[Any] = []
    strip_fills: list[Rgb] = []
    names = 0
    for row, lane in enumerate(sheet.lanes):
        for clip in lane.track.session_clips:
            if clip.slot >= columns:
                continue
            blocks.append(_cell(row, clip.slot))
            is_audible = lane.track.audible and clip.heard
            fills.append(lane.colour if is_audible else SILENT)
            if is_audible and clip.colour is not None and rgb(clip.colour) != lane.colour:
                strips.append(_cell(row, clip.slot, bottom=0.24))
                strip_fills.append(rgb(clip.colour))
            label = shortened(clip.name, LANES_WIDTH / columns - 0.1, _NAME_SIZE)
            if label and sheet.writes_names and names < MAX_NAMES:
                names += 1
                sheet.write(
                    clip.slot + 0.05 * columns / LANES_WIDTH + 0.03,
                    row + 0.57,
                    label,
                    va="center",
                    size=_NAME_SIZE,
                    color=ink_on(lane.colour if is_audible else SILENT),
                    zorder=4,
                )
    sheet.axes.add_collection(
        PolyCollection(blocks, facecolors=fills, edgecolors=[BACKGROUND], linewidths=0.6, zorder=3), autolim=False
    )
    sheet.axes.add_collection(PolyCollection(strips, facecolors=strip_fills, linewidths=0, zorder=3.5), autolim=False)


def _cell(row: int, column: int, bottom: float = 0.92) -> list[tuple[float, float]]:
    top = row + 0.08
    return [(column + 0.02, top), (column + 0.98, top), (column + 0.98, row + bottom), (column + 0.02, row + bottom)]
