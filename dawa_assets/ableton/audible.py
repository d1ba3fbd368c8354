"""Which tracks can be heard: mutes, solos, faders, and where each track's sound goes.

A track is heard if it lets sound through and its output leads to the main track or out of the computer: by its group,
a return, or another track. Rings of tracks that feed each other lead nowhere.
"""

import re
from collections.abc import Sequence

from dawa_assets.ableton.drafts import TrackDraft

_TRACK = re.compile(r"Track\.(\d+)")
_GROUP = "GroupTrack"
_NOWHERE = "AudioOut/None"


def audible_tracks(drafts: Sequence[TrackDraft], groups: Sequence[int | None]) -> list[bool]:
    """For each track whether what it plays is heard. `groups` has the index of the group around each, or None."""
    out = _leading_out(drafts, groups)
    chosen = _soloed(drafts, groups)
    return [
        index in out and (chosen is None or index in chosen or draft.type in {"Group", "Return"})
        for index, draft in enumerate(drafts)
    ]


def note_sources(drafts: Sequence[TrackDraft]) -> dict[int, list[int]]:
    """By a track's index, the indexes of the tracks whose notes it plays beside its own."""
    by_id = {draft.id: index for index, draft in enumerate(drafts)}
    sources: dict[int, list[int]] = {}
    for index, draft in enumerate(drafts):
        target = by_id.get(_track_in(draft.midi_output))
        if target is not None and target != index:
            sources.setdefault(target, []).append(index)
        source = by_id.get(_track_in(draft.midi_input))
        if source is not None and source != index and draft.monitoring == "in":
            sources.setdefault(index, []).append(source)
    return sources


def _track_in(target: str) -> str:
    found = _TRACK.search(target)
    return found.group(1) if found else ""


def _soloed(drafts: Sequence[TrackDraft], groups: Sequence[int | None]) -> set[int] | None:
    """Return the tracks that are soloed or in a soloed group; None where none is."""
    chosen: set[int] = set()
    for index, draft in enumerate(drafts):
        group = groups[index]
        if draft.type != "Return" and (draft.soloed or group in chosen):
            chosen.add(index)
    return chosen or None


def _leading_out(drafts: Sequence[TrackDraft], groups: Sequence[int | None]) -> set[int]:
    """Return the tracks whose sound comes out somewhere: found backwards from those that end at the main track."""
    by_id = {draft.id: index for index, draft in enumerate(drafts)}
    open_ = [draft.speaker.is_on(draft.switched) and draft.volume.is_up(draft.moved) for draft in drafts]
    before: dict[int, list[int]] = {}
    sends_only: list[int] = []
    found: list[int] = []
    for index, draft in enumerate(drafts):
        group, target = groups[index], by_id.get(_track_in(draft.output))
        if _GROUP in draft.output and group is not None:
            before.setdefault(group, []).append(index)
        elif draft.output.startswith(_NOWHERE):
            sends_only += [index] if draft.sends else []
        elif target is not None:
            if drafts[target].monitoring != "off":
                before.setdefault(target, []).append(index)
        elif open_[index]:
            found.append(index)
        taken_from = by_id.get(_track_in(draft.audio_input))
        if taken_from is not None and draft.monitoring == "in":
            before.setdefault(index, []).append(taken_from)
    out = set(found)
    while found:
        here = found.pop()
        feeding = before.get(here, [])
        if drafts[here].type == "Return":
            feeding, sends_only = [*feeding, *sends_only], []
        for index in feeding:
            if open_[index] and index not in out:
                out.add(index)
                found.append(index)
    return out
