"""The sections of an arrangement: from its locators, else from its scenes, else its ends where they are plain to see.

Each source is taken or left as a whole. Pure; beats in, beats out.
"""

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dawa_assets.ableton.live_set import LiveSet
from modal_app.protocol.song_timeline import Section

# Longer names first: a pre-chorus is no chorus.
_NAMES: tuple[tuple[Section, str], ...] = (
    ("intro", r"intro(?:duction)?s?"),
    ("pre-chorus", r"pre[ -]?(?:chorus|hook)"),
    ("verse", r"verses?|strophe"),
    ("chorus", r"chorus(?:es)?|hooks?|refrains?"),
    ("bridge", r"bridges?"),
    ("build", r"build(?:[ -]?ups?)?|rise|riser"),
    ("drop", r"drops?"),
    ("breakdown", r"break(?:[ -]?downs?)?"),
    ("interlude", r"interludes?"),
    ("solo", r"solos?"),
    ("outro", r"outros?|coda|end(?:ing)?|finale"),
    ("main", r"main|theme|middle|climax"),
)
_SECTION = re.compile(
    "|".join(rf"(?P<s{number}>(?<![a-z])(?:{words})(?![a-z]))" for number, (_, words) in enumerate(_NAMES)),
    re.IGNORECASE,
)
# Of a scene's clips and what plays at a place: so alike, for so many bars, and no other scene is.
_LEAST_ALIKE = 0.75
_LEAST_BARS = 2
# An end is plain to see where so many bars have at most half of the layers that the bars between the ends have.
_FEWEST_BARS, _LARGEST_SHARE = 2, 1 / 3
_THIN = 0.5
_FEWEST_LAYERS = 3


class Start(NamedTuple):
    """Where a section begins, in quarter beats; None where one ends that no other follows."""

    beat: float
    name: Section | None


def section_named(name: str) -> Section | None:
    """Return the section that a name says: `Drop 2` is a drop; None where it says none."""
    found = _SECTION.search(name)
    return _NAMES[int((found.lastgroup or "s0")[1:])][0] if found else None


def sections_of(live_set: LiveSet, layers: Sequence[int]) -> list[Start]:
    """Return the sections of an arrangement, in order; empty where it does not say.

    Args:
        live_set: with an arrangement.
        layers: how many tracks sound in each of its bars.
    """
    return _of_locators(live_set) or _of_scenes(live_set, len(layers)) or _of_ends(live_set, layers)


def _of_locators(live_set: LiveSet) -> list[Start]:
    end = live_set.length_beats
    named = sorted((each.time, section_named(each.name)) for each in live_set.locators if section_named(each.name))
    starts = [Start(max(time, 0.0), name) for time, name in named if time < end]
    return _joined(starts)


def _of_scenes(live_set: LiveSet, bars: int) -> list[Start]:
    """Return where clips of a section's scene lie together in the arrangement, as a recorded session leaves them."""
    scenes = _named_scenes(live_set)
    if not scenes:
        return []
    starts = [live_set.metre_map.beat(bar) for bar in range(bars + 1)]
    playing: list[set[tuple[int, str]]] = [set() for _ in range(bars)]
    for track in live_set.tracks:
        for clip in track.arrangement_clips if track.audible else ():
            if clip.heard and clip.name.strip():
                first = max(bisect_right(starts, clip.start + 0.01) - 1, 0)
                last = min(bisect_right(starts, clip.end - 0.01), bars)
                for bar in range(first, last):
                    playing[bar].add((track.index, clip.name.strip()))
    found = [_scene_of(each, scenes) for each in playing]
    runs: list[Start] = []
    bar = 0
    for name, run in itertools.groupby(found):
        length = len(list(run))
        runs.append(Start(starts[bar], name if length >= _LEAST_BARS else None))
        bar += length
    return _joined(runs) if any(run.name for run in runs) else []


def _named_scenes(live_set: LiveSet) -> list[tuple[Section, set[tuple[int, str]]]]:
    scenes = []
    for slot, title in enumerate(live_set.scenes):
        name = section_named(title)
        clips = {
            (track.index, clip.name.strip())
            for track in live_set.tracks
            if track.audible
            for clip in track.session_clips
            if clip.slot == slot and clip.heard and clip.name.strip()
        }
        if name and len(clips) > 1:
            scenes.append((name, clips))
    return scenes


def _scene_of(playing: set[tuple[int, str]], scenes: Sequence[tuple[Section, set[tuple[int, str]]]]) -> Section | None:
    alike = {name for name, clips in scenes if len(clips & playing) >= _LEAST_ALIKE * len(clips | playing)}
    return alike.pop() if len(alike) == 1 else None


def _of_ends(live_set: LiveSet, layers: Sequence[int]) -> list[Start]:
    """Return an intro and an outro where few layers come before and after many."""
    bars = len(layers)
    longest = int(bars * _LARGEST_SHARE)
    inner = sorted(layers[longest : bars - longest])
    if not inner or inner[len(inner) // 2] < _FEWEST_LAYERS:
        return []
    thin = _THIN * inner[len(inner) // 2]
    first = next((bar for bar, count in enumerate(layers) if count > thin), bars)
    last = bars - next((bar for bar, count in enumerate(reversed(layers)) if count > thin), bars)
    starts: list[Start] = []
    beat = live_set.metre_map.beat
    if _FEWEST_BARS <= first <= longest:
        starts += [Start(0.0, "intro"), Start(beat(first), None)]
    if _FEWEST_BARS <= bars - last <= longest:
        starts.append(Start(beat(last), "outro"))
    return starts


def _joined(starts: Sequence[Start]) -> list[Start]:
    """Return the same with those made into one that are called alike, or that begin at one place."""
    return list(_without_repeats(sorted(starts, key=lambda start: start.beat)))


def _without_repeats(starts: Sequence[Start]) -> Iterator[Start]:
    before: Start | None = None
    for place, start in enumerate(starts):
        is_last_here = place + 1 == len(starts) or starts[place + 1].beat > start.beat
        if is_last_here and (before is None or start.name != before.name):
            before = start
            yield start
