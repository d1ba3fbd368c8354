"""The `AlsSummary` that is stored for every Live Set: the interface that dashboard and prompts were made for.

The fields up to `genre_indicators` are the specification's, none renamed and none missing; those after it are
this project's. What a field means where the interface leaves it open is said here; `summary_builder.py` fills them.
"""

from typing import Literal

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

# Raised whenever the same bytes would give another summary; older ones are then made anew.
PARSER_VERSION = "als-3"


class Overview(BaseModel):
    """The set at a glance; `total_tracks` has no main.

    `tempo` (BPM, at most two decimals) and `time_signature` are those that hold for the most of what sounds.
    """

    tempo: float
    time_signature: str
    midi_tracks: int
    audio_tracks: int
    group_tracks: int
    return_tracks: int
    total_tracks: int


class SampleUse(BaseModel):
    """Where a sample lies (of several with this file name, the first) and which tracks use it.

    `location` is `project`, `user library`, `pack` (Live's own library too), `elsewhere`, or empty if the set does not
    say. `paths` has every place where a file of this name lies. `tracks` is empty when only the main track does.
    """

    path: str
    paths: list[str]
    location: str
    tracks: list[str]


class NotesSummary(BaseModel):
    """The notes of a track's active clips: MIDI pitches, 60 is C3, and how many notes each pitch class from C has."""

    count: int
    lowest: int
    highest: int
    pitch_classes: list[int]


class PadSummary(BaseModel):
    """A pad of a drum rack that is played: `note` is None where it listens to all, `plays` with loops repeated."""

    name: str
    note: int | None
    plays: int
    samples: list[str]


class DeviceSummary(BaseModel):
    """A device of a track, by the name that Live shows: one of Live's own, a plugin, or a Max for Live device.

    `kind` is `instrument`, `sampler`, `drums`, `rack`, `midi`, `effect`, `plugin`, or empty where no table knows it.
    `preset` is what it was loaded from, `label` what its user called it. `level` counts the racks around it. `active`
    is False where it is switched off, in a chain that is, or never reached by a note.
    """

    name: str
    kind: str
    preset: str
    label: str
    level: int
    active: bool


class TrackDetails(BaseModel):
    """A MIDI or audio track.

    `clips` counts both views, `devices` those inside of racks too, `plugins` has a name for each instance. These say
    what the set holds; what follows says what of it is heard. `sounding` is True where the track is not muted (by
    itself, a group, another's solo, its fader or its routing) and has a clip that sounds in the view that counts.
    `samples_in_use` has the quarter beats that each sample is played, the most played first; `pads` the pads that are
    hit, the most hit first. Where `notes_unsure`, a device changes the notes in a way that can't be followed.
    `clip_names` are the commonest of a track that nobody named.
    """

    type: Literal["MIDI", "Audio"]
    clips: int
    group: str | None
    devices: int
    plugins: list[str]
    sample_files: list[str]
    has_automation: bool

    muted: bool
    sounding: bool
    active_clips: int
    plugins_in_use: list[str]
    samples_in_use: dict[str, float]
    notes: NotesSummary | None
    pads: list[PadSummary]
    notes_unsure: bool
    device_list: list[DeviceSummary]
    clip_names: list[str]


class HierarchyChild(BaseModel):
    """A track somewhere inside of a top group; `level` is how many groups are around it."""

    name: str
    type: Literal["MIDI", "Audio", "Group"]
    index: int
    level: int


class HierarchyEntry(BaseModel):
    """A track or group of the top level. All that a group holds, at any depth, is its `children`.

    What is no group has no such key, as in the interface.
    """

    name: str
    type: Literal["MIDI", "Audio", "Group"]
    index: int
    level: int
    children: list[HierarchyChild] | None = None

    @model_serializer(mode="wrap")
    def _without_no_children(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        fields: dict[str, object] = handler(self)
        return {key: value for key, value in fields.items() if key != "children" or value is not None}


class LocatorSummary(BaseModel):
    """A named place; `time` in quarter beats, `bar` from 1."""

    name: str
    time: float
    bar: float


class TempoChange(BaseModel):
    """A point of the tempo's automation; `time` in quarter beats."""

    time: float
    tempo: float


class TimeSignatureChange(BaseModel):
    """From where a time signature holds; `time` in quarter beats, `bar` from 1. The first is at 0."""

    time: float
    bar: float
    time_signature: str


class TempoRange(BaseModel):
    """The lowest and the highest tempo of what sounds, in BPM."""

    lowest: float
    highest: float


class ScaleSummary(BaseModel):
    """The key, and what says so.

    `origin` is `in key` (the set is held to it), `chosen` (it was set and not held to), `clips` (the clips' own) or
    `notes` (what is played fits it, with the correlation and its distance to the next key).
    """

    root: str
    name: str
    origin: str
    correlation: float | None = None
    margin: float | None = None


class AlsSummary(BaseModel):
    """See the module. Every track name that is a key is unique in the set and the same wherever it stands."""

    als_stem: str
    als_filename: str
    project_name: str
    project_folder: str
    artist_name: str
    overview: Overview
    plugin_usage: dict[str, int]
    plugins_by_track: dict[str, list[str]]
    sample_index: dict[str, SampleUse]
    track_breakdown: dict[str, TrackDetails]
    track_hierarchy: list[HierarchyEntry]
    genre_indicators: list[str]

    live_version: str
    length_beats: float
    length_bars: float
    arrangement_clips: int
    session_clips: int
    scenes: list[str]
    locators: list[LocatorSummary]
    tempo_changes: list[TempoChange]
    scale: ScaleSummary | None
    main_plugins: list[str]
    main_max_devices: list[str]
    max_devices_by_track: dict[str, list[str]]
    manual_tempo: float
    tempo_range: TempoRange
    duration_seconds: float
    time_signature_changes: list[TimeSignatureChange]
    layers: int
    warnings: list[str]
    active_clips: int
    plugins_in_use: dict[str, int]
    parser_version: str
