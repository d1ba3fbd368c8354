"""When something begins in a Live Set's arrangement, in seconds: what a bounce of it is held against.

Notes of the clips that sound, each as loud as it is struck, repetitions of loops included; audio clips where they and
their loops begin, and at their warp markers. What is inside of a sound file is not known here.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dawa_assets.ableton.live_set import LiveSet, Track
from dawa_assets.ableton.time_map import MetreMap, TempoMap

MAX_SECONDS = 6 * 3600
"""The longest arrangement that is looked at, as long as the longest audio file."""

_DRUM_RACK = "DrumGroupDevice"
_NO_PITCH = -1

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SongOnsets:
    """The onsets of an arrangement, in order.

    `seconds` count from its zero, `weights` go up to 1, `pitches` are MIDI numbers and -1 for what has none, `ends` is
    when each is released, in seconds. `tempo` is what holds for the most of it; the maps tell bars from
    seconds. `has_arrangement` is False where nothing sounds in it, and `warnings` are lines about what was left out.
    """

    seconds: Values
    weights: Values
    pitches: npt.NDArray[np.int64]
    ends: Values
    length_seconds: float
    tempo: float
    tempo_map: TempoMap
    metre_map: MetreMap
    has_arrangement: bool = True
    warnings: tuple[str, ...] = ()

    def rendered_at(self, tempo: float) -> "SongOnsets":
        """Return the same played at another tempo: all of it that much faster or slower."""
        ratio = self.tempo / tempo
        return replace(
            self, seconds=self.seconds * ratio, ends=self.ends * ratio, length_seconds=self.length_seconds * ratio
        )

    def bar_at(self, seconds: float) -> float:
        """Return which bar begins or goes on at a time; the first one is 1."""
        return 1 + self.metre_map.bars(self.tempo_map.beat_at(seconds))


def song_onsets(live_set: LiveSet) -> SongOnsets:
    """Return what begins when in a set that was read with its onsets, as far as it can be heard."""
    tracks = [track for track in live_set.tracks if track.audible and track.onsets.beats]
    beats = np.concatenate([np.zeros(0), *(np.asarray(track.onsets.beats) for track in tracks)])
    weights = np.concatenate([np.zeros(0), *(np.asarray(track.onsets.weights) for track in tracks)])
    lengths = np.concatenate([np.zeros(0), *(np.asarray(track.onsets.lengths) for track in tracks)])
    pitches = np.concatenate([np.zeros(0, np.int64), *map(_pitches, tracks)])
    tempo = live_set.tempo_map
    seconds, ends = _seconds(tempo, beats), _seconds(tempo, beats + lengths)
    order = np.argsort(seconds, kind="stable")
    order = order[(seconds[order] >= 0) & (seconds[order] <= MAX_SECONDS)]
    warnings = list(live_set.warnings)
    if len(seconds) and seconds.max() > MAX_SECONDS:
        warnings.append(f"what lies behind {MAX_SECONDS // 3600} hours of its arrangement is not compared")
    return SongOnsets(
        seconds=seconds[order],
        weights=weights[order],
        pitches=pitches[order],
        ends=np.minimum(ends[order], MAX_SECONDS),
        length_seconds=min(live_set.seconds, float(MAX_SECONDS)),
        tempo=live_set.played_tempo.bpm,
        tempo_map=tempo,
        metre_map=live_set.metre_map,
        has_arrangement=any(clip.heard for clip in live_set.sounding_clips()),
        warnings=tuple(warnings),
    )


def _pitches(track: Track) -> npt.NDArray[np.int64]:
    """Return the pitches of a track's onsets; the pads of a drum rack have none that is heard."""
    pitches = np.asarray(track.onsets.pitches, np.int64)
    is_rack = any(device.kind == _DRUM_RACK for device in track.active_devices)
    return np.full_like(pitches, _NO_PITCH) if is_rack else pitches


def _seconds(tempo: TempoMap, beats: Values) -> Values:
    places, back = np.unique(beats, return_inverse=True)
    return np.array([tempo.seconds_at(beat) for beat in places.tolist()])[back] if len(beats) else np.zeros(0)
