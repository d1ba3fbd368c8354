"""Session clips, tracks as lanes and scenes as columns: a set's whole picture, or a strip beside an arrangement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from dawa_assets.ableton.colours import Rgb, in_bytes, ink_on, mixed, rgb
from dawa_assets.ableton.lettering import Style, fitted
from dawa_assets.ableton.live_set import LiveSet, Track
from dawa_assets.ableton.picture import (
    BACKGROUND,
    BLOCK,
    DIM_TEXT,
    LANES_WIDTH,
    LINE,
    NAME_MIDDLE,
    NAME_X_HEIGHT,
    SILENT,
    STRIP_END,
    Sheet,
    lay_out,
)

MAX_COLUMNS = 200
FEWEST_COLUMNS = 8
MAX_NAMES = 800
MAX_STRIP_COLUMNS = 24

_GAP = 22
_STRIP_CELL, _NARROWEST_STRIP, _WIDEST_STRIP = 33, 55, 165
_HEADER = 33
_NUMBERS = Style(6, DIM_TEXT)
_EMPTY: Rgb = (0.205, 0.21, 0.225)


def draw_clip_grid(live_set: LiveSet, heading: str, facts: Sequence[str]) -> Sheet:
    """Draw the grid up to the last scene that has a clip, at most `MAX_COLUMNS` wide."""
    used = 1 + max((clip.slot for track in live_set.tracks for clip in track.session_clips), default=0)
    columns = min(max(used, FEWEST_COLUMNS), MAX_COLUMNS)
    facts = [*facts, f"first {columns} of {used:,} scenes"] if used > columns else facts
    sheet = lay_out(live_set, heading=heading, facts=facts, above=_HEADER)
    sheet.name_ruler("scene")
    edges = [sheet.left + round(LANES_WIDTH * column / columns) for column in range(columns + 1)]
    _write_scenes(sheet, live_set, edges)
    _draw_slots(sheet, edges)
    _draw_clips(sheet, edges)
    return sheet


def strip_width(tracks: Iterable[Track]) -> int:
    """Return how many pixels the strip of these tracks' session clips takes right of the lanes.

    0 where there are none.
    """
    scenes = len({clip.slot for track in tracks for clip in track.session_clips})
    return _GAP + min(max(_STRIP_CELL * scenes, _NARROWEST_STRIP), _WIDEST_STRIP) if scenes else 0


def draw_clip_strip(sheet: Sheet) -> None:
    """Draw what the session view holds beside an arrangement, hollow, as none of it is part of the song.

    Columns are the scenes with clips, at most `MAX_STRIP_COLUMNS`.
    """
    scenes = sorted({clip.slot for lane in sheet.lanes for clip in lane.track.session_clips})
    columns = {slot: column for column, slot in enumerate(scenes[:MAX_STRIP_COLUMNS])}
    if not columns:
        return
    left, width = sheet.left + sheet.lanes_width + _GAP, min(_STRIP_CELL * len(columns), _WIDEST_STRIP)
    edges = [left + round(width * column / len(columns)) for column in range(len(columns) + 1)]
    for row, lane in enumerate(sheet.lanes):
        for clip in lane.track.session_clips:
            if clip.slot in columns:
                colour = lane.colour if lane.track.audible and clip.heard else SILENT
                column = columns[clip.slot]
                sheet.pencil.rectangle(
                    (edges[column], sheet.y(row, BLOCK[0]), edges[column + 1] - 2, sheet.y(row, BLOCK[1]) - 1),
                    fill=in_bytes(mixed(colour, BACKGROUND, 0.75)),
                    outline=in_bytes(colour),
                )
    sheet.fill(left, sheet.top - 1, left + width, sheet.top + 1, LINE)
    hidden = len(scenes) - len(columns)
    label = f"session, {hidden:,} scenes more" if hidden else "session"
    sheet.write(left, sheet.top - 8, label, _NUMBERS)


def _write_scenes(sheet: Sheet, live_set: LiveSet, edges: Sequence[int]) -> None:
    columns = len(edges) - 1
    every = max(1, round(33 * columns / LANES_WIDTH))
    room = LANES_WIDTH / columns * every - 6
    for column in range(0, columns, every):
        name = live_set.scenes[column].strip() if column < len(live_set.scenes) else ""
        number = str(column + 1)
        label = fitted(number if name in {"", number} else f"{number} {name}", room, _NUMBERS) or number
        sheet.write((edges[column] + edges[column + 1]) / 2, sheet.top - 9, label, _NUMBERS, "centre")


def _draw_slots(sheet: Sheet, edges: Sequence[int]) -> None:
    """Draw the empty cells, once for every second lane, as their ground is the same; the others are copies."""
    for parity in (0, 1):
        rows = [
            row for row, lane in enumerate(sheet.lanes) if lane.track.type in {"MIDI", "Audio"} and row % 2 == parity
        ]
        if not rows:
            continue
        for start, end in pairwise(edges):
            sheet.fill(*_cell(sheet, rows[0], start, end), _EMPTY)
        cells = sheet.image.crop((edges[0], sheet.y(rows[0], BLOCK[0]), edges[-1], sheet.y(rows[0], BLOCK[1])))
        for row in rows[1:]:
            sheet.image.paste(cells, (edges[0], sheet.y(row, BLOCK[0])))


def _draw_clips(sheet: Sheet, edges: Sequence[int]) -> None:
    """Draw blocks in the track's colour, grey where nothing is heard; a clip's own colour is a strip on top."""
    names = 0
    for row, lane in enumerate(sheet.lanes):
        for clip in lane.track.session_clips:
            if clip.slot >= len(edges) - 1:
                continue
            left, top, right, bottom = _cell(sheet, row, edges[clip.slot], edges[clip.slot + 1])
            is_audible = lane.track.audible and clip.heard
            colour = lane.colour if is_audible else SILENT
            sheet.fill(left, top, right, bottom, colour)
            if is_audible and clip.colour is not None and rgb(clip.colour) != lane.colour:
                sheet.fill(left, top, right, sheet.y(row, STRIP_END), rgb(clip.colour))
            if sheet.writes_names and names < MAX_NAMES:
                style = Style(NAME_X_HEIGHT, ink_on(colour))
                label = fitted(clip.name, right - left - 8, style)
                names += bool(label)
                sheet.write_in_lane(left + 5, row, label, style, middle=NAME_MIDDLE)


def _cell(sheet: Sheet, row: int, start: int, end: int) -> tuple[int, int, int, int]:
    gap = 2 if end - start > 12 else 1
    return start + gap // 2, sheet.y(row, BLOCK[0]), end - gap + gap // 2, sheet.y(row, BLOCK[1])
