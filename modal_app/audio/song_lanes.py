"""Draws what plays when in a song under its waveform: sections, bars, and a lane for each instrument."""

from typing import Any

from modal_app.protocol.song_timeline import ROLES, Role, SongTimeline

_MAX_LANES = 16
_LANE_INCHES, _SECTIONS_INCHES = 0.11, 0.16

_COLOURS: dict[Role, str] = {
    "rhythm": "#b45309",
    "bass": "#b91c1c",
    "harmony": "#1d4ed8",
    "melody": "#047857",
    "voice": "#be185d",
    "texture": "#6d28d9",
}
_BAR, _SECTION, _INK = "#94a3b8", "#e2e8f0", "#1f2937"
_BARS_APART = 0.03  # of the width, at least


def lanes_inches(timeline: SongTimeline | None) -> float:
    """Return how high what is drawn under a waveform is."""
    if timeline is None:
        return 0.0
    return _SECTIONS_INCHES + _LANE_INCHES * min(len(timeline.voices), _MAX_LANES)


def draw_bars(axes: Any, timeline: SongTimeline, seconds: float) -> None:
    """Draw bar lines over a waveform: all, or every second, fourth … where they would lie too close."""
    inside = [(number, at) for number, at in enumerate(timeline.bars[:-1], 1) if 0 <= at < seconds]
    every = 1
    while len(inside) / every > 1 / _BARS_APART:
        every *= 2
    for number, at in inside:
        if (number - 1) % every == 0:
            axes.axvline(at, color=_BAR, linewidth=0.5, zorder=3)
            axes.text(at, 0.97, f" {number}", fontsize=5, color=_INK, va="top", zorder=4)


def draw_lanes(axes: Any, timeline: SongTimeline, seconds: float) -> None:
    """Draw sections and, below them, when each instrument sounds; the first ones by role, where there are many."""
    voices = sorted(timeline.voices, key=lambda voice: ROLES.index(voice.role))[:_MAX_LANES]
    axes.set(xlim=(0, seconds), yticks=[], xticks=[])
    top = _SECTIONS_INCHES / _LANE_INCHES
    axes.set_ylim(len(voices), -top)
    for name, (start, end) in timeline.section_spans:
        begin, end = max(start, 0.0), min(end, seconds)
        if end > begin:
            axes.broken_barh([(begin, end - begin)], (-top, top * 0.9), facecolor=_SECTION, edgecolor="white")
            axes.text(begin, -top * 0.5, f" {name}", fontsize=6, color=_INK, va="center", clip_on=True)
    for place, voice in enumerate(voices):
        bars = [(start, end - start) for start, end in voice.spans if end > 0 and start < seconds]
        axes.broken_barh(bars, (place + 0.12, 0.76), facecolor=_COLOURS[voice.role], linewidth=0)
        axes.text(-0.002 * seconds, place + 0.5, voice.instrument, fontsize=5, color=_INK, va="center", ha="right")
    for spine in axes.spines.values():
        spine.set_visible(False)
