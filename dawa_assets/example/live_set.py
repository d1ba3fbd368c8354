"""Writes a song down as a Live Set (.als) in the shape of its version of Live: 8, 10 or 12.

Only what tells about the music is written, and where each version keeps it; Live's settings of windows, grids and
controllers are left out. What the shapes are was measured on real sets. Reading sets is `dawa_assets/ableton`.
"""

import gzip
import itertools
import math
from dataclasses import dataclass
from xml.etree import ElementTree

from dawa_assets.example.score import Clip, Part, Plugin, Song

_BEFORE_TIME = -63_072_000  # where Live puts the value that holds before the first event
_FOUR_FOUR = 201
_Element = ElementTree.Element


@dataclass(frozen=True)
class _Shape:
    """What differs between the versions."""

    creator: str
    minor_version: str
    main_track: str
    main_chain: str
    values_are_events: bool  # up to 8 a parameter's value is the first event of its automation
    colors_are_indexes: bool
    files_have_paths: bool


_SHAPES = {
    8: _Shape("Ableton Live 8.4.2", "8.2_253", "MasterTrack", "MasterChain", True, True, False),
    10: _Shape("Ableton Live 10.1.9", "10.0_377", "MasterTrack", "DeviceChain", False, True, False),
    12: _Shape("Ableton Live 12.1.5", "12.0_12120", "MainTrack", "DeviceChain", False, False, True),
}


def live_set(song: Song) -> bytes:
    """Return the song as the bytes of an .als file. The same song gives the same bytes."""
    shape = _SHAPES[song.live]
    root = _Writer(song, shape).root()
    ElementTree.indent(root, "\t")
    text = '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


class _Writer:
    """Builds the tree of one song; hands out the ids that tie automation to parameters and tracks to groups."""

    def __init__(self, song: Song, shape: _Shape) -> None:
        self.song = song
        self.shape = shape
        self.ids = itertools.count(20)
        self.scenes = max([len(song.scenes), *(len(part.session) for part in song.parts)])

    def root(self) -> _Element:
        live = _node("LiveSet", _value("OverwriteProtectionNumber", 5), _node("Tracks", *self.tracks()))
        live.append(self.main_track())
        live.append(_node("PreHearTrack", *self.names("Master")))
        live.append(self.scene_list())
        locators = [
            _node("Locator", _value("Time", section.bar * 4), _value("Name", section.name), _value("Annotation", ""))
            for section in self.song.sections
        ]
        live.append(_node("Locators", _node("Locators", *locators)))
        live.extend(self.scale())
        version = {"MajorVersion": "4" if self.song.live == 8 else "5", "MinorVersion": self.shape.minor_version}
        return _node("Ableton", live, **version, Creator=self.shape.creator)

    def tracks(self) -> list[_Element]:
        groups: dict[str, int] = {}
        tracks = []
        for part in self.song.parts:
            if part.group and part.group not in groups:
                groups[part.group] = next(self.ids)
                tracks.append(self.group_track(part.group, groups[part.group]))
            tracks.append(self.track(part, groups[part.group] if part.group else -1))
        delay = "Delay" if self.song.live >= 10 else "PingPongDelay"
        return [*tracks, self.return_track("A-Reverb", "Reverb"), self.return_track("B-Delay", delay)]

    def group_track(self, name: str, identity: int) -> _Element:
        slots = _node("Slots", *(_node("GroupTrackSlot", Id=number) for number in range(self.scenes)))
        chain = _node("DeviceChain", self.mixer(0.0, 0.0), _node("DeviceChain", _node("Devices")))
        return _node("GroupTrack", *self.head(name, self.song.group_colors[name], -1), slots, chain, Id=identity)

    def return_track(self, name: str, device: str) -> _Element:
        chain = _node("DeviceChain", self.mixer(0.0, 0.0), _node("DeviceChain", _node("Devices", self.device(device))))
        return _node("ReturnTrack", *self.head(name, 2, -1), chain, Id=next(self.ids))

    def track(self, part: Part, group: int) -> _Element:
        """Return a MIDI or audio track: head, envelopes where the version keeps them, mixer, clips, devices."""
        target = next(self.ids)
        devices = [self.device(name, part.sweep, target, part.samples, part.pads) for name in part.devices]
        devices += [self.plugin(plugin) for plugin in part.plugins]
        envelopes = _node("Envelopes")
        if part.sweep and not self.shape.values_are_events:
            envelopes.append(_envelope(target, _sweep_events(part.sweep)))
        chain = _node(
            "DeviceChain",
            self.mixer(part.gain_db, part.pan, is_on=not part.muted),
            self.sequencer("MainSequencer", part),
            _node("FreezeSequencer", _node("ClipSlotList")),
            _node("DeviceChain", _node("Devices", *devices)),
        )
        head = self.head(part.name, part.color, group)
        if not self.shape.values_are_events:
            head.append(_node("AutomationEnvelopes", envelopes))
        return _node(f"{part.kind.replace('MIDI', 'Midi')}Track", *head, chain, Id=next(self.ids))

    def head(self, name: str, color: int, group: int) -> list[_Element]:
        return [*self.names(name), self.color(color), _value("TrackGroupId", group), _value("Freeze", False)]

    def names(self, name: str) -> list[_Element]:
        effective = [] if self.song.live == 8 else [_value("EffectiveName", name)]
        return [_node("Name", *effective, _value("UserName", name), _value("Annotation", ""))]

    def color(self, color: int) -> _Element:
        return _value("ColorIndex" if self.shape.colors_are_indexes else "Color", color)

    def mixer(self, gain_db: float, pan: float, *, is_on: bool = True) -> _Element:
        return _node(
            "Mixer",
            self.parameter("Speaker", is_on, next(self.ids)),
            self.parameter("Pan", pan, next(self.ids)),
            self.parameter("Volume", round(10 ** (gain_db / 20), 6), next(self.ids)),
        )

    def parameter(
        self, tag: str, value: float | bool, target: int, events: tuple[tuple[float, float], ...] = ()
    ) -> _Element:
        """Return a parameter's value, and in the old shape its automation too."""
        if not self.shape.values_are_events:
            return _node(tag, _value("Manual", value), _node("AutomationTarget", _value("LockEnvelope", 0), Id=target))
        kind = "BoolEvent" if isinstance(value, bool) else "EnumEvent" if isinstance(value, int) else "FloatEvent"
        return _node(
            tag, _node("ArrangerAutomation", _events(kind, ((_BEFORE_TIME, value), *events))), _value("Midi", "")
        )

    def device(
        self,
        tag: str,
        sweep: tuple[tuple[float, float], ...] = (),
        target: int = 0,
        samples: tuple[str, ...] = (),
        pads: tuple[tuple[str, int], ...] = (),
    ) -> _Element:
        """Return one of Live's devices; racks hold their chains, samplers their samples, the filter its sweep."""
        device = _node(tag, self.parameter("On", True, next(self.ids)), _value("UserName", ""), Id=next(self.ids))
        if tag == "AutoFilter" and sweep:
            events = _sweep_events(sweep)
            device.append(self.parameter("Cutoff", events[0][1], target, events))
        elif tag == "OriginalSimpler" and samples:
            device.append(self.sample_player(samples))
        elif tag == "DrumGroupDevice":
            inner = [self.device("OriginalSimpler", samples=(sample,)) for sample in samples]
            branches = [self.branch("DrumBranch", one) for one in inner]
            device.append(_node("Branches", *branches, *(self.pad(*each) for each in pads)))
        elif tag == "InstrumentGroupDevice":
            device.append(_node("Branches", self.branch("InstrumentBranch", self.device("Operator"))))
        return device

    def pad(self, name: str, pitch: int) -> _Element:
        """Return a pad of a drum rack, which its own pitch alone reaches."""
        branch = self.branch("DrumBranch", self.device("OriginalSimpler", samples=(f"{name}.wav",)))
        branch.append(_node("BranchInfo", _value("ReceivingNote", 128 - pitch), _value("SendingNote", 60)))
        return branch

    def branch(self, tag: str, device: _Element) -> _Element:
        chain = _node("DeviceChain", _node("MidiToAudioDeviceChain", _node("Devices", device), Id=0))
        return _node(tag, *self.names(""), chain, Id=next(self.ids))

    def sample_player(self, samples: tuple[str, ...]) -> _Element:
        parts = [_node("MultiSamplePart", self.sample_ref(sample), Id=place) for place, sample in enumerate(samples)]
        return _node("Player", _node("MultiSampleMap", _node("SampleParts", *parts)))

    def plugin(self, plugin: Plugin) -> _Element:
        on = self.parameter("On", True, next(self.ids))
        if plugin.format == "AU":
            info = _node("AuPluginInfo", _value("Name", plugin.name), _value("Manufacturer", ""), Id=0)
            return _node("AuPluginDevice", on, _node("PluginDesc", info), Id=next(self.ids))
        if plugin.format == "VST3":
            info = _node("Vst3PluginInfo", _value("Name", plugin.name), Id=0)
        else:
            info = _node("VstPluginInfo", _value("PlugName", plugin.name), _value("UniqueId", 0), Id=0)
        return _node("PluginDevice", on, _node("PluginDesc", info), Id=next(self.ids))

    def sequencer(self, tag: str, part: Part) -> _Element:
        """Return the session's slots and the arrangement's lane."""
        slots = []
        for number in range(self.scenes):
            filled = [self.clip(part, part.session[number], number)] if number < len(part.session) else []
            slot = _node("ClipSlot", _node("Value", *filled))
            slots.append(_node("ClipSlot", slot, _value("HasStop", True), Id=number))
        lane = _node("Events", *(self.clip(part, clip, number) for number, clip in enumerate(part.clips)))
        where = "ClipTimeable" if part.kind == "MIDI" else "Sample"
        return _node(tag, _node("ClipSlotList", *slots), _node(where, _node("ArrangerAutomation", lane)))

    def clip(self, part: Part, clip: Clip, number: int) -> _Element:
        loop = _node(
            "Loop",
            _value("LoopStart", 0),
            _value("LoopEnd", clip.loop),
            _value("StartRelative", 0),
            _value("LoopOn", part.kind == "MIDI"),
        )
        common = [
            _value("CurrentStart", clip.start),
            _value("CurrentEnd", clip.start + clip.length),
            loop,
            _value("Name", clip.name),
            self.color(part.color),
            _value("Disabled", not clip.active),
        ]
        times = {"Time": _number(clip.start)} | ({} if self.song.live == 8 else {"Id": str(number)})
        if clip.sample is not None:
            return _node("AudioClip", *common, self.sample_ref(clip.sample), _value("IsWarped", True), **times)
        return _node("MidiClip", *common, _notes(clip), **times)

    def sample_ref(self, sample: str) -> _Element:
        """Return where a sample lies: in the project's own folder `Samples/Imported`."""
        if self.shape.files_have_paths:
            relative = f"Samples/Imported/{sample}"
            path = f"/Projects/{self.song.title} Project/{relative}"
            file = [_value("RelativePathType", 3), _value("RelativePath", relative), _value("Path", path)]
        else:
            folders = [_node("RelativePathElement", Dir=folder) for folder in ("Samples", "Imported")]
            file = [_value("HasRelativePath", True), _node("RelativePath", *folders), _value("Name", sample)]
        return _node("SampleRef", _node("FileRef", *file, _value("Type", 2)))

    def main_track(self) -> _Element:
        tempo = self.parameter("Tempo", self.song.tempo, 8, self.song.tempo_changes)
        signature = self.parameter("TimeSignature", _FOUR_FOUR, 10)
        mixer = self.mixer(0.0, 0.0)
        mixer.extend([tempo, signature])
        chain = _node(self.shape.main_chain, mixer, _node("DeviceChain", _node("Devices", self.device("Limiter"))))
        head = self.head("Main" if self.song.live == 12 else "Master", 2, -1)
        if not self.shape.values_are_events:
            envelopes = [
                _envelope(10, ((_BEFORE_TIME, _FOUR_FOUR),), "EnumEvent"),
                _envelope(8, ((_BEFORE_TIME, self.song.tempo), *self.song.tempo_changes)),
            ]
            head.append(_node("AutomationEnvelopes", _node("Envelopes", *envelopes)))
        return _node(self.shape.main_track, *head, chain)

    def scene_list(self) -> _Element:
        names = [*self.song.scenes, *[""] * self.scenes][: self.scenes]
        if self.song.live >= 11:
            return _node("Scenes", *(_node("Scene", _value("Name", name), Id=i) for i, name in enumerate(names)))
        return _node("SceneNames", *(_node("Scene", _value("Annotation", ""), Value=name) for name in names))

    def scale(self) -> list[_Element]:
        """Return the key, where the version has a place for it."""
        if self.song.live == 12:
            mode = 0 if self.song.mode == "Major" else 1
            return [
                _node("ScaleInformation", _value("Root", self.song.root), _value("Name", mode)),
                _value("InKey", True),
            ]
        if self.song.live == 10:
            return [_node("ScaleInformation", _value("RootNote", self.song.root), _value("Name", self.song.mode))]
        return []


def _notes(clip: Clip) -> _Element:
    """Return a clip's notes as Live keeps them: a lane a pitch."""
    pitches = sorted({note.pitch for note in clip.notes})
    lanes = []
    for number, pitch in enumerate(pitches):
        events = [
            _node("MidiNoteEvent", Time=_number(n.start), Duration=_number(n.length), Velocity=str(n.velocity))
            for n in clip.notes
            if n.pitch == pitch
        ]
        lanes.append(_node("KeyTrack", _node("Notes", *events), _value("MidiKey", pitch), Id=number))
    return _node("Notes", _node("KeyTracks", *lanes))


def _sweep_events(sweep: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Return the filter's cutoff in semitones, the unit that Auto Filter keeps."""
    return tuple((beat, round(69 + 12 * math.log2(hertz / 440), 3)) for beat, hertz in sweep)


def _envelope(target: int, events: tuple[tuple[float, float], ...], kind: str = "FloatEvent") -> _Element:
    first = () if events[0][0] == _BEFORE_TIME else ((_BEFORE_TIME, events[0][1]),)
    return _node(
        "AutomationEnvelope",
        _node("EnvelopeTarget", _value("PointeeId", target)),
        _node("Automation", _events(kind, (*first, *events))),
        Id=target,
    )


def _events(kind: str, events: tuple[tuple[float, float], ...]) -> _Element:
    return _node("Events", *(_node(kind, Time=_number(beat), Value=_text(value)) for beat, value in events))


def _node(tag: str, *children: _Element, **attributes: str | int) -> _Element:
    element = _Element(tag, {name: str(value) for name, value in attributes.items()})
    element.extend(children)
    return element


def _value(tag: str, value: str | float | bool) -> _Element:
    return _Element(tag, Value=_text(value))


def _text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    return f"{value:.9g}"
