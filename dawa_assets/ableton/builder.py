"""Collects what the walk passes into a `LiveSet`: the document, tracks, main track, locators, scenes and scale.

One method for each place of `grammar.py`; those of clips and devices are in the classes below this one.
"""

import re
from typing import Literal

from dawa_assets.ableton.chains import Flow, finished_devices, follow
from dawa_assets.ableton.collector import Attributes
from dawa_assets.ableton.device_collector import DeviceCollector
from dawa_assets.ableton.drafts import SILENCE, SceneDraft, TrackDraft
from dawa_assets.ableton.finishing import clip_scales, finished_tracks
from dawa_assets.ableton.live_set import (
    LiveSet,
    Locator,
    Scene,
    TrackType,
)
from dawa_assets.ableton.stream import GIVE_A_LIVE_SET, MAKE_SMALLER
from dawa_assets.ableton.time_map import MetreChange, TempoPoint, TimeSignature
from dawa_assets.ableton.values import (
    BEFORE_TIME,
    HIGHEST_SIGNATURE,
    MAX_BEATS,
    MAX_TEMPO,
    MIN_TEMPO,
    colour,
    loose_number,
    number,
    scale,
    text,
    time_signature,
)
from dawa_assets.errors import RefusedLiveSetError

MAX_TRACKS = 5_000

_TRACK_TYPES: dict[str, TrackType] = {
    "MidiTrack": "MIDI",
    "AudioTrack": "Audio",
    "GroupTrack": "Group",
    "ReturnTrack": "Return",
}
_MONITORING: dict[str, Literal["in", "auto", "off"]] = {"0": "in", "1": "auto", "2": "off"}
# Until Live 10 a scene sets tempo and time signature by its name.
_SCENE_TEMPO = re.compile(r"(?<![\d.])(\d{2,3}(?:\.\d+)?)\s*bpm\b", re.IGNORECASE)
_SCENE_METRE = re.compile(r"(?<![\d/])(\d{1,2})/(1|2|4|8|16)(?![\d/])")


class Builder(DeviceCollector):
    """The state of one reading."""

    def __init__(self, *, with_onsets: bool = False) -> None:
        super().__init__(with_onsets=with_onsets)
        self._creator = ""
        self._has_live_set = False
        self._tracks: list[TrackDraft] = []
        self._main: TrackDraft | None = None
        self._tempo: str | None = None
        self._tempo_target = ""
        self._tempo_events: list[TempoPoint] = []
        self._main_envelopes: dict[str, list[TempoPoint]] = {}
        self._time_signature: str | None = None
        self._metre_target = ""
        self._metre_events: list[TempoPoint] = []
        self._scene_settings: list[SceneDraft] = []
        self._locator = ["", ""]
        self._locators: list[Locator] = []
        self._scenes: list[str] = []
        self._scale_root = ""
        self._scale_name = ""
        self._in_key = False

    # -- the document -------------------------------------------------------------------------------------

    def no_ableton(self, tag: str, _attributes: Attributes) -> None:
        """The root is something else."""
        raise RefusedLiveSetError(f"not a Live Set: its XML is <{text(tag)[:40]}>", GIVE_A_LIVE_SET)

    def ableton(self, _tag: str, attributes: Attributes) -> None:
        """The root: who wrote the file."""
        self._creator = text(attributes.get("Creator", ""))

    def live_set(self, _tag: str, _attributes: Attributes) -> None:
        """The set itself; presets and clips have something else in its place."""
        self._has_live_set = True

    # -- tracks -------------------------------------------------------------------------------------------

    def track(self, tag: str, attributes: Attributes) -> None:
        """A listed track begins."""
        if len(self._tracks) == MAX_TRACKS:
            raise RefusedLiveSetError(f"more than {MAX_TRACKS:,} tracks, more than any set has", MAKE_SMALLER)
        self._keep()
        self._track = TrackDraft(type=_TRACK_TYPES[tag], id=text(attributes.get("Id", "")))
        self._tracks.append(self._track)
        self._slot = -1

    def main_track(self, _tag: str, _attributes: Attributes) -> None:
        """The main (before Live 12: master) track begins."""
        self._main = self._track = TrackDraft()
        self._main_envelopes.clear()

    def effective_name(self, _tag: str, attributes: Attributes) -> None:
        """The track's name as Live shows it."""
        self._track.effective_name = text(attributes.get("Value", ""))

    def user_name(self, _tag: str, attributes: Attributes) -> None:
        """The track's name as typed; all that Live 8 has."""
        self._track.user_name = text(attributes.get("Value", ""))

    def track_colour(self, _tag: str, attributes: Attributes) -> None:
        """The track's colour, an index into Live's palette."""
        self._track.colour = colour(attributes.get("Value", ""))

    def group_id(self, _tag: str, attributes: Attributes) -> None:
        """The id of the group track around this one."""
        self._track.group_id = text(attributes.get("Value", ""))

    def freeze(self, _tag: str, attributes: Attributes) -> None:
        """Whether the track is frozen."""
        self._track.frozen = attributes.get("Value") == "true"

    # -- mixer and routing --------------------------------------------------------------------------------

    def speaker(self, _tag: str, _attributes: Attributes) -> None:
        """The track's switch begins."""
        self._switch = self._track.speaker

    def volume(self, _tag: str, _attributes: Attributes) -> None:
        """The track's fader begins."""
        self._level = self._track.volume

    def soloed(self, _tag: str, attributes: Attributes) -> None:
        """Whether the track was saved soloed."""
        self._track.soloed = attributes.get("Value") == "true"

    def send(self, _tag: str, attributes: Attributes) -> None:
        """How much of the track goes to a return."""
        self._track.sends = self._track.sends or loose_number(attributes.get("Value")) > SILENCE

    def send_event(self, tag: str, attributes: Attributes) -> None:
        """A point of a send's automation, where Live 8 also keeps its value."""
        self.send(tag, attributes)
        self.event(tag, attributes)

    def output(self, _tag: str, attributes: Attributes) -> None:
        """Where its sound goes."""
        self._track.output = text(attributes.get("Value", ""))

    def audio_input(self, _tag: str, attributes: Attributes) -> None:
        """Where it gets sound from."""
        self._track.audio_input = text(attributes.get("Value", ""))

    def midi_output(self, _tag: str, attributes: Attributes) -> None:
        """Where its notes go beside its own devices."""
        self._track.midi_output = text(attributes.get("Value", ""))

    def midi_input(self, _tag: str, attributes: Attributes) -> None:
        """Where it gets notes from."""
        self._track.midi_input = text(attributes.get("Value", ""))

    def monitoring(self, _tag: str, attributes: Attributes) -> None:
        """Whether what comes in is passed on."""
        self._track.monitoring = _MONITORING.get(attributes.get("Value", ""), "auto")

    # -- tempo and time signature -------------------------------------------------------------------------

    def main_event(self, _tag: str, attributes: Attributes) -> None:
        """A point of an envelope of the main track; whether it is the tempo's shows at the end."""
        self._keep()
        self._main_envelopes.setdefault(self._pointee, []).append(_point(attributes))

    def tempo(self, _tag: str, attributes: Attributes) -> None:
        """The manual tempo."""
        self._tempo = attributes.get("Value", "")

    def tempo_event(self, _tag: str, attributes: Attributes) -> None:
        """A point of the tempo where it is kept with the parameter; in Live 8 the first is the manual tempo."""
        self._keep()
        self._tempo_events.append(_point(attributes))
        if self._tempo is None:
            self._tempo = attributes.get("Value", "")

    def tempo_target(self, _tag: str, attributes: Attributes) -> None:
        """By which id envelopes refer to the tempo."""
        self._tempo_target = text(attributes.get("Id", ""))

    def time_signature(self, _tag: str, attributes: Attributes) -> None:
        """The manual time signature."""
        self._time_signature = attributes.get("Value", "")

    def time_signature_event(self, _tag: str, attributes: Attributes) -> None:
        """A change of it; in Live 8 the first is the manual one."""
        self._keep()
        self._metre_events.append(_point(attributes))
        if self._time_signature is None:
            self._time_signature = attributes.get("Value", "")

    def time_signature_target(self, _tag: str, attributes: Attributes) -> None:
        """By which id envelopes refer to it."""
        self._metre_target = text(attributes.get("Id", ""))

    # -- locators, scenes, scale --------------------------------------------------------------------------

    def locator(self, _tag: str, _attributes: Attributes) -> None:
        """A locator begins."""
        self._locator = ["", ""]

    def locator_time(self, _tag: str, attributes: Attributes) -> None:
        """Its place in beats."""
        self._locator[0] = attributes.get("Value", "")

    def locator_name(self, _tag: str, attributes: Attributes) -> None:
        """Its name."""
        self._locator[1] = text(attributes.get("Value", ""))

    def end_locator(self) -> None:
        """A locator is complete."""
        time, name = self._locator
        self._keep(name)
        self._locators.append(Locator(number(time, "the time of a locator", -MAX_BEATS, MAX_BEATS), name))

    def scene(self, _tag: str, attributes: Attributes) -> None:
        """A scene; until Live 10 with its name."""
        name = text(attributes.get("Value", ""))
        self._keep(name)
        self._scenes.append(name.strip())
        self._scene_settings.append(SceneDraft())

    def scene_name(self, _tag: str, attributes: Attributes) -> None:
        """A scene's name, from Live 11."""
        name = text(attributes.get("Value", ""))
        self._keep(name)
        self._scenes[-1] = name.strip()

    def scene_tempo(self, _tag: str, attributes: Attributes) -> None:
        """The tempo that launching the scene sets, if it is told to."""
        self._scene_settings[-1].tempo = loose_number(attributes.get("Value"))

    def scene_sets_tempo(self, _tag: str, attributes: Attributes) -> None:
        """Whether launching it sets the tempo."""
        self._scene_settings[-1].sets_tempo = attributes.get("Value") == "true"

    def scene_metre(self, _tag: str, attributes: Attributes) -> None:
        """The time signature that launching the scene sets, if it is told to."""
        self._scene_settings[-1].metre = loose_number(attributes.get("Value"))

    def scene_sets_metre(self, _tag: str, attributes: Attributes) -> None:
        """Whether launching it sets the time signature."""
        self._scene_settings[-1].sets_metre = attributes.get("Value") == "true"

    def scale_root(self, _tag: str, attributes: Attributes) -> None:
        """The scale's root, 0 = C."""
        self._scale_root = attributes.get("Value", "")

    def scale_name(self, _tag: str, attributes: Attributes) -> None:
        """The scale's name, or from 12.1 its number."""
        self._scale_name = text(attributes.get("Value", ""))

    def in_key(self, _tag: str, attributes: Attributes) -> None:
        """Whether the set was told to keep to its scale (from Live 11)."""
        self._in_key = attributes.get("Value") == "true"

    # -- the result ---------------------------------------------------------------------------------------

    def finish(self, name: str) -> LiveSet:
        """Return the whole set, once the document has been walked through."""
        if not self._has_live_set:
            raise RefusedLiveSetError("not a Live Set: it has no <LiveSet>, like a preset or a clip", GIVE_A_LIVE_SET)
        if self._main is None:
            raise RefusedLiveSetError("not a Live Set: it has no main track", GIVE_A_LIVE_SET)
        tempo = number(self._tempo, "its tempo", MIN_TEMPO, MAX_TEMPO)
        follow(self._main.chain, Flow(None), self._main.switched, self._main.moved)
        tracks = finished_tracks(self._tracks)
        return LiveSet(
            name=name,
            live_version=self._creator.removeprefix("Ableton Live ").strip(),
            tempo=tempo,
            tempo_changes=self._tempo_changes(),
            time_signature=time_signature(self._time_signature),
            tracks=tracks,
            main_devices=finished_devices(self._main.devices),
            main_samples=tuple(self._main.samples),
            locators=tuple(self._locators),
            scenes=tuple(self._scenes),
            scale=scale(self._scale_root, self._scale_name),
            in_key=self._in_key,
            clip_scales=clip_scales(self._tracks, tracks),
            metre_changes=self._metre_changes(),
            warnings=tuple(self._warnings),
            scene_settings=tuple(map(_scene, self._scenes, self._scene_settings)),
        )

    def _tempo_changes(self) -> tuple[TempoPoint, ...]:
        events = self._main_envelopes.get(self._tempo_target, []) if self._tempo_target else []
        return tuple(
            TempoPoint(
                number(point.time, "the time of a tempo change", -MAX_BEATS, MAX_BEATS),
                number(point.bpm, "the tempo of a tempo change", 0, MAX_TEMPO),
            )
            for point in events or self._tempo_events
            if point.time != BEFORE_TIME
        )

    def _metre_changes(self) -> tuple[MetreChange, ...]:
        """Changes in the song; what holds before them stands before time and is the first of them."""
        events = self._main_envelopes.get(self._metre_target, []) if self._metre_target else []
        events = events or self._metre_events
        if not any(point.time > BEFORE_TIME for point in events):
            return ()
        return tuple(
            MetreChange(
                max(number(point.time, "the time of a change of time signature", BEFORE_TIME, MAX_BEATS), -1.0),
                time_signature(point.bpm),
            )
            for point in events
        )


def _scene(name: str, draft: SceneDraft) -> Scene:
    """Return a scene with what launching it sets; a tempo or time signature that none can be is none."""
    tempo, metre = draft.tempo if draft.sets_tempo else None, None
    if tempo is None and (found := _SCENE_TEMPO.search(name)):
        tempo = float(found.group(1))
    if draft.sets_metre and 0 <= draft.metre <= HIGHEST_SIGNATURE:
        metre = time_signature(draft.metre)
    elif (written := _SCENE_METRE.search(name)) and int(written.group(1)) > 0:
        metre = TimeSignature(int(written.group(1)), int(written.group(2)))
    return Scene(name, tempo if tempo is not None and MIN_TEMPO <= tempo <= MAX_TEMPO else None, metre)


def _point(attributes: Attributes) -> TempoPoint:
    return TempoPoint(loose_number(attributes.get("Time")), loose_number(attributes.get("Value")))
