"""What the library's routes answer: artists, entries, one Live Set."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from dawa_assets.http.api.common import file_link
from dawa_assets.http.api.item_messages import ItemAnswer
from dawa_assets.http.messages import Message
from dawa_assets.http.service import Service
from dawa_assets.intake.kinds import stem_of
from dawa_assets.library.live_set import Facts, Grid, ShownSet, musical_key
from dawa_assets.prompting.json_access import mapping, number, text
from dawa_assets.prompting.summary_facts import tempo_of
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_sets import BADGES, ArtistLine, Badge, Entry

_BADGES = {"needs_audio": 2, "needs_prompt": 1, "ready": 3, "exported": 4, "failed": 0, "excluded": 0}
Badges = dict[Badge, int]


class ArtistAnswer(Message):
    """An artist, and how far their Live Sets are."""

    id: UUID
    slug: str = Field(examples=["nova"])
    name: str = Field(examples=["Nova Kite"])
    has_profile: bool
    schema_version: str | None = Field(examples=["1.0"])
    live_sets: int = Field(examples=[10])
    badges: Badges = Field(examples=[_BADGES])
    uploads_waiting: int
    uploads_rejected: int

    @classmethod
    def of(cls, line: ArtistLine) -> "ArtistAnswer":
        """Return as it is listed."""
        return cls(**{**vars(line), "badges": all_badges(line.badges)})


class ArtistsAnswer(Message):
    """The artists that the caller may see, by name."""

    artists: list[ArtistAnswer]


class EntryAnswer(Message):
    """A Live Set with what is made of it; `key` stays the same from one answer to the next."""

    key: str = Field(examples=["set:0b1c2d3e-0000-4000-8000-000000000000"])
    name: str = Field(examples=["Midnight Drive"])
    project_name: str | None = Field(examples=["Midnight Drive Project"])
    als_filename: str | None = Field(examples=["Midnight Drive.als"])
    parse_id: str = Field(examples=["3f2a9c0b7d41"])
    live_set_id: UUID | None = Field(description="null: an item whose set is not here")
    tempo: float | None = Field(examples=[122.0])
    time_signature: str | None = Field(examples=["4/4"])
    musical_key: str | None = Field(examples=["A Minor"])
    length_bars: float | None = Field(examples=[96.0])
    tracks: int | None = Field(examples=[14])
    taken_in_at: datetime
    timeline_url: str | None = Field(description="a link to the picture, good for some hours")
    badge: Badge = Field(examples=["ready"])
    reason: str | None = Field(examples=[None], description="why it is not ready, one line")
    item_id: UUID | None = Field(description="the item that the badge is of")
    item_ids: list[UUID]
    audio_seconds: float | None = Field(examples=[214.5])
    text_by: str | None = Field(examples=["model"], description="`model` or `person`")

    @classmethod
    def of(cls, service: Service, artist: Artist, entry: Entry) -> "EntryAnswer":
        """Return as it is listed."""
        overview = mapping(entry.overview)
        picture = None if entry.export_path is None else f"{entry.export_path}/timeline_visualizer.png"
        tracks = number(overview.get("total_tracks"))
        return cls(
            key=f"set:{entry.live_set_id}" if entry.live_set_id else f"item:{entry.item_id}",
            name=stem_of(entry.als_filename) if entry.als_filename else entry.parse_id,
            project_name=entry.project_name,
            als_filename=entry.als_filename,
            parse_id=entry.parse_id,
            live_set_id=entry.live_set_id,
            tempo=tempo_of(overview.get("tempo")),
            time_signature=text(overview.get("time_signature"), 8) or None,
            musical_key=musical_key(entry.scale),
            length_bars=number(entry.length_bars),
            tracks=None if tracks is None or abs(tracks) > 1e6 else int(tracks),
            taken_in_at=entry.taken_in_at,
            timeline_url=file_link(service, artist, picture),
            badge=entry.badge,
            reason=entry.reason,
            item_id=entry.item_id,
            item_ids=entry.item_ids,
            audio_seconds=entry.audio_seconds,
            text_by=entry.text_by,
        )


class LibraryAnswer(Message):
    """All of an artist's Live Sets, the newest first."""

    entries: list[EntryAnswer]
    badges: Badges = Field(examples=[_BADGES])


class TrackAnswer(Message):
    """A track of a set."""

    name: str = Field(examples=["Kick"])
    type: str = Field(examples=["MIDI"])
    group: str | None = Field(examples=["Drums"])
    clips: int
    devices: int
    plugins: list[str] = Field(examples=[["Serum"]])


class FactsAnswer(Message):
    """What a set says of itself."""

    tempo: float | None = Field(examples=[122.0])
    time_signature: str | None = Field(examples=["4/4"])
    musical_key: str | None = Field(examples=["A Minor"])
    live_version: str | None = Field(examples=["12.1"])
    length_bars: float | None = Field(examples=[96.0])
    tracks: list[TrackAnswer]
    plugins: dict[str, int] = Field(examples=[{"Serum": 4}])
    genre_indicators: list[str] = Field(examples=[["house"]])
    scenes: list[str] = Field(examples=[["Intro"]])
    samples: int

    @classmethod
    def of(cls, facts: Facts) -> "FactsAnswer":
        """Return as they are shown."""
        tracks = [TrackAnswer(**vars(track)) for track in facts.tracks]
        return cls(**{**vars(facts), "tracks": tracks})


class TempoAnswer(Message):
    """From when on which tempo is, or is headed for the next one."""

    seconds: float = Field(examples=[0.0])
    tempo: float = Field(examples=[122.0])


class GridAnswer(Message):
    """When each bar begins, in seconds from bar 1 on, and when the last one ends."""

    beats_per_bar: float = Field(examples=[4.0])
    length_seconds: float = Field(examples=[3.934426])
    offset_seconds: float = Field(examples=[0.0], description="where bar 1 lies in the bounce")
    bars: list[float] = Field(examples=[[0.0, 1.967213, 3.934426]])
    tempo_changes: list[TempoAnswer]

    @classmethod
    def of(cls, grid: Grid) -> "GridAnswer":
        """Return as it is shown."""
        changes = [TempoAnswer(seconds=seconds, tempo=tempo) for seconds, tempo in grid.tempo_changes]
        return cls(**{**vars(grid), "tempo_changes": changes})


class PlaceAnswer(Message):
    """A locator; bars count from 1."""

    name: str = Field(examples=["Drop"])
    bar: float = Field(examples=[33.0])
    seconds: float = Field(examples=[62.95082])


class SectionAnswer(Message):
    """From a locator to the next one."""

    name: str = Field(examples=["Drop"])
    start_bar: float = Field(examples=[33.0])
    start_seconds: float = Field(examples=[62.95082])
    end_seconds: float = Field(examples=[94.42623])


class LiveSetAnswer(Message):
    """A Live Set: its facts, its bars, its items, and what prompts for it are written from."""

    entry: EntryAnswer
    facts: FactsAnswer
    style: dict[str, Any] = Field(
        examples=[{"genre": ["melodic house"]}], description="of the context, what the profile gives"
    )
    context: dict[str, Any] = Field(examples=[{"tempo_bpm": 122}], description="what a model is sent")
    grid: GridAnswer | None = Field(description="null: the set has no tempo that can be used")
    locators: list[PlaceAnswer]
    sections: list[SectionAnswer]
    items: list[ItemAnswer]

    @classmethod
    def of(cls, service: Service, artist: Artist, shown: ShownSet, items: list[ItemAnswer]) -> "LiveSetAnswer":
        """Return as it is shown."""
        return cls(
            entry=EntryAnswer.of(service, artist, shown.entry),
            facts=FactsAnswer.of(shown.facts),
            style=mapping(shown.context, "style"),
            context=shown.context,
            grid=None if shown.grid is None else GridAnswer.of(shown.grid),
            locators=[PlaceAnswer(**vars(place)) for place in shown.locators],
            sections=[SectionAnswer(**vars(section)) for section in shown.sections],
            items=items,
        )


def all_badges(counted: dict[str, int]) -> Badges:
    """Return the counts with a 0 for each badge that nothing has."""
    return {badge: counted.get(badge, 0) for badge in BADGES}
