"""Collects what the walk passes into a `LiveSet`.

One method per place of `grammar.py`. Every number that is kept goes through `_number`, every text through
`_text`, so that neither NaN nor a name of a megabyte gets further than this file; what is kept is counted.
"""

from collections.abc import Mapping

from dawa_assets.ableton.drafts import ClipDraft, DeviceDraft, FileDraft, TrackDraft, finished_devices, finished_tracks
from dawa_assets.ableton.live_set import (
    ArrangementClip,
    LiveSet,
    Locator,
    Plugin,
    Scale,
    SessionClip,
    TempoPoint,
    TrackType,
)
from dawa_assets.ableton.stream import GIVE_A_LIVE_SET, SAVE_AGAIN, RefusedError
from dawa_assets.ableton.values import (
    BEFORE_TIME,
    MAX_BEATS,
    MAX_PATH,
    MAX_TEMPO,
    MIN_TEMPO,
    colour,
    is_in_song,
    loose_number,
    number,
    text,
    time_signature,
)

MAX_TRACKS = 5_000
# Memory for what is kept, estimated; the largest real set keeps about 2 MB.
MAX_KEPT_BYTES = 32 * 1024 * 1024
MAX_FOLDERS = 64

_TRACK_TYPES: dict[str, TrackType] = {
    "MidiTrack": "MIDI",
    "AudioTrack": "Audio",
    "GroupTrack": "Group",
    "ReturnTrack": "Return",
}
_PLUGIN_FORMATS = {"VstPluginInfo": "VST2", "Vst3PluginInfo": "VST3", "AuPluginInfo": "AU"}
_ROOT_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_ROOTS = {str(note): name for note, name in enumerate(_ROOT_NOTES)}
# From 12.1 scales are numbered; only these two numbers have been verified.
_NUMBERED_SCALES = {"0": "Major", "1": "Minor"}

Attributes = Mapping[str, str]


class Builder:
    """The state of one reading."""

    def __init__(self) -> None:
        self._kept = 0
        self._creator = ""
        self._has_live_set = False
        self._tracks: list[TrackDraft] = []
        self._track = TrackDraft()
        self._open_devices: list[DeviceDraft] = []
        self._plugin_format = ""
        self._clip = ClipDraft()
        self._slot = -1
        self._file = FileDraft()
        self._automated = False
        self._pointee = ""
        self._main: TrackDraft | None = None
        self._tempo: str | None = None
        self._tempo_target = ""
        self._tempo_events: list[TempoPoint] = []
        self._main_envelopes: dict[str, list[TempoPoint]] = {}
        self._time_signature: str | None = None
        self._locator = ["", ""]
        self._locators: list[Locator] = []
        self._scenes: list[str] = []
        self._scale_root = ""
        self._scale_name = ""
        self._in_key = False

    # -- the document -------------------------------------------------------------------------------------

    def no_ableton(self, tag: str, _attributes: Attributes) -> None:
        """The root is something else."""
        raise RefusedError(f"not a Live Set: its XML is <{text(tag)[:40]}>", GIVE_A_LIVE_SET)

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
            raise RefusedError(f"more than {MAX_TRACKS:,} tracks, more than any set has", SAVE_AGAIN)
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

    # -- clips --------------------------------------------------------------------------------------------

    def clip(self, _tag: str, attributes: Attributes) -> None:
        """A clip of either view begins."""
        self._clip = ClipDraft(start=attributes.get("Time", "0"))

    def clip_start(self, _tag: str, attributes: Attributes) -> None:
        """Where it begins on the timeline, in beats."""
        self._clip.start = attributes.get("Value", "")

    def clip_end(self, _tag: str, attributes: Attributes) -> None:
        """Where it ends on the timeline, in beats."""
        self._clip.end = attributes.get("Value", "")

    def clip_name(self, _tag: str, attributes: Attributes) -> None:
        """Its name, often empty."""
        self._clip.name = text(attributes.get("Value", ""))

    def clip_colour(self, _tag: str, attributes: Attributes) -> None:
        """Its own colour."""
        self._clip.colour = colour(attributes.get("Value", ""))

    def end_arrangement_clip(self) -> None:
        """An arrangement clip is complete."""
        clip = self._clip
        start = number(clip.start, "the start of a clip", -MAX_BEATS, MAX_BEATS)
        end = number(clip.end, "the end of a clip", -MAX_BEATS, MAX_BEATS)
        self._keep(clip.name)
        self._track.arrangement_clips.append(ArrangementClip(start, max(start, end), clip.name, clip.colour))

    def slot(self, _tag: str, _attributes: Attributes) -> None:
        """The next slot of the track's column in the session view."""
        self._slot += 1

    def end_session_clip(self) -> None:
        """A session clip is complete."""
        self._keep(self._clip.name)
        self._track.session_clips.append(SessionClip(self._slot, self._clip.name, self._clip.colour))

    # -- devices and plugins ------------------------------------------------------------------------------

    def device(self, tag: str, _attributes: Attributes) -> None:
        """A device begins, perhaps inside of a rack's."""
        self._keep()
        device = DeviceDraft(kind=text(tag), level=len(self._open_devices))
        self._open_devices.append(device)
        self._track.devices.append(device)

    def end_device(self) -> None:
        """Back to the rack around it."""
        self._open_devices.pop()

    def plugin(self, tag: str, _attributes: Attributes) -> None:
        """What plugin the device holds begins."""
        self._plugin_format = _PLUGIN_FORMATS[tag]

    def plugin_name(self, _tag: str, attributes: Attributes) -> None:
        """The plugin's name; one without a name can't be counted by it."""
        name = text(attributes.get("Value", ""))
        if name.strip():
            self._keep(name)
            self._open_devices[-1].plugin = Plugin(name, self._plugin_format)

    # -- files --------------------------------------------------------------------------------------------

    def file(self, _tag: str, _attributes: Attributes) -> None:
        """A reference to a file begins."""
        self._file = FileDraft()

    def file_name(self, _tag: str, attributes: Attributes) -> None:
        """Its name, until Live 10."""
        self._file.name = text(attributes.get("Value", ""))

    def file_path(self, _tag: str, attributes: Attributes) -> None:
        """Its absolute path, from Live 11."""
        self._file.path = text(attributes.get("Value", ""), longest=MAX_PATH)

    def relative_path(self, _tag: str, attributes: Attributes) -> None:
        """Its relative path: from Live 11 in a value, before in elements."""
        self._file.relative_path = text(attributes.get("Value", ""), longest=MAX_PATH)

    def folder(self, _tag: str, attributes: Attributes) -> None:
        """One folder of the relative path; an empty one is a step up."""
        if len(self._file.folders) < MAX_FOLDERS:
            self._file.folders.append(text(attributes.get("Dir", "")) or "..")

    def end_sample(self) -> None:
        """The file of a sample is complete."""
        sample = self._file.as_sample()
        if sample.name and sample.name not in self._track.samples:
            self._keep(sample.name, sample.path)
            self._track.samples[sample.name] = sample

    def end_max_patch(self) -> None:
        """The file of a Max for Live device is complete."""
        patch = self._file.as_sample().name
        if patch:
            self._keep(patch)
            self._open_devices[-1].max_patch = patch

    # -- automation ---------------------------------------------------------------------------------------

    def envelope(self, _tag: str, _attributes: Attributes) -> None:
        """The automation of one parameter begins."""
        self._automated = False
        self._pointee = ""

    def event(self, _tag: str, attributes: Attributes) -> None:
        """A point of it."""
        if not self._automated:
            self._automated = is_in_song(attributes)

    def end_envelope(self) -> None:
        """The parameter counts if any point lies in the song."""
        self._track.automated_parameters += self._automated

    # -- tempo and time signature -------------------------------------------------------------------------

    def pointee(self, _tag: str, attributes: Attributes) -> None:
        """Which parameter an envelope of the main track moves."""
        self._pointee = text(attributes.get("Value", ""))

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
        if self._time_signature is None:
            self._time_signature = attributes.get("Value", "")

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

    def scene_name(self, _tag: str, attributes: Attributes) -> None:
        """A scene's name, from Live 11."""
        name = text(attributes.get("Value", ""))
        self._keep(name)
        self._scenes[-1] = name.strip()

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
        """The whole set, once the document has been walked through."""
        if not self._has_live_set:
            raise RefusedError("not a Live Set: it has no <LiveSet>, like a preset or a clip", GIVE_A_LIVE_SET)
        if self._main is None:
            raise RefusedError("not a Live Set: it has no main track", GIVE_A_LIVE_SET)
        tempo = number(self._tempo, "its tempo", MIN_TEMPO, MAX_TEMPO)
        return LiveSet(
            name=name,
            live_version=self._creator.removeprefix("Ableton Live ").strip(),
            tempo=tempo,
            tempo_changes=self._tempo_changes(),
            time_signature=time_signature(self._time_signature),
            tracks=finished_tracks(self._tracks),
            main_devices=finished_devices(self._main.devices),
            main_samples=tuple(self._main.samples.values()),
            locators=tuple(self._locators),
            scenes=tuple(self._scenes),
            scale=self._scale(),
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

    def _scale(self) -> Scale | None:
        """C Major is what every set starts with, so it says nothing; so does a scale that is not in use."""
        root = _ROOTS.get(self._scale_root)
        name = _NUMBERED_SCALES.get(self._scale_name, self._scale_name)
        known = self._in_key and root is not None and name and not name.isdigit() and (root, name) != ("C", "Major")
        return Scale(root, name) if known and root is not None else None

    def _keep(self, *texts: str) -> None:
        self._kept += 120 + 2 * sum(map(len, texts))
        if self._kept > MAX_KEPT_BYTES:
            raise RefusedError("more clips, devices and names than any set has", SAVE_AGAIN)


def _point(attributes: Attributes) -> TempoPoint:
    return TempoPoint(loose_number(attributes.get("Time")), loose_number(attributes.get("Value")))
