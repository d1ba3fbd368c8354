"""What the reader finds in a Live Set, whatever version of Live wrote it.

Plain frozen values in beats and file order. What of it sounds is decided in `audible.py` and `chains.py` and kept
here as flags; what the pipeline stores is `summary.py`'s, how it looks is `timeline.py`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from dawa_assets.ableton.time_map import MetreChange, MetreMap, Prevailing, TempoMap, TempoPoint, TimeSignature, united

TrackType = Literal["MIDI", "Audio", "Group", "Return"]
Location = Literal["project", "user library", "pack", "elsewhere", ""]


@dataclass(frozen=True, slots=True)
class Scale:
    """A root such as `F#` and the name of a scale such as `Minor`."""

    root: str
    name: str


@dataclass(frozen=True, slots=True)
class ArrangementClip:
    """A clip on the timeline: `start` and `end` in quarter beats, `colour` 0..69 or None for its track's.

    `active` is False where it is not played: deactivated, or without any gain. `empty` is MIDI without a note.
    """

    start: float
    end: float
    name: str
    colour: int | None
    active: bool = True
    empty: bool = False
    sample: str = ""

    @property
    def heard(self) -> bool:
        """Whether it makes sound where its track does."""
        return self.active and not self.empty

    @property
    def length(self) -> float:
        """In quarter beats."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class SessionClip:
    """A clip in the session view: `slot` is the scene's index, from 0; `length` in quarter beats; `active` as above."""

    slot: int
    name: str
    colour: int | None
    active: bool = True
    empty: bool = False
    length: float = 0.0
    sample: str = ""

    @property
    def heard(self) -> bool:
        """Whether it makes sound where its track does."""
        return self.active and not self.empty


@dataclass(frozen=True, slots=True)
class Played:
    """How often a pitch is played, repetitions of loops included, and for how many quarter beats in all."""

    notes: int
    beats: float


@dataclass(frozen=True, slots=True)
class Onsets:
    """When something begins in clips, one number of each kind for each onset.

    `beats` are quarter beats from the arrangement's zero, `weights` go up to 1, `pitches` are MIDI's and -1 for what is
    no note, `lengths` are the quarter beats that a note is held for.
    """

    beats: Sequence[float] = ()
    weights: Sequence[float] = ()
    pitches: Sequence[int] = ()
    lengths: Sequence[float] = ()


Notes = Mapping[int, Played]
"""By MIDI pitch, 0..127; C-2 in Live's words is 0."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One instance of a plugin; `format` is VST2, VST3 or AU."""

    name: str
    format: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A sound file that a clip or a device plays.

    `path` is relative to the set's project or library where the set says so, else absolute, always with `/`.
    `location` is empty where the set doesn't say.
    """

    name: str
    path: str
    location: Location = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One device, those inside of racks too.

    `kind` is Live's own word for it (`Eq8`, `DrumGroupDevice`, `PluginDevice`), `level` how many racks it is
    in, `max_patch` the file name of a Max for Live device. `name` is what its user called it, `preset` the name of the
    preset that it was loaded from. `active` is False where it is switched off, or stands in a chain or rack that is, or
    in one that none of the track's notes reach. `played` are the notes that reach it, None where they are not known.
    """

    kind: str
    level: int
    plugin: Plugin | None
    max_patch: str | None
    name: str = ""
    preset: str = ""
    active: bool = True
    samples: tuple[Sample, ...] = ()
    played: Played | None = None


@dataclass(frozen=True, slots=True)
class Pad:
    """A chain of a drum rack: its name, the pitch that it listens to (None: to all), and how it is played.

    `samples` are the files behind it. An inner rack's pads come after the pad that holds them.
    """

    name: str
    note: int | None
    played: Played
    samples: tuple[str, ...]
    level: int
    holds_pads: bool


@dataclass(frozen=True, slots=True)
class Track:
    """One track, as Live lists it.

    `name` is what Live shows, so never empty, but not always unique; `is_named` tells whether somebody gave it. `group`
    is the index of the group track that holds it, `level` how many groups are around it. `samples` has each file once.
    `audible` is False where nothing of it can be heard: muted by itself or a group, not among the soloed, faded out, or
    routed nowhere. `fed_by` are the indexes of the tracks that play their notes through this one. `notes` are those of
    its active clips in the view that counts, `pads` those of its drum racks; `notes_unsure` says that a device changes
    the notes in a way that can't be followed. `onsets` are those of its active arrangement clips, where they were asked
    for.
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
    audible: bool = True
    fed_by: tuple[int, ...] = ()
    is_named: bool = True
    notes: Notes = field(default_factory=dict)
    notes_unsure: bool = False
    pads: tuple[Pad, ...] = ()
    onsets: Onsets = Onsets()

    @property
    def is_fed(self) -> bool:
        """Whether another track plays its notes through this one."""
        return bool(self.fed_by)

    @property
    def clips(self) -> int:
        """Clips of both views."""
        return len(self.arrangement_clips) + len(self.session_clips)

    @property
    def active_clips(self) -> int:
        """Clips of both views that sound when the track does."""
        arrangement = sum(clip.heard for clip in self.arrangement_clips)
        return arrangement + sum(clip.heard for clip in self.session_clips)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every instance, in the order of the chain."""
        return tuple(device.plugin for device in self.devices if device.plugin is not None)

    @property
    def active_devices(self) -> tuple[Device, ...]:
        """The devices that do something, in the order of the chain."""
        return tuple(device for device in self.devices if device.active)

    @property
    def max_patches(self) -> tuple[str, ...]:
        """File names of the Max for Live devices, in the order of the chain."""
        return tuple(device.max_patch for device in self.devices if device.max_patch is not None)


@dataclass(frozen=True, slots=True)
class Locator:
    """A named place on the timeline: `time` in quarter beats."""

    time: float
    name: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A row of the session view, with the tempo and the time signature that launching it sets."""

    name: str
    tempo: float | None = None
    time_signature: TimeSignature | None = None


@dataclass(frozen=True)
class LiveSet:
    """A whole set.

    `name` is the file's stem, `tempo` and `time_signature` are the manual ones, whatever automation does to them
    during the song; `metre_changes` are those of the time signature. `scale` is the set's own where one was chosen and
    `in_key` whether it is held to; `clip_scales` are the clips' own with the quarter beats that each holds. `warnings`
    are lines about what had to be passed over.
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
    in_key: bool = False
    clip_scales: Mapping[Scale, float] = field(default_factory=dict)
    metre_changes: tuple[MetreChange, ...] = ()
    scene_settings: tuple[Scene, ...] = ()
    warnings: tuple[str, ...] = ()

    @cached_property
    def tempo_map(self) -> TempoMap:
        """The tempo at every beat."""
        return TempoMap(self.tempo_changes, self.tempo)

    @cached_property
    def metre_map(self) -> MetreMap:
        """The bars of the song."""
        return MetreMap(self.time_signature, self.metre_changes)

    @cached_property
    def played_tempo(self) -> Prevailing:
        """The tempo that holds for the most of what sounds.

        Without an arrangement it is the scenes' where those that set any agree, else the manual one.
        """
        found = self.tempo_map.prevailing(united((clip.start, clip.end) for clip in self.sounding_clips()))
        if found is not None:
            return found
        launched = {scene.tempo for scene in self._launched if scene.tempo is not None}
        bpm = round(launched.pop() if len(launched) == 1 else self.tempo, 2)
        return Prevailing(bpm, bpm, bpm)

    @cached_property
    def played_time_signature(self) -> TimeSignature:
        """The time signature that holds the longest; without an arrangement the scenes', where they agree."""
        if self.length_beats > 0:
            return self.metre_map.prevailing(self.length_beats)
        launched = {scene.time_signature for scene in self._launched if scene.time_signature is not None}
        return launched.pop() if len(launched) == 1 else self.metre_map.changes[0][1]

    @property
    def seconds(self) -> float:
        """How long the arrangement lasts, under any automation of its tempo."""
        return self.tempo_map.seconds(0.0, self.length_beats)

    @property
    def _launched(self) -> tuple[Scene, ...]:
        """The scenes with clips that would be heard; all, where none has any."""
        slots = {clip.slot for track in self.tracks if track.audible for clip in track.session_clips if clip.heard}
        with_clips = tuple(scene for slot, scene in enumerate(self.scene_settings) if slot in slots)
        return with_clips or self.scene_settings

    @cached_property
    def has_arrangement(self) -> bool:
        """Whether the song is what the arrangement says: anything sounds there, or the session has no clip."""
        audible = [track for track in self.tracks if track.audible]
        if any(clip.heard for track in audible for clip in track.arrangement_clips):
            return True
        return not any(clip.heard for track in audible for clip in track.session_clips)

    def sounds(self, track: Track) -> bool:
        """Return whether a track is heard in the view that counts."""
        clips: Sequence[ArrangementClip | SessionClip] = track.session_clips
        if self.has_arrangement:
            clips = track.arrangement_clips
        return track.audible and (track.is_fed or any(clip.heard for clip in clips))

    @property
    def sounding_tracks(self) -> tuple[Track, ...]:
        """The tracks that are heard, in order."""
        return tuple(track for track in self.tracks if self.sounds(track))

    def sounding_clips(self) -> Iterator[ArrangementClip]:
        """Yield the arrangement's clips that are heard.

        Where nothing is, those that would play if they weren't empty.
        """
        clips = [clip for track in self.tracks if track.audible for clip in track.arrangement_clips if clip.active]
        heard = [clip for clip in clips if not clip.empty]
        yield from heard or (clips if self.has_arrangement else [])

    @cached_property
    def arrangement_beats(self) -> float:
        """Where the last clip of the arrangement ends, heard or not, in quarter beats; 0 without one."""
        return max((clip.end for track in self.tracks for clip in track.arrangement_clips), default=0.0)

    @cached_property
    def length_beats(self) -> float:
        """Where the last clip of the arrangement that is heard ends, in quarter beats; 0 without one."""
        return max((clip.end for clip in self.sounding_clips()), default=0.0)

    @property
    def length_bars(self) -> float:
        """`length_beats` in bars, through all changes of time signature."""
        return self.metre_map.bars(self.length_beats)

    @property
    def main_plugins(self) -> tuple[Plugin, ...]:
        """Plugins of the main track, which is not among `tracks`."""
        return tuple(device.plugin for device in self.main_devices if device.plugin is not None)

    @property
    def main_max_patches(self) -> tuple[str, ...]:
        """File names of the main track's Max for Live devices."""
        return tuple(device.max_patch for device in self.main_devices if device.max_patch is not None)

    def tracks_of(self, kind: TrackType) -> tuple[Track, ...]:
        """Return the tracks of one type, in order."""
        return tuple(track for track in self.tracks if track.type == kind)
