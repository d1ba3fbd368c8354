"""From drafts to a `LiveSet`'s tracks: names, groups, and what of each track is heard."""

from collections.abc import Sequence
from string import ascii_uppercase

from dawa_assets.ableton.audible import audible_tracks, note_sources
from dawa_assets.ableton.chains import Flow, changes_notes, finished_devices, follow
from dawa_assets.ableton.drafts import TrackDraft
from dawa_assets.ableton.live_set import Onsets, Scale, Track
from dawa_assets.ableton.notes import Tally


def finished_tracks(drafts: Sequence[TrackDraft]) -> tuple[Track, ...]:
    """Return the tracks in order, each with its name, the group around it, its level, and what of it is heard."""
    groups = _groups(drafts)
    audible = audible_tracks(drafts, groups)
    in_arrangement = _counts_the_arrangement(drafts, audible)
    sources = note_sources(drafts)
    tracks: list[Track] = []
    returns = 0
    for index, draft in enumerate(drafts):
        group = groups[index]
        level = 0 if group is None else tracks[group].level + 1
        returns += draft.type == "Return"
        number = ascii_uppercase[(returns - 1) % 26] if draft.type == "Return" else str(index + 1)
        flow = Flow(_played(draft, in_arrangement))
        fed: list[int] = []
        for source in sources.get(index, ()):
            others = _played(drafts[source], in_arrangement)
            if others and drafts[source].speaker.is_on(drafts[source].switched):
                fed.append(source)
                flow.unsure = flow.unsure or changes_notes(drafts[source].chain)
                flow.tally = flow.tally or Tally()
                flow.tally.add_all(others)
        tracks.append(_finished_track(draft, index, number, group, level, audible[index], flow, tuple(fed)))
    return tuple(tracks)


def clip_scales(drafts: Sequence[TrackDraft], tracks: Sequence[Track]) -> dict[Scale, float]:
    """Return the clips' own scales with the beats that each holds, in the view that counts, the longest first."""
    in_arrangement = _counts_the_arrangement(drafts, [track.audible for track in tracks])
    beats: dict[Scale, float] = {}
    for draft, track in zip(drafts, tracks, strict=True):
        for scale, lasting in (draft.arrangement_scales if in_arrangement else draft.session_scales).items():
            beats[scale] = beats.get(scale, 0.0) + (lasting if track.audible else 0.0)
    return {scale: beats[scale] for scale in sorted(beats, key=lambda scale: (-beats[scale], scale.root, scale.name))}


def _groups(drafts: Sequence[TrackDraft]) -> list[int | None]:
    """Return the index of the group around each track.

    Live writes a group before what it holds; looking only backwards leaves no way to build a ring.
    """
    known: dict[str, int] = {}
    groups: list[int | None] = []
    for index, draft in enumerate(drafts):
        groups.append(known.get(draft.group_id))
        if draft.type == "Group":
            known[draft.id] = index
    return groups


def _counts_the_arrangement(drafts: Sequence[TrackDraft], audible: Sequence[bool]) -> bool:
    heard = [draft for draft, is_audible in zip(drafts, audible, strict=True) if is_audible]
    if any(clip.heard for draft in heard for clip in draft.arrangement_clips):
        return True
    return not any(clip.heard for draft in heard for clip in draft.session_clips)


def _played(draft: TrackDraft, in_arrangement: bool) -> Tally | None:
    """Return a copy of what the track's own clips play; None where they are no MIDI clips with notes in them."""
    clips = draft.arrangement_clips if in_arrangement else draft.session_clips
    notes = draft.arrangement_notes if in_arrangement else draft.session_notes
    if draft.type != "MIDI" or not clips or (not notes and any(clip.heard for clip in clips)):
        return None
    copy = Tally()
    copy.add_all(notes)
    return copy


def _finished_track(
    draft: TrackDraft,
    index: int,
    number: str,
    group: int | None,
    level: int,
    audible: bool,
    flow: Flow,
    fed: tuple[int, ...],
) -> Track:
    heard = follow(draft.chain, flow, draft.switched, draft.moved)
    named = next((name for name in (draft.effective_name, draft.user_name) if name.strip()), "")
    return Track(
        id=draft.id,
        index=index,
        type=draft.type,
        # Live 8 keeps no name that was not typed; Live shows such a track by its number (a return by its letter).
        name=named or f"{number}-{draft.type}",
        group=group,
        level=level,
        colour=draft.colour,
        frozen=draft.frozen,
        arrangement_clips=tuple(draft.arrangement_clips),
        session_clips=tuple(draft.session_clips),
        devices=finished_devices(draft.devices),
        samples=tuple(draft.samples),
        automated_parameters=draft.automated_parameters,
        audible=audible,
        fed_by=fed,
        is_named=bool(draft.user_name.strip()),
        notes=flow.tally.by_pitch() if flow.tally is not None else {},
        notes_unsure=heard.unsure,
        pads=tuple(heard.pads),
        onsets=Onsets(draft.onset_beats, draft.onset_weights, draft.onset_pitches, draft.onset_lengths),
    )
