"""What plays when in a song, as its Live Set knows it, and what of that falls into a stretch of its sound.

Messages only: how a timeline comes out of a Live Set is `dawa_assets/arrangements`', what is read off it is
`span_facts.py`'s.
"""

from typing import Literal, get_args

from pydantic import Field

from modal_app.protocol.base import Message

Section = Literal[
    "intro",
    "verse",
    "pre-chorus",
    "chorus",
    "bridge",
    "build",
    "drop",
    "breakdown",
    "interlude",
    "solo",
    "main",
    "outro",
]
"""The parts of a song that are told apart; locators under other names for them are kept by these."""

SECTIONS: tuple[Section, ...] = get_args(Section)

Role = Literal["rhythm", "bass", "harmony", "melody", "voice", "texture"]
"""What an instrument does, in the order in which prompts list instruments."""

ROLES: tuple[Role, ...] = get_args(Role)

Span = tuple[float, float]
"""Begin and end in seconds."""


class Voice(Message):
    """One instrument of a song, whichever tracks play it."""

    instrument: str = Field(description="as prompts call it, e.g. `kick`")
    role: Role
    spans: list[Span] = Field(description="when it sounds, in order and apart; pauses of up to a bar are in them")
    told_by: list[str] = Field(
        default_factory=list, description="the particular instruments beside which a general word says nothing more"
    )
    told_by_at_least: int = Field(1, description="how many of those it takes")


class Layer(Message):
    """One track of a song, whatever it plays."""

    track: str
    spans: list[Span] = Field(description="when it sounds, as those of a voice")


class SectionStart(Message):
    """Where a section begins; None where one ends that no other follows."""

    seconds: float
    name: Section | None


class MetreStart(Message):
    """From when a time signature holds."""

    seconds: float
    time_signature: str


class SongTimeline(Message):
    """A song by its own clock, in seconds.

    As it is stored, 0 is the arrangement's zero and the tempo its own. `by_bounce_clock` gives the same by the clock of
    a sound: it may then begin before 0, where only the end of a song was rendered.
    """

    version: str
    begin: float = Field(0.0, description="where the arrangement begins; nothing is known before it")
    end: float = Field(description="where the last of it that sounds ends; nothing is known behind it")
    bars: list[float] = Field(description="when each bar begins, and the end of the last; bar 1 is the first")
    metres: list[MetreStart]
    sections: list[SectionStart] = Field(description="in order; empty where the set does not say")
    voices: list[Voice]
    layers: list[Layer] = Field(description="the tracks that sound, those too whose names say no instrument")
    musical_key: str | None = Field(None, description="e.g. `A minor`")

    @property
    def section_spans(self) -> list[tuple[Section, Span]]:
        """Each section that has a name, with its begin and end."""
        ends = [*(each.seconds for each in self.sections[1:]), self.end]
        return [(each.name, (each.seconds, end)) for each, end in zip(self.sections, ends, strict=False) if each.name]

    def by_bounce_clock(self, offset: float, speed: float) -> "SongTimeline":
        """Return the same by the clock of a sound that begins at `offset` seconds of a rendering.

        Args:
            offset: as an alignment says it; negative where something lies before the song.
            speed: the tempo of the rendering over the set's own.
        """

        def at(seconds: float) -> float:
            return round(seconds / speed - offset, 6)

        def shifted(spans: list[Span]) -> list[Span]:
            return [(at(start), at(end)) for start, end in spans]

        return self.model_copy(
            update={
                "begin": at(self.begin),
                "end": at(self.end),
                "bars": [at(each) for each in self.bars],
                "metres": [each.model_copy(update={"seconds": at(each.seconds)}) for each in self.metres],
                "sections": [each.model_copy(update={"seconds": at(each.seconds)}) for each in self.sections],
                "voices": [each.model_copy(update={"spans": shifted(each.spans)}) for each in self.voices],
                "layers": [each.model_copy(update={"spans": shifted(each.spans)}) for each in self.layers],
            }
        )


class Sounding(Message):
    """An instrument that sounds in a stretch, and for which share of it."""

    instrument: str
    role: Role
    share: float = Field(ge=0, le=1)


class Change(Message):
    """An instrument that comes in after a pause or goes for a while; seconds from the beginning of the stretch."""

    instrument: str
    seconds: float


class SpanFacts(Message):
    """What a Live Set knows of a stretch of a sound, from `start` to `end` seconds."""

    version: str
    start: float
    end: float
    first_bar: int = Field(description="that sounds in it; the song's first is 1")
    last_bar: int
    sections: tuple[Section, ...] = Field(description="in order; empty where the set does not say")
    instruments: list[Sounding] = Field(description="by role, as prompts list them")
    enters: list[Change]
    leaves: list[Change]
    density: float | None = Field(
        description="how many tracks sound at once, over the song's own mean; None where none is known"
    )
    musical_key: str | None
    time_signature: str | None
