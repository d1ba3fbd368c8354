"""How much of what a set holds is in use: samples by the time that they play, pads and plugins that are heard."""

from collections import Counter

from dawa_assets.ableton.devices import live_device
from dawa_assets.ableton.live_set import Device, LiveSet, Pad, Track

MAX_CLIP_NAMES = 4


def samples_in_use(track: Track, *, in_arrangement: bool) -> dict[str, float]:
    """For each file that a track plays in the view that counts, for how many quarter beats; the most played first.

    A clip plays its sample for as long as it is; a device's samples share the notes that reach it. Impulse responses
    of reverbs and other files of effects are not played.
    """
    beats: dict[str, float] = {}
    clips = track.arrangement_clips if in_arrangement else track.session_clips
    lasting = 0.0
    for clip in clips:
        if clip.heard:
            lasting += clip.length
            if clip.sample:
                beats[clip.sample] = beats.get(clip.sample, 0.0) + clip.length
    if lasting or track.is_fed:
        for device in track.active_devices:
            if device.samples and _plays(device):
                share = (lasting if device.played is None else device.played.beats) / len(device.samples)
                for sample in device.samples:
                    beats[sample.name] = beats.get(sample.name, 0.0) + share
    return {name: round(beats[name], 4) for name in sorted(beats, key=lambda name: (-beats[name], name))}


def clip_names(track: Track, *, in_arrangement: bool) -> list[str]:
    """Return the names of the clips that a track plays in the view that counts, the commonest first; at most four."""
    clips = track.arrangement_clips if in_arrangement else track.session_clips
    names = Counter(clip.name.strip() for clip in clips if clip.heard and clip.name.strip())
    return [name for name, _ in sorted(names.items(), key=lambda each: (-each[1], each[0]))[:MAX_CLIP_NAMES]]


def pads_in_use(track: Track) -> list[Pad]:
    """Return the pads of a track's drum racks that are hit, the most hit first; all, where it can't be told which are.

    A pad that holds another drum rack is not listed, its pads are.
    """
    pads = [pad for pad in track.pads if not pad.holds_pads]
    hit = [pad for pad in pads if pad.played.notes]
    if hit:
        return sorted(hit, key=lambda pad: -pad.played.notes)
    return pads if track.notes_unsure else []


def plugins_in_use(live_set: LiveSet) -> dict[str, int]:
    """Instances by name that are switched on where something passes through them; the most used first.

    Those of tracks that sound, of groups and returns that are not muted, and of the main track.
    """
    usage: dict[str, int] = {}
    devices = [
        *(
            device
            for track in live_set.tracks
            if live_set.sounds(track) or (track.audible and track.type in {"Group", "Return"})
            for device in track.devices
        ),
        *live_set.main_devices,
    ]
    for device in devices:
        if device.active and device.plugin is not None:
            usage[device.plugin.name] = usage.get(device.plugin.name, 0) + 1
    return dict(sorted(usage.items(), key=lambda use: (-use[1], use[0])))


def _plays(device: Device) -> bool:
    known = live_device(device.kind)
    return known is None or known.plays
