"""What one Live Set holds, for a person who listens: its facts, its bars in seconds, what prompts are written from.

Summaries come from this parser, from older ones and from other programs: what can't be used of them is left out.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from dawa_assets.ableton.beat_grid import TempoMap, bar_times, beats_per_bar, sections_between, tempo_map
from dawa_assets.artists.profile import observed_profile
from dawa_assets.artists.store import Artist
from dawa_assets.errors import UnknownLiveSetError
from dawa_assets.intake.store import find_summary
from dawa_assets.library import store
from dawa_assets.library.store import Entry
from dawa_assets.prompting.context import build_context
from dawa_assets.prompting.plan import summary_of
from dawa_assets.prompting.reading import count, mapping, number, objects, text, texts
from dawa_assets.prompting.store import summary_texts
from dawa_assets.prompting.track import tempo_of
from resources.ports import Ports

_MOST_TRACKS = 1_000
_MOST_PLACES = 1_000


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
    """When each bar begins, in seconds from bar 1; `offset_seconds` is where bar 1 lies in the bounce."""

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
    """A Live Set with all that is shown of it."""

    entry: Entry
    facts: Facts
    context: dict[str, Any]
    grid: Grid | None
    locators: list[Place] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)


def show_live_set(ports: Ports, artist: Artist, parse_id: str) -> ShownSet:
    """The artist's set of this parse id.

    Raises:
        UnknownLiveSetError: the artist has no such set.
    """
    with ports.database.transaction() as connection:
        found = find_summary(connection, artist.id, parse_id)
        entry = None if found is None else next(iter(store.entries_of(connection, artist.id, found.id)), None)
        if found is None or entry is None:
            raise UnknownLiveSetError(f"parse {parse_id[:40]!r}: {artist.slug} has no such Live Set; upload it first")
        content = summary_texts(connection, artist.id, [found.id]).get(found.id, "{}")
        profile = observed_profile(connection, artist.id).master_schema
    summary = summary_of(content)
    ids = {parse_id, str(found.id)}
    context = json.loads(build_context(profile, summary, artist_name=artist.name, summary_ids=ids))
    tempo = tempo_of(summary)
    if tempo is None:
        return ShownSet(entry, _facts(entry, summary), context, None)
    line = tempo_map(tempo, _tempo_changes(summary))
    grid = _grid(summary, line)
    locators = _locators(summary, line, grid.beats_per_bar)
    return ShownSet(entry, _facts(entry, summary), context, grid, locators, _sections(locators, grid))


def musical_key(scale: Any) -> str | None:
    """`A Minor`; None where the set says none."""
    named = " ".join(part for part in (text(mapping(scale).get(name), 40) for name in ("root", "name")) if part)
    return named or None


def _facts(entry: Entry, summary: Any) -> Facts:
    whole = mapping(summary)
    overview = mapping(whole, "overview")
    breakdown = mapping(whole, "track_breakdown")
    return Facts(
        tempo=tempo_of(summary),
        time_signature=text(overview.get("time_signature"), 8) or None,
        musical_key=musical_key(entry.scale),
        live_version=text(whole.get("live_version"), 40) or None,
        length_bars=number(whole.get("length_bars")),
        tracks=[_track(name, mapping(breakdown, name)) for name in list(breakdown)[:_MOST_TRACKS]],
        plugins={
            shown: count(uses)
            for name, uses in list(mapping(whole, "plugin_usage").items())[:_MOST_TRACKS]
            if (shown := text(name, 120))
        },
        genre_indicators=texts(whole.get("genre_indicators"), 40),
        scenes=texts(whole.get("scenes"), 200),
        samples=len(mapping(whole, "sample_index")),
    )


def _track(name: str, details: dict[str, Any]) -> TrackLine:
    return TrackLine(
        name=text(name, 200),
        type=text(details.get("type"), 20),
        group=text(details.get("group"), 200) or None,
        clips=count(details.get("clips")),
        devices=count(details.get("devices")),
        plugins=texts(details.get("plugins"), 60, 120),
    )


def _tempo_changes(summary: Any) -> list[tuple[float, float]]:
    found = []
    for point in objects(mapping(summary).get("tempo_changes")):
        beat, bpm = number(point.get("time")), number(point.get("tempo"))
        if beat is not None and bpm is not None and 10 <= bpm <= 1_000 and abs(beat) < 1e7:
            found.append((beat, bpm))
    return found[:_MOST_PLACES]


def _grid(summary: Any, line: TempoMap) -> Grid:
    whole = mapping(summary)
    a_bar = beats_per_bar(text(mapping(whole, "overview").get("time_signature"), 8))
    bars = bar_times(line, a_bar, min(max(number(whole.get("length_bars")) or 0.0, 0.0), 1e6))
    changes = [(round(second, 6), bpm) for second, bpm in zip(line.seconds, line.tempos, strict=True)]
    return Grid(a_bar, bars[-1], 0.0, bars, changes)


def _locators(summary: Any, line: TempoMap, a_bar: float) -> list[Place]:
    places = []
    for each in list(objects(mapping(summary).get("locators")))[:_MOST_PLACES]:
        beat = number(each.get("time"))
        if beat is not None and 0 <= beat < 1e7:
            places.append(Place(text(each.get("name"), 200), round(beat / a_bar + 1, 4), line.seconds_at(beat)))
    return sorted(places, key=lambda place: place.seconds)


def _sections(locators: list[Place], grid: Grid) -> list[Section]:
    bars = {(place.name, place.seconds): place.bar for place in locators}
    spans = sections_between([(place.name, place.seconds) for place in locators], grid.length_seconds)
    return [Section(name, bars[name, begin], begin, end) for name, begin, end in spans]
