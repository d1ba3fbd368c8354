"""The picture of a set that is kept beside its summary.

The arrangement with tracks as lanes and what the session view has beside it, or, for a set that only has session
clips, their grid (both in `clip_grid.py`). Pillow, which draws, is imported when something is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dawa_assets.ableton.clip_grid import draw_clip_grid, draw_clip_strip, strip_width
from dawa_assets.ableton.colours import Rgb, in_bytes, ink_on, mixed, rgb
from dawa_assets.ableton.lettering import Style, fitted, width_in
from dawa_assets.ableton.live_set import ArrangementClip, LiveSet, Track
from dawa_assets.ableton.picture import (
    BACKGROUND,
    BLOCK,
    DIM_TEXT,
    LANE,
    LANES_WIDTH,
    LINE,
    NAME_MIDDLE,
    NAME_X_HEIGHT,
    SILENT,
    STRIP_END,
    TEXT,
    Sheet,
    lay_out,
)
from dawa_assets.ableton.time_map import MetreMap, TimeSignature
from modal_app.data_root.atomic_writes import atomic_path

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

MAX_CLIP_NAMES = 600
MAX_LOCATORS = 200
MAX_TEMPO_POINTS = 2000
MAX_BAR_NUMBERS = 22

_RULER = 29
_LOCATOR_ROW = 21
_LOCATOR_ROWS = 3
_TEMPO = 55
_FLAG: Rgb = (0.98, 0.80, 0.35)
_TEMPO_LINE: Rgb = (0.45, 0.78, 0.95)
_NUMBERS = Style(6, DIM_TEXT)
_LOCATORS = Style(6, _FLAG, "bold")
# From a locator's line to its name: the flag is between them.
_TO_NAME = 13


class _Flag(NamedTuple):
    """A locator: where it is, its name, and its row above the ruler; -1 where no row has room for the name."""

    beat: float
    name: str
    row: int


class _Axis(NamedTuple):
    """From beats to pixels."""

    left: int
    width: int
    end: float

    def x(self, beat: float) -> int:
        """Return the pixel that a beat begins at, in the lanes."""
        return self.left + round(self.width * min(max(beat / self.end, 0.0), 1.0))

    def line(self, beat: float) -> int:
        """Return the pixel of a line at a beat; that at the right edge is the last of the lanes."""
        return min(self.x(beat), self.left + self.width - 1)


def draw_timeline(live_set: LiveSet, target: Path, title: str | None = None) -> None:
    """Draw the set to `target` as PNG, under `title` or else its own name.

    The same set gives the same bytes. The size is bounded whatever the set: 1650 pixels wide, at most some
    3800 high.
    """
    picture = _drawn(live_set, title or live_set.name).image
    with atomic_path(target) as half:
        picture.save(half, "PNG", compress_level=1)  # 6, the default, takes half as long again for a fifth less


def _drawn(live_set: LiveSet, heading: str) -> Sheet:
    has_arrangement = any(track.arrangement_clips for track in live_set.tracks)
    has_session = any(track.session_clips for track in live_set.tracks)
    if has_session and not has_arrangement:
        return draw_clip_grid(live_set, heading, _facts(live_set))
    return _arrangement(live_set, heading)


def _arrangement(live_set: LiveSet, heading: str) -> Sheet:
    end = _end(live_set)
    beside = strip_width(live_set.tracks)
    rows, flags = _place_locators(live_set, end, LANES_WIDTH - beside)
    has_tempo = len(live_set.tempo_changes) > 1
    above = _RULER + rows * _LOCATOR_ROW + (_TEMPO if has_tempo else 0)
    sheet = lay_out(live_set, heading=heading, facts=_facts(live_set), above=above, beside=beside)
    axis = _Axis(sheet.left, sheet.lanes_width, end)
    _draw_bars(sheet, axis, live_set.metre_map)
    _draw_locator_lines(sheet, axis, flags)
    _draw_clips(sheet, axis, live_set)
    _write_metres(sheet, axis, live_set.metre_map)
    _write_locators(sheet, axis, flags)
    if has_tempo:
        _draw_tempo(sheet, axis, live_set, sheet.top - _RULER - rows * _LOCATOR_ROW)
    if beside:
        draw_clip_strip(sheet)
    if not any(track.arrangement_clips for track in live_set.tracks):
        _say_empty(sheet)
    return sheet


def _facts(live_set: LiveSet) -> list[str]:
    tempo = live_set.played_tempo
    facts = [f"{tempo.bpm:.2f}".rstrip("0").rstrip(".") + " BPM"]
    if tempo.highest - tempo.lowest > 0.5:
        facts[0] += f" ({tempo.lowest:.4g} to {tempo.highest:.4g})"
    facts.append(str(live_set.played_time_signature))
    if live_set.scale is not None:
        facts.append(f"{live_set.scale.root} {live_set.scale.name}")
    beats = live_set.length_beats
    if beats:
        facts.append(f"{_plural(math.ceil(live_set.length_bars - 1e-6), 'bar')}")
        minutes, seconds = divmod(round(live_set.seconds), 60)
        facts.append(f"{minutes}:{seconds:02d}")
    facts.append(_plural(len(live_set.tracks), "track"))
    arrangement = sum(len(track.arrangement_clips) for track in live_set.tracks)
    session = sum(len(track.session_clips) for track in live_set.tracks)
    if arrangement:
        facts.append(_plural(arrangement, "clip"))
    if session:
        facts.append(_plural(session, "session clip"))
    if live_set.live_version:
        facts.append(f"Live {live_set.live_version}")
    return facts


def _plural(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _end(live_set: LiveSet) -> float:
    """Right edge in beats: the first bar line after all that sounds, or after everything where nothing does."""
    last = live_set.length_beats or max(
        [
            live_set.arrangement_beats,
            *(locator.time for locator in live_set.locators),
            *(point.time for point in live_set.tempo_changes),
        ]
    )
    metre = live_set.metre_map
    return metre.beat(max(math.ceil(metre.bars(last) - 1e-9), 4))


# -- bars -----------------------------------------------------------------------------------------------------


def _draw_bars(sheet: Sheet, axis: _Axis, metre: MetreMap) -> None:
    bars = round(metre.bars(axis.end))
    step = 1
    while bars / step > MAX_BAR_NUMBERS:
        step *= 2
    minor = [metre.beat(number) for number in range(step // 2, bars, step)] if step > 1 else []
    major = [metre.beat(number) for number in range(0, bars + 1, step)]
    for beats, strength in ((minor, 0.45), (major, 0.9)):
        for beat in beats:
            x = axis.line(beat)
            sheet.fill(x, sheet.top, x + 1, sheet.bottom, mixed(LANE, LINE, strength))
    for number, beat in enumerate(major):
        if beat < axis.end:
            sheet.write(axis.x(beat) + 4, sheet.top - 8, str(number * step + 1), _NUMBERS)
    sheet.name_ruler("bar")
    sheet.fill(axis.left, sheet.top - 1, axis.left + axis.width, sheet.top + 1, LINE)
    dots = [
        (axis.line(beat), y) for beat, _ in _shown_changes(metre, axis.end) for y in range(sheet.top, sheet.bottom, 3)
    ]
    sheet.pencil.point(dots, fill=in_bytes(mixed(LANE, _FLAG, 0.6)))


def _write_metres(sheet: Sheet, axis: _Axis, metre: MetreMap) -> None:
    for beat, signature in _shown_changes(metre, axis.end):
        sheet.write(axis.x(beat) + 4, sheet.top + 11, str(signature), Style(6, _FLAG))


def _shown_changes(metre: MetreMap, end: float) -> list[tuple[float, TimeSignature]]:
    return [(beat, signature) for beat, signature in metre.changes[1 : MAX_BAR_NUMBERS + 1] if beat < end]


# -- clips ----------------------------------------------------------------------------------------------------


def _draw_clips(sheet: Sheet, axis: _Axis, live_set: LiveSet) -> None:
    """Draw blocks in the track's colour, grey where nothing is heard; a clip's own colour is a strip on top."""
    named: list[tuple[int, int, ArrangementClip]] = []
    inside = _clips_inside_groups(live_set.tracks)
    for row, lane in enumerate(sheet.lanes):
        top, bottom = sheet.y(row, 0.34), sheet.y(row, 0.66)
        for left, right, _ in _blocks(inside.get(lane.track.index, ()), axis):
            sheet.fill(left, top, right, bottom, mixed(lane.colour, BACKGROUND, 0.45))
            if right - left > 2:  # These overlap: what is seen is where each begins.
                sheet.fill(left, top, left + 1, bottom, BACKGROUND)
        top, strip, bottom = sheet.y(row, BLOCK[0]), sheet.y(row, STRIP_END), sheet.y(row, BLOCK[1])
        for left, right, clip in _blocks(lane.track.arrangement_clips, axis):
            is_audible = lane.track.audible and clip.heard
            sheet.block(left, top, right, bottom, lane.colour if is_audible else SILENT)
            if is_audible and clip.colour is not None and rgb(clip.colour) != lane.colour:
                sheet.block(left, top, right, strip, rgb(clip.colour))
            named.append((left - right, row, clip))
    if sheet.writes_names:
        widest = sorted(named, key=lambda entry: entry[:2])[:MAX_CLIP_NAMES]
        _name_clips(sheet, axis, [(row, clip) for _, row, clip in widest])


def _name_clips(sheet: Sheet, axis: _Axis, clips: Iterable[tuple[int, ArrangementClip]]) -> None:
    for row, clip in clips:
        is_audible = sheet.lanes[row].track.audible and clip.heard
        style = Style(NAME_X_HEIGHT, ink_on(sheet.lanes[row].colour if is_audible else SILENT))
        left = axis.x(clip.start) + 4
        label = fitted(clip.name, axis.x(clip.end) - left - 4, style)
        sheet.write_in_lane(left, row, label, style, middle=NAME_MIDDLE)


def _clips_inside_groups(tracks: Sequence[Track]) -> dict[int, list[ArrangementClip]]:
    """For each group, the clips of everything below it, as Live shows in a folded group."""
    inside: dict[int, list[ArrangementClip]] = {}
    for track in tracks:
        group = track.group
        audible_clips = [clip for clip in track.arrangement_clips if clip.heard] if track.audible else []
        while group is not None and audible_clips:
            inside.setdefault(group, []).extend(audible_clips)
            group = tracks[group].group
    return inside


def _blocks(clips: Iterable[ArrangementClip], axis: _Axis) -> list[tuple[int, int, ArrangementClip]]:
    """Return (left, right, clip) of clips that differ by a pixel or more: a lane's cost is bounded by its width."""
    seen: dict[tuple[int, int], ArrangementClip] = {}
    for clip in clips:
        if clip.start < axis.end and clip.end >= 0:
            seen.setdefault((axis.x(clip.start), axis.x(clip.end)), clip)
    return [(left, right, clip) for (left, right), clip in seen.items()]


# -- locators and tempo, above the lanes ----------------------------------------------------------------------


def _place_locators(live_set: LiveSet, end: float, width: int) -> tuple[int, list[_Flag]]:
    """Return how many rows the names take, and each locator's place."""
    free_from = [-math.inf] * _LOCATOR_ROWS
    flags = []
    on_axis = [locator for locator in live_set.locators if 0 <= locator.time <= end]
    for locator in sorted(on_axis, key=lambda locator: locator.time)[:MAX_LOCATORS]:
        name = fitted(locator.name.strip() or "·", 176, _LOCATORS)
        x = locator.time * width / end
        row = next((row for row, free in enumerate(free_from) if x >= free), -1)
        if row >= 0:
            free_from[row] = x + _TO_NAME + width_in(name, _LOCATORS) + 10
        flags.append(_Flag(locator.time, name, row))
    return max((flag.row + 1 for flag in flags), default=0), flags


def _draw_locator_lines(sheet: Sheet, axis: _Axis, flags: Sequence[_Flag]) -> None:
    for flag in flags:
        x = axis.line(flag.beat)
        top = _flag_top(sheet, flag) + 1 if flag.row >= 0 else sheet.top
        sheet.fill(x, top, x + 1, sheet.bottom, mixed(_FLAG, LANE, 0.45))


def _write_locators(sheet: Sheet, axis: _Axis, flags: Sequence[_Flag]) -> None:
    def triangle(pencil: ImageDraw, scale: int) -> None:
        pencil.polygon([(0, 0), (9 * scale, 4.5 * scale), (0, 9 * scale)], fill=255)

    for flag in flags:
        if flag.row >= 0:
            x, top = axis.line(flag.beat), _flag_top(sheet, flag)
            sheet.smooth((x, top, x + 9, top + 9), _FLAG, triangle)
            sheet.write(x + _TO_NAME, top + 9, flag.name, _LOCATORS)


def _flag_top(sheet: Sheet, flag: _Flag) -> int:
    return sheet.top - _RULER - flag.row * _LOCATOR_ROW - 15


def _draw_tempo(sheet: Sheet, axis: _Axis, live_set: LiveSet, bottom: int) -> None:
    """Draw the automated tempo as a line of its own, between its lowest and highest value."""
    points = sorted(live_set.tempo_changes, key=lambda point: point.time)
    points = [point for point in points if point.time <= axis.end] or points[:1]
    points = points[:: math.ceil(len(points) / MAX_TEMPO_POINTS)]
    low, high = min(point.bpm for point in points), max(point.bpm for point in points)
    lowest, highest = _TEMPO - 9, 7
    scale = (lowest - highest) / (high - low) if high > low else 0.0
    beats = [0.0, *(min(max(point.time, 0.0), axis.end) for point in points), axis.end]
    heights = [lowest - (point.bpm - low) * scale for point in (points[0], *points, points[-1])]

    def line(pencil: ImageDraw, size: int) -> None:
        per_beat = axis.width / axis.end
        corners = [(beat * per_beat * size, height * size) for beat, height in zip(beats, heights, strict=True)]
        pencil.line(corners, fill=255, width=2 * size, joint="curve")

    top = bottom - _TEMPO
    sheet.smooth((axis.left, top, axis.left + axis.width, bottom), _TEMPO_LINE, line)
    style = Style(6, _TEMPO_LINE)
    for bpm, height in ((low, lowest), (high, highest))[: 2 if scale else 1]:
        sheet.write(axis.left - 8, top + height + style.capital_height // 2, f"{bpm:.4g} BPM", style, "right")


def _say_empty(sheet: Sheet) -> None:
    label = "No clips in this set" if sheet.lanes else "No tracks in this set"
    style = Style(12, mixed(TEXT, BACKGROUND, 0.25))
    width, height = round(width_in(label, style)) + 28, style.capital_height + 34
    left, top = sheet.left + (sheet.lanes_width - width) // 2, sheet.middle - height // 2
    for inset, colour in ((0, LINE), (1, BACKGROUND)):

        def box(pencil: ImageDraw, size: int, inset: int = inset) -> None:
            corners = (inset * size, inset * size, (width - inset) * size - 1, (height - inset) * size - 1)
            pencil.rounded_rectangle(corners, radius=(10 - inset) * size, fill=255)

        sheet.smooth((left, top, left + width, top + height), colour, box)
    sheet.write(left + 14, top + (height + style.capital_height) // 2, label, style)
