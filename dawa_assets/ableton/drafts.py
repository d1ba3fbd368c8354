"""Tracks, clips, devices and files while they are being read, and how they become part of a `LiveSet`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from dawa_assets.ableton.live_set import ArrangementClip, Device, Plugin, Sample, SessionClip, Track, TrackType

_SEPARATORS = re.compile(r"[/\\]+")


@dataclass(slots=True)
class DeviceDraft:
    """A device whose plugin or patch is still to come."""

    kind: str
    level: int
    plugin: Plugin | None = None
    max_patch: str | None = None


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
    arrangement_clips: list[ArrangementClip] = field(default_factory=list)
    session_clips: list[SessionClip] = field(default_factory=list)
    devices: list[DeviceDraft] = field(default_factory=list)
    samples: dict[str, Sample] = field(default_factory=dict)
    automated_parameters: int = 0


@dataclass(slots=True)
class ClipDraft:
    """A clip whose place, in beats, is not yet checked."""

    start: str = ""
    end: str = ""
    name: str = ""
    colour: int | None = None


@dataclass(slots=True)
class FileDraft:
    """A reference to a file, in the form of any version."""

    name: str = ""
    path: str = ""
    relative_path: str = ""
    folders: list[str] = field(default_factory=list)

    def as_sample(self) -> Sample:
        """Name and path; the name is empty where nothing is referred to."""
        name = self.name or _last_part(self.path) or _last_part(self.relative_path)
        if self.relative_path:
            path = self.relative_path
        elif self.folders:
            path = "/".join([*self.folders, name])
        else:
            path = self.path or name
        return Sample(name, path.replace("\\", "/"))


def finished_tracks(drafts: Sequence[TrackDraft]) -> tuple[Track, ...]:
    """The tracks in order, each with its name, the group around it and its level."""
    groups: dict[str, int] = {}
    tracks: list[Track] = []
    returns = 0
    for index, draft in enumerate(drafts):
        # Live writes a group before what it holds; looking only backwards leaves no way to build a ring.
        group = groups.get(draft.group_id)
        level = 0 if group is None else tracks[group].level + 1
        returns += draft.type == "Return"
        number = ascii_uppercase[(returns - 1) % 26] if draft.type == "Return" else str(index + 1)
        tracks.append(_finished_track(draft, index, number, group, level))
        if draft.type == "Group":
            groups[draft.id] = index
    return tuple(tracks)


def finished_devices(drafts: Iterable[DeviceDraft]) -> tuple[Device, ...]:
    """The devices in the order of the chain, racks before what is in them."""
    return tuple(Device(draft.kind, draft.level, draft.plugin, draft.max_patch) for draft in drafts)


def _finished_track(draft: TrackDraft, index: int, number: str, group: int | None, level: int) -> Track:
    return Track(
        id=draft.id,
        index=index,
        type=draft.type,
        name=_shown_name(draft, number),
        group=group,
        level=level,
        colour=draft.colour,
        frozen=draft.frozen,
        arrangement_clips=tuple(draft.arrangement_clips),
        session_clips=tuple(draft.session_clips),
        devices=finished_devices(draft.devices),
        samples=tuple(draft.samples.values()),
        automated_parameters=draft.automated_parameters,
    )


def _shown_name(draft: TrackDraft, number: str) -> str:
    """Live 8 keeps no name that was not typed; Live shows such a track by its number (a return by its letter)."""
    for name in (draft.effective_name, draft.user_name):
        if name.strip():
            return name
    return f"{number}-{draft.type}"


def _last_part(path: str) -> str:
    return _SEPARATORS.split(path.rstrip("/\\"))[-1]
