"""What the reader finds in a Live Set, whatever version of Live wrote it.

Plain frozen values in beats and file order. What the pipeline stores of them is `summary.py`'s, how they look
is `timeline.py`'s.
"""

from dataclasses import dataclass
from typing import Literal

TrackType = Literal["MIDI", "Audio", "Group", "Return"]


@dataclass(frozen=True, slots=True)
class ArrangementClip:
    """A clip on the timeline: `start` and `end` in quarter beats, `colour` 0..69 or None for its track's."""

    start: float
    end: float
    name: str
    colour: int | None


@dataclass(frozen=True, slots=True)
class SessionClip:
    """A clip in the session view: `slot` is the scene's index, from 0."""

    slot: int
    name: str
    colour: int | None


@dataclass(frozen=True, slots=True)
class Plugin:
    """One instance of a plugin; `format` is VST2, VST3 or AU."""

    name: str
    format: str


@dataclass(frozen=True, slots=True)
class Device:
    """One device, those inside of racks too.

    `kind` is Live's own word for it (`Eq8`, `DrumGroupDevice`, `PluginDevice`), `level` how many racks it is
    in, `max_patch` the file name of a Max for Live device.
    """

    kind: str
    level: int
    plugin: Plugin | None
    max_patch: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """A sound file that a clip or a device plays.

    `path` is relative to the set's project or library where the set says so, else absolute, always with `/`.
    """

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Track:
    """One track, as Live lists it.

    `name` is what Live shows, so never empty, but not always unique. `group` is the index of the group track
    that holds it, `level` how many groups are around it. `samples` holds each file name once.
    """

    id: str
    index: int
    type: TrackType
    name: str
    group: int | None
    level: int
    colour: int | None
    frozen: bool
    arrangement_clips: tuple[ArrangementClip, ...]
    session_clips: tuple[SessionClip, ...]
    devices: tuple[Device, ...]
    samples: tuple[Sample, ...]
    automated_parameters: int

    @property
    def clips(self) -> int:
        """Clips of both views."""
        return len(self.arrangement_clips) + len(self.session_clips)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every instance, in the order of the chain."""
        return tuple(device.plugin for device in self.devices if device.plugin is not None)

    @property
    def max_patches(self) -> tuple[str, ...]:
        """File names of the Max for Live devices, in the order of the chain."""
        return tuple(device.max_patch for device in self.devices if device.max_patch is not None)


@dataclass(frozen=True, slots=True)
class TempoPoint:
    """A point of the automated tempo: `time` in quarter beats."""

    time: float
    bpm: float


@dataclass(frozen=True, slots=True)
class Locator:
    """A named place on the timeline: `time` in quarter beats."""

    time: float
    name: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale that the set was switched to: a root such as `F#` and a name such as `Minor`."""

    root: str
    name: str


@dataclass(frozen=True, slots=True)
class TimeSignature:
    """Beats in a bar and the note that is one beat."""

    numerator: int
    denominator: int

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"

    @property
    def beats_per_bar(self) -> float:
        """Length of a bar in quarter beats."""
        return self.numerator * 4 / self.denominator


@dataclass(frozen=True, slots=True)
class LiveSet:
    """A whole set.

    `name` is the file's stem, `tempo` the manual one in BPM, whatever automation does to it during the song.
    """

    name: str
    live_version: str
    tempo: float
    tempo_changes: tuple[TempoPoint, ...]
    time_signature: TimeSignature
    tracks: tuple[Track, ...]
    main_devices: tuple[Device, ...]
    main_samples: tuple[Sample, ...]
    locators: tuple[Locator, ...]
    scenes: tuple[str, ...]
    scale: Scale | None

    @property
    def length_beats(self) -> float:
        """Where the last clip of the arrangement ends, in quarter beats; 0 without one."""
        return max((clip.end for track in self.tracks for clip in track.arrangement_clips), default=0.0)

    @property
    def length_bars(self) -> float:
        """`length_beats` in bars of the set's time signature."""
        return self.length_beats / self.time_signature.beats_per_bar

    @property
    def main_plugins(self) -> tuple[Plugin, ...]:
        """Plugins of the main track, which is not among `tracks`."""
        return tuple(device.plugin for device in self.main_devices if device.plugin is not None)

    def tracks_of(self, kind: TrackType) -> tuple[Track, ...]:
        """The tracks of one type, in order."""
        return tuple(track for track in self.tracks if track.type == kind)
