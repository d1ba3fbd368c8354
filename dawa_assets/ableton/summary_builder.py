"""Makes the `AlsSummary` of a set: counts, names and lists out of what was read, each in the form that is stored."""

from pathlib import PurePath
from typing import Literal

from dawa_assets.ableton.devices import PLUGINS, live_device
from dawa_assets.ableton.genres import genre_indicators
from dawa_assets.ableton.live_set import Device, LiveSet, Track
from dawa_assets.ableton.naming import unique_names
from dawa_assets.ableton.scales import key_of
from dawa_assets.ableton.summary import (
    PARSER_VERSION,
    AlsSummary,
    DeviceSummary,
    HierarchyChild,
    HierarchyEntry,
    LocatorSummary,
    NotesSummary,
    Overview,
    PadSummary,
    SampleUse,
    ScaleSummary,
    TempoChange,
    TempoRange,
    TimeSignatureChange,
    TrackDetails,
)
from dawa_assets.ableton.usage import clip_names, pads_in_use, plugins_in_use, samples_in_use


def summarise(live_set: LiveSet, *, als_filename: str, project_folder: str, artist_name: str) -> AlsSummary:
    """Return the summary of a set that lies in `project_folder` (a name, perhaps empty) as `als_filename`."""
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
