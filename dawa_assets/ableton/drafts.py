"""Tracks, clips, devices and files while they are being read: what an element says before its end is known."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from dawa_assets.ableton.file_places import location_of, path_of_data
from dawa_assets.ableton.live_set import (
    ArrangementClip,
    Played,
    Plugin,
    Sample,
    Scale,
    SessionClip,
    TrackType,
)
from dawa_assets.ableton.notes import Tally
from dawa_assets.ableton.values import MAX_PATH, text

_SEPARATORS = re.compile(r"[/\\]+")
# The lowest that Live's faders and gains go: -70 dB, which it shows as -inf.
SILENCE = 0.000317


@dataclass(slots=True)
class SwitchDraft:
    """An on/off parameter: its value, the id that automation knows it by, and, until Live 9, its own automation."""

    manual: bool = True
    target: str = ""
    automated: bool = False
    ever_on: bool = False

    def is_on(self, switched: dict[str, bool]) -> bool:
        """Return whether it is on at any time, by its automation where it has one, else by its value.

        `switched` has for the id of every switch with an envelope whether the envelope ever turns it on.
        """
        if self.automated:
            return self.ever_on
        return switched.get(self.target, self.manual)


@dataclass(slots=True)
class LevelDraft:
    """A fader: its value, and whether automation moves it."""

    value: float = 1.0
    target: str = ""
    automated: bool = False

    def is_up(self, moved: set[str]) -> bool:
        """Return whether it lets anything through."""
        return self.value > SILENCE or self.automated or self.target in moved


@dataclass(slots=True)
class ChainDraft:
    """A chain of a rack. `receives` is the pitch that a drum rack's chain listens to: None if unsaid, -1 for any."""

    name: str = ""
    user_name: str = ""
    speaker: SwitchDraft = field(default_factory=SwitchDraft)
    soloed: bool = False
    receives: int | None = None
    sends: int = 60
    keys: tuple[int, int] = (0, 127)
    zone: tuple[int, int] = (0, 127)
    is_return: bool = False
    devices: list[DeviceDraft] = field(default_factory=list)


@dataclass(slots=True)
class DeviceDraft:
    """A device whose plugin, patch and chains are still to come; `pitch` is what a Pitch device adds, in semitones."""

    kind: str
    level: int
    plugin: Plugin | None = None
    max_patch: str | None = None
    on: SwitchDraft = field(default_factory=SwitchDraft)
    name: str = ""
    preset: str = ""
    pitch: int = 0
    selector: int = 0
    selector_target: str = ""
    chains: list[ChainDraft] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    active: bool = True
    played: Played | None = None


@dataclass(slots=True)
class TrackDraft:
    """A track whose name, clips and devices are still to come; the main track is one, too."""

    type: TrackType = "MIDI"
    id: str = ""
    effective_name: str = ""
    user_name: str = ""
    group_id: str = ""
    colour: int | None = None
    frozen: bool = False
    speaker: SwitchDraft = field(default_factory=SwitchDraft)
    volume: LevelDraft = field(default_factory=LevelDraft)
    soloed: bool = False
    sends: bool = False
    output: str = ""
    audio_input: str = ""
    midi_output: str = ""
    midi_input: str = ""
    monitoring: Literal["in", "auto", "off"] = "auto"
    switched: dict[str, bool] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    arrangement_clips: list[ArrangementClip] = field(default_factory=list)
    session_clips: list[SessionClip] = field(default_factory=list)
    arrangement_notes: Tally = field(default_factory=Tally)
    session_notes: Tally = field(default_factory=Tally)
    chain: ChainDraft = field(default_factory=ChainDraft)
    devices: list[DeviceDraft] = field(default_factory=list)
    samples: dict[Sample, None] = field(default_factory=dict)
    arrangement_scales: dict[Scale, float] = field(default_factory=dict)
    session_scales: dict[Scale, float] = field(default_factory=dict)
    automated_parameters: int = 0
    onset_beats: array[float] = field(default_factory=lambda: array("d"))
    onset_weights: array[float] = field(default_factory=lambda: array("d"))
    onset_pitches: array[int] = field(default_factory=lambda: array("h"))
    onset_lengths: array[float] = field(default_factory=lambda: array("d"))


class Stroke(NamedTuple):
    """A beat of a clip's content at which something begins; what a lane of notes plays has its pitch in the end."""

    beat: float
    weight: float
    length: float = 0.0
    pitch: int = -1


@dataclass(slots=True)
class ClipDraft:
    """A clip whose place, in beats, is not yet checked.

    `strokes` are what begins in its content, where that was asked for.
    """

    start: str = ""
    end: str = ""
    name: str = ""
    colour: int | None = None
    disabled: bool = False
    gain: float = 1.0
    sample: str = ""
    loop_start: str = ""
    loop_end: str = ""
    loops: bool = False
    offset: str = "0"
    scale_root: str = ""
    scale_name: str = ""
    notes: Tally | None = None
    warped: bool = False
    strokes: list[Stroke] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Whether it is played: not if it is deactivated or without gain."""
        return not self.disabled and self.gain > SILENCE

    @property
    def empty(self) -> bool:
        """Whether it has room for notes and none."""
        return self.notes is not None and not self.notes


@dataclass(slots=True)
class SceneDraft:
    """What launching a scene sets, from Live 11, and whether it does."""

    tempo: float = 0.0
    sets_tempo: bool = False
    metre: float = -1.0
    sets_metre: bool = False


@dataclass(slots=True)
class FileDraft:
    """A reference to a file, in the form of any version. `data` is in hexadecimal digits, `file_places.py` reads it."""

    name: str = ""
    path: str = ""
    relative_path: str = ""
    folders: list[str] = field(default_factory=list)
    hint: list[str] = field(default_factory=list)
    data: str = ""
    relative_to: str = ""
    is_relative: bool = True
    pack: str = ""

    def as_sample(self) -> Sample:
        """Name and path; the name is empty where nothing is referred to."""
        name = self.name or _last_part(self.path) or _last_part(self.relative_path)
        if not name:
            return Sample("", "")
        relative = ""
        if self.is_relative:
            relative = self.relative_path or ("/".join([*self.folders, name]) if self.folders else "")
        relative = relative.replace("\\", "/")
        relative_to = self.relative_to if self.is_relative else ""
        absolute = self._absolute(name)
        return Sample(name, relative or absolute or name, location_of(relative_to, relative, self.pack, absolute))

    def _absolute(self, name: str) -> str:
        """Where Live last saw the file: what it says itself, else what the system called it, else its search's hint."""
        if self.path:
            return self.path.replace("\\", "/")
        seen = text(path_of_data(self.data), longest=MAX_PATH) if self.data else ""
        return seen or ("/" + "/".join([*self.hint, name]) if self.hint else "")


def _last_part(path: str) -> str:
    return _SEPARATORS.split(path.rstrip("/\\"))[-1]
