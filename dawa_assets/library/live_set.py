"""What one Live Set holds, for a person who listens: its facts, its bars in seconds, what prompts are written from.

Summaries come from this parser, from older ones and from other programs: what can't be used of them is left out.
"""

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

from dawa_assets.ableton.time_map import MetreChange, MetreMap, TempoMap, TempoPoint, TimeSignature, bar_times
from dawa_assets.errors import UnknownLiveSetError
from dawa_assets.prompting.context import build_context
from dawa_assets.prompting.json_access import count, mapping, number, objects, parsed, text, texts
from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.prompting.summary_facts import SummaryFacts, read_summary
from dawa_assets.tables import library_sets
from dawa_assets.tables.alignments import StoredAlignment, alignments_of
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_sets import Entry
from dawa_assets.tables.prompts import summary_texts
from dawa_assets.tables.uploads import find_summary
from resources.ports import Ports

_MAX_TRACKS = 1_000
_MAX_PLACES = 1_000
_LAST_BEAT = 1e7


@dataclass(frozen=True)
class TrackLine:
    """A track in a list."""

    name: str
    type: str
    group: str | None
    clips: int
    devices: int
    plugins: list[str]


@dataclass(frozen=True)
class Facts:
    """What a set says of itself."""

    tempo: float | None
    time_signature: str | None
    musical_key: str | None
    live_version: str | None
    length_bars: float | None
    tracks: list[TrackLine]
    plugins: dict[str, int]
    genre_indicators: list[str]
    scenes: list[str]
    samples: int


@dataclass(frozen=True)
class Grid:
    """When each bar begins, in seconds from bar 1; `offset_seconds` is where bar 1 lies in the bounce, if it does.

    `beats_per_bar` is of the time signature that holds for the most of the set; `bars` follows every change of it.
    """

    beats_per_bar: float
    length_seconds: float
    offset_seconds: float
    bars: list[float]
    tempo_changes: list[tuple[float, float]]


@dataclass(frozen=True)
class Place:
    """A locator: `bar` from 1."""

    name: str
    bar: float
    seconds: float


@dataclass(frozen=True)
class Section:
    """From one locator to the next."""

    name: str
    start_bar: float
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class ShownSet:
    """A Live Set with all that is shown of it; times are the bounce's own, where that is aligned with it."""

    entry: Entry
    facts: Facts
    context: dict[str, Any]
    grid: Grid | None
    locators: list[Place] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)


def show_live_set(ports: Ports, artist: Artist, parse_id: str) -> ShownSet:
    """Return the artist's set of this parse id.

    Raises:
        UnknownLiveSetError: the artist has no such set.
    """
    with ports.database.transaction() as connection:
        found = find_summary(connection, artist.id, parse_id)
        entry = None if found is None else next(iter(library_sets.entries_of(connection, artist.id, found.id)), None)
        if found is None or entry is None:
            raise UnknownLiveSetError(f"parse {parse_id[:40]!r}: {artist.slug} has no such Live Set; upload it first")
        content = summary_texts(connection, artist.id, [found.id]).get(found.id, "{}")
        profile = read_profile(observed_profile(connection, artist.id).master_schema)
        of_item = [] if entry.item_id is None else alignments_of(connection, artist.id, [entry.item_id])
    summary = mapping(parsed(content))
    known = read_summary(summary)
    ids = {parse_id, str(found.id)}
    context = json.loads(build_context(profile, known, artist_name=artist.name, summary_ids=ids))
    facts = _facts(entry, summary, known)
    if known.tempo is None:
        return ShownSet(entry, facts, context, None)
    points = _tempo_points(summary)
    tempos, metre = TempoMap(points, known.tempo), _metre(summary)
    bars = bar_times(tempos, metre, min(max(number(summary.get("length_bars")) or 0.0, 0.0), 1e6))
    changes = [(round(tempos.seconds_at(point.time), 6), point.bpm) for point in points] or [(0.0, known.tempo)]
    grid = Grid(_played_signature(summary).beats_per_bar, bars[-1], 0.0, bars, changes)
    locators = _locators(summary, tempos, metre)
    shown = ShownSet(entry, facts, context, grid, locators, _sections(locators, grid.length_seconds))
    aligned = [each.alignment for each in of_item if each.alignment.parse_id == parse_id]
    return _by_bounce_clock(shown, aligned[0]) if aligned else shown


def _by_bounce_clock(shown: ShownSet, alignment: StoredAlignment) -> ShownSet:
    """Return a set's bars, locators and sections by the clock of its bounce, where the bounce is aligned with it."""
    if shown.grid is None or alignment.offset_seconds is None:
        return shown
    speed, offset = alignment.speed, alignment.offset_seconds

    def at(seconds: float) -> float:
        return round(seconds / speed - offset, 6)

    grid = replace(
        shown.grid,
        length_seconds=round(shown.grid.length_seconds / speed, 6),
        offset_seconds=-offset,
        bars=[round(each / speed, 6) for each in shown.grid.bars],
        tempo_changes=[(round(seconds / speed, 6), bpm * speed) for seconds, bpm in shown.grid.tempo_changes],
    )
    return replace(
        shown,
        grid=grid,
        locators=[replace(each, seconds=at(each.seconds)) for each in shown.locators],
        sections=[
            replace(each, start_seconds=at(each.start_seconds), end_seconds=at(each.end_seconds))
            for each in shown.sections
        ],
    )


def musical_key(scale: object) -> str | None:
    """`A Minor`; None where the set says none."""
    named = " ".join(part for part in (text(mapping(scale).get(name), 40) for name in ("root", "name")) if part)
    return named or None


def _facts(entry: Entry, whole: dict[str, object], known: SummaryFacts) -> Facts:
    breakdown = mapping(whole, "track_breakdown")
    return Facts(
        tempo=known.tempo,
        time_signature=known.time_signature or None,
        musical_key=musical_key(entry.scale),
        live_version=text(whole.get("live_version"), 40) or None,
        length_bars=number(whole.get("length_bars")),
        tracks=[_track(name, mapping(breakdown, name)) for name in list(breakdown)[:_MAX_TRACKS]],
        plugins={
            shown: count(uses)
            for name, uses in list(mapping(whole, "plugin_usage").items())[:_MAX_TRACKS]
            if (shown := text(name, 120))
        },
        genre_indicators=texts(whole.get("genre_indicators"), 40),
        scenes=texts(whole.get("scenes"), 200),
        samples=len(mapping(whole, "sample_index")),
    )


def _track(name: str, details: dict[str, object]) -> TrackLine:
    return TrackLine(
        name=text(name, 200),
        type=text(details.get("type"), 20),
        group=text(details.get("group"), 200) or None,
        clips=count(details.get("clips")),
        devices=count(details.get("devices")),
        plugins=texts(details.get("plugins"), 60, 120),
    )


def _tempo_points(summary: dict[str, object]) -> list[TempoPoint]:
    """Return the automated tempo in order; of several points at one beat, the later counts from there on."""
    found = []
    for point in objects(summary.get("tempo_changes")):
        beat, bpm = number(point.get("time")), number(point.get("tempo"))
        if beat is not None and bpm is not None and 10 <= bpm <= 1_000 and abs(beat) < _LAST_BEAT:
            found.append(TempoPoint(beat, bpm))
    return sorted(found[:_MAX_PLACES], key=lambda point: point.time)


def _metre(summary: dict[str, object]) -> MetreMap:
    changes = []
    for change in list(objects(summary.get("time_signature_changes")))[:_MAX_PLACES]:
        beat, signature = number(change.get("time")), _signature(change.get("time_signature"))
        if beat is not None and signature is not None and 0 <= beat < _LAST_BEAT:
            changes.append(MetreChange(beat, signature))
    return MetreMap(_played_signature(summary), changes)


def _played_signature(summary: dict[str, object]) -> TimeSignature:
    return _signature(mapping(summary, "overview").get("time_signature")) or TimeSignature(4, 4)


def _signature(value: object) -> TimeSignature | None:
    """Of `6/8`, for example; None where it can't be told."""
    written = re.fullmatch(r"([1-9][0-9]?)/(1|2|4|8|16|32|64)", text(value, 8))
    return TimeSignature(int(written[1]), int(written[2])) if written else None


def _locators(summary: dict[str, object], tempos: TempoMap, metre: MetreMap) -> list[Place]:
    places = []
    for each in list(objects(summary.get("locators")))[:_MAX_PLACES]:
        beat = number(each.get("time"))
        if beat is not None and 0 <= beat < _LAST_BEAT:
            places.append(Place(text(each.get("name"), 200), round(metre.bars(beat) + 1, 4), tempos.seconds_at(beat)))
    return sorted(places, key=lambda place: place.seconds)


def _sections(locators: list[Place], end: float) -> list[Section]:
    """Return from each locator to the next, the last one to the end; empty ones are left out."""
    ends = [after.seconds for after in locators[1:]] + [end]
    return [
        Section(place.name, place.bar, place.seconds, until)
        for place, until in zip(locators, ends, strict=False)
        if until > place.seconds
    ]
