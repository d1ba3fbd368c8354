"""The `AlsSummary` that is stored for every Live Set: the interface that dashboard and prompts were made for.

The fields up to `genre_indicators` are the specification's, none renamed and none missing; those after it are
this project's. What a field means where the interface leaves it open is said here.
"""

from pathlib import PurePath
from typing import Literal

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from dawa_assets.ableton.devices import PLUGINS, live_device
from dawa_assets.ableton.genres import genre_indicators
from dawa_assets.ableton.live_set import Device, LiveSet, Track
from dawa_assets.ableton.naming import unique_names
from dawa_assets.ableton.scales import key_of
from dawa_assets.ableton.usage import clip_names, pads_in_use, plugins_in_use, samples_in_use

# Raised whenever the same bytes would give another summary; older ones are then made anew.
PARSER_VERSION = "als-2"


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


def summarise(live_set: LiveSet, *, als_filename: str, project_folder: str, artist_name: str) -> AlsSummary:
    """The summary of a set that lies in `project_folder` (a name, perhaps empty) as `als_filename`."""
    stem = PurePath(als_filename).stem
    names = unique_names([track.name for track in live_set.tracks])
    tracks = list(zip(names, live_set.tracks, strict=True))
    return AlsSummary(
        als_stem=stem,
        als_filename=als_filename,
        project_name=project_folder or stem,
        project_folder=project_folder,
        artist_name=artist_name,
        overview=_overview(live_set),
        plugin_usage=_plugin_usage(live_set),
        plugins_by_track={name: _plugins(track) for name, track in tracks if track.plugins},
        sample_index=_sample_index(live_set, names),
        track_breakdown={
            name: _details(live_set, track, track.type, None if track.group is None else names[track.group])
            for name, track in tracks
            if track.type == "MIDI" or track.type == "Audio"
        },
        track_hierarchy=_hierarchy(live_set, names),
        genre_indicators=genre_indicators(live_set),
        live_version=live_set.live_version,
        length_beats=_rounded(live_set.length_beats),
        length_bars=_rounded(live_set.length_bars),
        arrangement_clips=sum(len(track.arrangement_clips) for track in live_set.tracks),
        session_clips=sum(len(track.session_clips) for track in live_set.tracks),
        scenes=list(live_set.scenes),
        locators=_locators(live_set),
        tempo_changes=[
            TempoChange(time=_rounded(point.time), tempo=round(point.bpm, 2)) for point in live_set.tempo_changes
        ],
        scale=_scale(live_set),
        main_plugins=[plugin.name for plugin in live_set.main_plugins],
        main_max_devices=list(live_set.main_max_patches),
        max_devices_by_track={name: list(track.max_patches) for name, track in tracks if track.max_patches},
        manual_tempo=round(live_set.tempo, 2),
        tempo_range=TempoRange(lowest=live_set.played_tempo.lowest, highest=live_set.played_tempo.highest),
        duration_seconds=round(live_set.seconds, 3),
        time_signature_changes=[
            TimeSignatureChange(
                time=_rounded(time), bar=_rounded(live_set.metre_map.bars(time) + 1), time_signature=str(signature)
            )
            for time, signature in live_set.metre_map.changes
        ],
        warnings=list(live_set.warnings),
        layers=len(live_set.sounding_tracks),
        active_clips=sum(track.active_clips for track in live_set.tracks if track.audible),
        plugins_in_use=plugins_in_use(live_set),
        parser_version=PARSER_VERSION,
    )


def _overview(live_set: LiveSet) -> Overview:
    return Overview(
        tempo=live_set.played_tempo.bpm,
        time_signature=str(live_set.played_time_signature),
        midi_tracks=len(live_set.tracks_of("MIDI")),
        audio_tracks=len(live_set.tracks_of("Audio")),
        group_tracks=len(live_set.tracks_of("Group")),
        return_tracks=len(live_set.tracks_of("Return")),
        total_tracks=len(live_set.tracks),
    )


def _details(live_set: LiveSet, track: Track, kind: Literal["MIDI", "Audio"], group: str | None) -> TrackDetails:
    notes = track.notes
    sounding = live_set.sounds(track)
    classes = [0] * 12
    for pitch, played in notes.items():
        classes[pitch % 12] += played.notes
    return TrackDetails(
        type=kind,
        clips=track.clips,
        group=group,
        devices=len(track.devices),
        plugins=_plugins(track),
        sample_files=list(dict.fromkeys(sample.name for sample in track.samples)),
        has_automation=track.automated_parameters > 0,
        muted=not track.audible,
        sounding=sounding,
        active_clips=track.active_clips,
        plugins_in_use=[
            device.plugin.name for device in track.active_devices if device.plugin is not None and sounding
        ],
        samples_in_use=samples_in_use(track, in_arrangement=live_set.has_arrangement) if sounding else {},
        notes=NotesSummary(count=sum(classes), lowest=min(notes), highest=max(notes), pitch_classes=classes)
        if notes
        else None,
        pads=[
            PadSummary(name=pad.name, note=pad.note, plays=pad.played.notes, samples=list(pad.samples))
            for pad in (pads_in_use(track) if sounding else ())
        ],
        notes_unsure=track.notes_unsure,
        device_list=[_device(device) for device in track.devices],
        clip_names=[] if track.is_named else clip_names(track, in_arrangement=live_set.has_arrangement),
    )


def _device(device: Device) -> DeviceSummary:
    known = live_device(device.kind)
    shown = known.name if known else device.kind
    if device.plugin is not None:
        shown = device.plugin.name
    elif device.max_patch is not None:
        shown = PurePath(device.max_patch).stem
    return DeviceSummary(
        name=shown,
        kind="plugin" if device.kind in PLUGINS else known.kind if known else "",
        preset=device.preset,
        label=device.name,
        level=device.level,
        active=device.active,
    )


def _plugins(track: Track) -> list[str]:
    return [plugin.name for plugin in track.plugins]


def _plugin_usage(live_set: LiveSet) -> dict[str, int]:
    """Instances by name on every track, groups, returns and main included; the most used first."""
    usage: dict[str, int] = {}
    for plugin in [*(plugin for track in live_set.tracks for plugin in track.plugins), *live_set.main_plugins]:
        usage[plugin.name] = usage.get(plugin.name, 0) + 1
    return dict(sorted(usage.items(), key=lambda use: (-use[1], use[0])))


def _sample_index(live_set: LiveSet, names: list[str]) -> dict[str, SampleUse]:
    index: dict[str, SampleUse] = {}
    users = [*zip(names, (track.samples for track in live_set.tracks), strict=True), (None, live_set.main_samples)]
    for name, samples in users:
        for sample in samples:
            use = index.setdefault(
                sample.name, SampleUse(path=sample.path, paths=[], location=sample.location, tracks=[])
            )
            if sample.path not in use.paths:
                use.paths.append(sample.path)
            if name is not None and use.tracks[-1:] != [name]:
                use.tracks.append(name)
    return dict(sorted(index.items()))


def _hierarchy(live_set: LiveSet, names: list[str]) -> list[HierarchyEntry]:
    """Returns stay out: they are in no group and the interface has no type for them."""
    top: dict[int, HierarchyEntry] = {}
    top_of: dict[int, int] = {}
    for name, track in zip(names, live_set.tracks, strict=True):
        if track.type == "Return":
            continue
        if track.group is None:
            top_of[track.index] = track.index
            children: list[HierarchyChild] | None = [] if track.type == "Group" else None
            top[track.index] = HierarchyEntry(name=name, type=track.type, index=track.index, level=0, children=children)
        else:
            top_of[track.index] = top_of[track.group]
            siblings = top[top_of[track.index]].children
            if siblings is not None:
                siblings.append(HierarchyChild(name=name, type=track.type, index=track.index, level=track.level))
    return list(top.values())


def _locators(live_set: LiveSet) -> list[LocatorSummary]:
    bars = live_set.metre_map.bars
    return [
        LocatorSummary(name=locator.name, time=_rounded(locator.time), bar=_rounded(bars(locator.time) + 1))
        for locator in sorted(live_set.locators, key=lambda locator: locator.time)
    ]


def _scale(live_set: LiveSet) -> ScaleSummary | None:
    key = key_of(live_set)
    if key is None:
        return None
    return ScaleSummary(
        root=key.scale.root, name=key.scale.name, origin=key.origin, correlation=key.correlation, margin=key.margin
    )


def _rounded(value: float) -> float:
    return round(value, 4)
