"""The picture of a set that is kept beside its summary.

The arrangement with tracks as lanes and what the session view has beside it, or, for a set that only has session
clips, their grid (both in `clip_grid.py`).
matplotlib is imported when something is drawn, and without its global state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawa_assets.ableton.clip_grid import draw_clip_grid, draw_clip_strip, strip_width
from dawa_assets.ableton.colours import Rgb, ink_on, mixed, rgb
from dawa_assets.ableton.fonts import FONT, shortened, width_of
from dawa_assets.ableton.live_set import ArrangementClip, LiveSet, Track
from dawa_assets.ableton.picture import (
    BACKGROUND,
    DIM_TEXT,
    LANES_WIDTH,
    LINE,
    SILENT,
    TEXT,
    Sheet,
    lay_out,
    save,
)
from dawa_assets.ableton.time_map import MetreMap

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CLIP_NAMES = 600
MAX_LOCATORS = 200
MAX_TEMPO_POINTS = 2000
MAX_BAR_NUMBERS = 22

_RULER = 0.26
_LOCATOR_ROW = 0.19
_LOCATOR_ROWS = 3
_TEMPO = 0.5
_NAME_SIZE = 6.2


def draw_timeline(live_set: LiveSet, target: Path, title: str | None = None) -> None:
    """Draw the set to `target` as PNG, under `title` or else its own name.

    The same set gives the same bytes. The size is bounded whatever the set: 1650 pixels wide, at most some
    3700 high.
    """
    import logging

    import matplotlib

    # It says at length when it first makes its font cache or finds no home for it; neither is the user's affair.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with matplotlib.rc_context():
        # A matplotlibrc of the user's would make other pictures of the same set.
        matplotlib.rcdefaults()
        save(_drawn(live_set, title or live_set.name), target)


def _drawn(live_set: LiveSet, heading: str) -> Figure:
    has_arrangement = any(track.arrangement_clips for track in live_set.tracks)
    has_session = any(track.session_clips for track in live_set.tracks)
    if has_session and not has_arrangement:
        return draw_clip_grid(live_set, heading, _facts(live_set))
    return _arrangement(live_set, heading)


def _arrangement(live_set: LiveSet, heading: str) -> Figure:
    end = _end(live_set)
    beside = strip_width(live_set.tracks)
    rows, flags = _place_locators(live_set, end, LANES_WIDTH - beside)
    has_tempo = len(live_set.tempo_changes) > 1
    above = _RULER + rows * _LOCATOR_ROW + (_TEMPO if has_tempo else 0)
    sheet = lay_out(live_set, heading=heading, facts=_facts(live_set), above=above, beside=beside)
    sheet.axes.set_xlim(0, end)
    _draw_bars(sheet, live_set.metre_map, end)
    _draw_clips(sheet, live_set, end)
    _draw_locators(sheet, flags)
    if has_tempo:
        _draw_tempo(sheet, live_set, end, above=_RULER + rows * _LOCATOR_ROW)
    if beside:
        draw_clip_strip(sheet)
    if not any(track.arrangement_clips for track in live_set.tracks):
        _say_empty(sheet, end)
    return sheet.figure


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


def _draw_bars(sheet: Sheet, metre: MetreMap, end: float) -> None:
    from matplotlib.collections import LineCollection

    bars = round(metre.bars(end))
    step = 1
    while bars / step > MAX_BAR_NUMBERS:
        step *= 2
    lanes = len(sheet.lanes)
    major = [metre.beat(number) for number in range(0, bars + 1, step)]
    minor = [metre.beat(number) for number in range(step // 2, bars, step)] if step > 1 else []
    for positions, width, alpha in ((major, 0.8, 0.9), (minor, 0.5, 0.45)):
        sheet.axes.add_collection(
            LineCollection(
                [[(x, 0), (x, lanes)] for x in positions], colors=[LINE], linewidths=width, alpha=alpha, zorder=1.5
            ),
            autolim=False,
        )
    for number, x in enumerate(major):
        if x < end:
            sheet.write(
                x,
                -0.07 / sheet.lane_height,
                f" {number * step + 1}",
                va="bottom",
                size=7.5,
                color=DIM_TEXT,
            )
    for x, signature in metre.changes[1 : MAX_BAR_NUMBERS + 1]:
        if x < end:
            sheet.axes.plot([x, x], [0, lanes], color=_FLAG, linewidth=0.7, alpha=0.5, linestyle=":", zorder=2)
            sheet.write(x, 0.35, f" {signature}", size=7, color=_FLAG, zorder=6)
    sheet.name_ruler("bar")
    sheet.axes.plot([0, end], [0, 0], color=LINE, linewidth=1, zorder=2, clip_on=False)


# -- clips ----------------------------------------------------------------------------------------------------


def _draw_clips(sheet: Sheet, live_set: LiveSet, end: float) -> None:
    """Blocks in the track's colour, grey where nothing is heard; a clip's own colour is a strip on top."""
    from matplotlib.collections import PolyCollection

    blocks: list[Any] = []
    fills: list[Rgb] = []
    strips: list[Any] = []
    strip_fills: list[Rgb] = []
    named: list[tuple[float, int, ArrangementClip]] = []
    inside = _clips_inside_groups(live_set.tracks)
    for row, lane in enumerate(sheet.lanes):
        for clip in _distinct(inside.get(lane.track.index, ()), end):
            blocks.append(_block(clip, row + 0.34, row + 0.66))
            fills.append(mixed(lane.colour, BACKGROUND, 0.45))
        for clip in _distinct(lane.track.arrangement_clips, end):
            blocks.append(_block(clip, row + 0.08, row + 0.92))
            is_audible = lane.track.audible and clip.heard
            fills.append(lane.colour if is_audible else SILENT)
            named.append((clip.start - clip.end, row, clip))
            if is_audible and clip.colour is not None and rgb(clip.colour) != lane.colour:
                strips.append(_block(clip, row + 0.08, row + 0.24))
                strip_fills.append(rgb(clip.colour))
    sheet.axes.add_collection(
        PolyCollection(blocks, facecolors=fills, edgecolors=[BACKGROUND], linewidths=0.6, zorder=3), autolim=False
    )
    sheet.axes.add_collection(PolyCollection(strips, facecolors=strip_fills, linewidths=0, zorder=3.5), autolim=False)
    if sheet.writes_names:
        widest = sorted(named, key=lambda entry: entry[:2])[:MAX_CLIP_NAMES]
        _name_clips(sheet, [(row, clip) for _, row, clip in widest], end)


def _name_clips(sheet: Sheet, clips: Iterable[tuple[int, ArrangementClip]], end: float) -> None:
    per_beat = sheet.lanes_width / end
    for row, clip in clips:
        label = shortened(clip.name, (min(clip.end, end) - clip.start) * per_beat - 0.08, _NAME_SIZE)
        if label:
            sheet.write(
                clip.start + 0.04 / per_beat,
                row + 0.57,
                label,
                va="center",
                size=_NAME_SIZE,
                color=ink_on(sheet.lanes[row].colour if sheet.lanes[row].track.audible and clip.heard else SILENT),
                zorder=4,
            )


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


def _distinct(clips: Iterable[ArrangementClip], end: float) -> list[ArrangementClip]:
    """Return the clips that differ by a pixel or more, so that a lane's cost is bounded by its width."""
    pixels = 1500 / end
    seen: dict[tuple[int, int], ArrangementClip] = {}
    for clip in clips:
        if clip.start >= end:
            continue
        seen.setdefault((int(clip.start * pixels), int(clip.end * pixels)), clip)
    return list(seen.values())


def _block(clip: ArrangementClip, top: float, bottom: float) -> list[tuple[float, float]]:
    return [(clip.start, top), (clip.end, top), (clip.end, bottom), (clip.start, bottom)]


# -- locators and tempo, above the lanes ----------------------------------------------------------------------


def _place_locators(live_set: LiveSet, end: float, width: float) -> tuple[int, list[tuple[float, str, int]]]:
    """Return how many rows the names take, and (beat, name, row) of each; row -1 where no row has room for the name."""
    per_beat = width / end
    free_from = [-math.inf] * _LOCATOR_ROWS
    flags = []
    on_axis = [locator for locator in live_set.locators if 0 <= locator.time <= end]
    for locator in sorted(on_axis, key=lambda locator: locator.time)[:MAX_LOCATORS]:
        name = shortened(locator.name.strip() or "·", 1.6, 7.5)
        x = locator.time * per_beat
        row = next((row for row, free in enumerate(free_from) if x >= free), -1)
        if row >= 0:
            free_from[row] = x + 0.2 + width_of(name) * 1.07 * 7.5 / 72
        flags.append((locator.time, name, row))
    return max((row + 1 for _, _, row in flags), default=0), flags


def _draw_locators(sheet: Sheet, flags: Sequence[tuple[float, str, int]]) -> None:
    from matplotlib.collections import LineCollection

    lanes = len(sheet.lanes)
    lines = []
    for beat, name, row in flags:
        top = -(_RULER + (row + 0.5) * _LOCATOR_ROW) / sheet.lane_height if row >= 0 else 0.0
        lines.append([(beat, top), (beat, lanes)])
        if row >= 0:
            sheet.axes.plot([beat], [top], marker=">", markersize=5, color=_FLAG, clip_on=False, zorder=6)
            sheet.write(beat, top, f"   {name}", va="center", size=7.5, weight="bold", color=_FLAG, zorder=6)
    sheet.axes.add_collection(
        LineCollection(lines, colors=[_FLAG], linewidths=0.8, alpha=0.55, zorder=2.5, clip_on=False), autolim=False
    )


_FLAG: Rgb = (0.98, 0.80, 0.35)
_TEMPO_LINE: Rgb = (0.45, 0.78, 0.95)


def _draw_tempo(sheet: Sheet, live_set: LiveSet, end: float, above: float) -> None:
    """The automated tempo as a line of its own, between its lowest and highest value."""
    points = sorted(live_set.tempo_changes, key=lambda point: point.time)
    points = [point for point in points if point.time <= end] or points[:1]
    points = points[:: math.ceil(len(points) / MAX_TEMPO_POINTS)]
    low, high = min(point.bpm for point in points), max(point.bpm for point in points)
    bottom, top = -(above + 0.08) / sheet.lane_height, -(above + _TEMPO - 0.06) / sheet.lane_height
    scale = (top - bottom) / (high - low) if high > low else 0.0
    x = [0.0, *(min(point.time, end) for point in points), end]
    y = [bottom + (point.bpm - low) * scale for point in (points[0], *points, points[-1])]
    sheet.axes.plot(x, y, color=_TEMPO_LINE, linewidth=1.2, clip_on=False, zorder=5)
    for bpm, at in ((low, bottom), (high, top))[: 2 if scale else 1]:
        sheet.write(
            end * (-0.006),
            at,
            f"{bpm:.4g} BPM",
            ha="right",
            va="center",
            size=7,
            color=_TEMPO_LINE,
        )


def _say_empty(sheet: Sheet, end: float) -> None:
    label = "No clips in this set" if sheet.lanes else "No tracks in this set"
    lanes = len(sheet.lanes)
    sheet.axes.text(
        end / 2,
        (lanes + 3) / 2 if lanes < 3 else lanes / 2,
        label,
        ha="center",
        va="center",
        size=15,
        color=mixed(TEXT, BACKGROUND, 0.25),
        family=FONT,
        zorder=7,
        bbox={"facecolor": BACKGROUND, "edgecolor": LINE, "boxstyle": "round,pad=0.6"},
    )
