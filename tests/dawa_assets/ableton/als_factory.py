"""Makes small Live Sets in the shape of each version of Live, for tests that say what they put in."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

VERSIONS = (8, 9, 10, 11, 12)
every_version = pytest.mark.parametrize("version", VERSIONS)
BEFORE_TIME = -63072000


@dataclass
class TrackSpec:
    tag: str = "MidiTrack"
    name: str = ""
    id: str = "1"
    group: str = "-1"
    colour: int | None = None
    clips: Sequence[tuple[float, float, str]] = ()
    slots: Sequence[str | None] = ()
    devices: str = ""
    parameter_points: Sequence[float] = (BEFORE_TIME,)
    extra: str = ""
    mixer: str = ""
    routing: str = ""
    envelopes: str = ""
    events: str = ""
    slot_clips: Sequence[str] = ()


@dataclass
class SetSpec:
    version: int = 12
    tracks: Sequence[TrackSpec] = field(default_factory=lambda: [TrackSpec(tag="AudioTrack", id="1")])
    tempo: str = "120"
    tempo_points: Sequence[tuple[float, float]] = ()
    signature: str = "201"
    signature_points: Sequence[tuple[float, int]] = ()
    locators: Sequence[tuple[float, str]] = ()
    scenes: Sequence[str] = ("",) * 8
    main_devices: str = ""
    scale: str = ""
    extra: str = ""


def value(tag: str, content: object) -> str:
    return f"<{tag} Value={quoteattr(str(content))} />"


def plugin(name: str, kind: str = "VST3") -> str:
    tag, name_tag, device = {
        "VST2": ("VstPluginInfo", "PlugName", "PluginDevice"),
        "VST3": ("Vst3PluginInfo", "Name", "PluginDevice"),
        "AU": ("AuPluginInfo", "Name", "AuPluginDevice"),
    }[kind]
    info = f'<{tag} Id="0"><WinPosX Value="0" />{value(name_tag, name)}<Preset><Name Value="wrong" /></Preset></{tag}>'
    return f'<{device} Id="0"><PluginDesc>{info}</PluginDesc></{device}>'


def rack(inside: str, tag: str = "InstrumentGroupDevice") -> str:
    chain = f"<DeviceChain><MidiToAudioDeviceChain><Devices>{inside}</Devices></MidiToAudioDeviceChain></DeviceChain>"
    return f'<{tag} Id="0"><Branches><InstrumentBranch>{chain}</InstrumentBranch></Branches></{tag}>'


def sampler(version: int, *paths: str) -> str:
    parts = "".join(f"<MultiSamplePart>{sample_ref(version, path)}</MultiSamplePart>" for path in paths)
    return f'<OriginalSimpler Id="0"><Player><SampleParts>{parts}</SampleParts></Player></OriginalSimpler>'


def sample_ref(version: int, path: str) -> str:
    folders, _, name = path.rpartition("/")
    original = f'<SourceContext><OriginalFileRef><FileRef>{value("Name", "original.wav")}</FileRef></OriginalFileRef></SourceContext>'  # fmt: skip  # noqa: E501
    if version >= 11:
        file = value("RelativePath", path) + value("Path", f"/somewhere/{path}")
    else:
        elements = "".join(f"<RelativePathElement Dir={quoteattr(part)} />" for part in folders.split("/") if folders)
        file = f"<RelativePath>{elements}</RelativePath>{value('Name', name)}"
    return f"<SampleRef><FileRef>{file}</FileRef>{original}</SampleRef>"


def max_device(version: int, name: str) -> str:
    file = value("Path", f"/max/{name}") if version >= 11 else value("Name", name)
    patch = f"<PatchSlot><Value><MxDPatchRef><FileRef>{file}</FileRef></MxDPatchRef></Value></PatchSlot>"
    return f'<MxDeviceAudioEffect Id="0">{patch}</MxDeviceAudioEffect>'


def xml_of(spec: SetSpec) -> bytes:
    version = spec.version
    main = "MainTrack" if version >= 12 else "MasterTrack"
    chain = "MasterChain" if version == 8 else "DeviceChain"
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<Ableton MajorVersion="5" MinorVersion="{version}.0_300" Creator="Ableton Live {version}.0.1">',
        "<LiveSet>",
        "<Tracks>",
        *(_track(track, version) for track in spec.tracks),
        "</Tracks>",
        f"<{main}>",
        _main_envelopes(spec),
        f"<{chain}><Mixer>{_tempo(spec)}{_signature(spec)}</Mixer>",
        f"<DeviceChain><Devices>{spec.main_devices}</Devices></DeviceChain></{chain}></{main}>",
        _scenes(spec),
        "<Locators><Locators>",
        *(f"<Locator>{value('Time', time)}{value('Name', name)}</Locator>" for time, name in spec.locators),
        "</Locators></Locators>",
        spec.scale,
        spec.extra,
        "</LiveSet>",
        "</Ableton>",
    ]
    return "\n".join(parts).encode()


def write_als(folder: Path, spec: SetSpec, name: str = "set.als") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(xml_of(spec)))
    return path


def _track(track: TrackSpec, version: int) -> str:
    name = value("UserName", track.name) if version == 8 else value("EffectiveName", track.name) + value("UserName", "")
    colour = "" if track.colour is None else _colour(track.colour, version)
    clip = "AudioClip" if track.tag == "AudioTrack" else "MidiClip"
    around = "Sample" if track.tag == "AudioTrack" else "ClipTimeable"
    clips = "".join(
        f'<{clip} Time="{start}">{value("CurrentStart", start)}{value("CurrentEnd", end)}'
        f"{value('Name', words)}</{clip}>"
        for start, end, words in track.clips
    )
    slots = "".join(
        "<ClipSlot><ClipSlot><Value>"
        + ("" if words is None else f'<{clip} Time="0">{value("CurrentEnd", 999)}{value("Name", words)}</{clip}>')
        + "</Value></ClipSlot></ClipSlot>"
        for words in track.slots
    ) + "".join(f"<ClipSlot><ClipSlot><Value>{each}</Value></ClipSlot></ClipSlot>" for each in track.slot_clips)
    points = "".join(f'<FloatEvent Time="{time}" Value="1" />' for time in track.parameter_points)
    with_parameter = f"<Volume><ArrangerAutomation><Events>{points}</Events></ArrangerAutomation></Volume>"
    with_track = (
        "<AutomationEnvelopes><Envelopes><AutomationEnvelope><EnvelopeTarget><PointeeId Value='7' /></EnvelopeTarget>"
        f"<Automation><Events>{points}</Events></Automation></AutomationEnvelope>{track.envelopes}</Envelopes>"
        "</AutomationEnvelopes>"
    )
    return (
        f'<{track.tag} Id="{track.id}"><Name>{name}</Name>{colour}{value("TrackGroupId", track.group)}'
        f"{with_track if version >= 10 else ''}"
        f"<DeviceChain>{track.routing}<Mixer>{with_parameter if version < 10 else ''}{track.mixer}</Mixer>"
        f"<MainSequencer><ClipSlotList>{slots}</ClipSlotList>"
        f"<{around}><ArrangerAutomation><Events>{clips}{track.events}</Events></ArrangerAutomation></{around}>"
        f"</MainSequencer>"
        f"<FreezeSequencer><{around}><ArrangerAutomation><Events>{clips}</Events></ArrangerAutomation></{around}>"
        f"</FreezeSequencer><DeviceChain><Devices>{track.devices}</Devices></DeviceChain></DeviceChain>"
        f"{track.extra}</{track.tag}>"
    )


def _colour(index: int, version: int) -> str:
    return value("Color", index) if version >= 11 else value("ColorIndex", index + (140 if version > 8 else 0))


def _tempo(spec: SetSpec) -> str:
    events = [(BEFORE_TIME, spec.tempo if spec.version == 8 else 77), *spec.tempo_points]
    automation = "".join(f'<FloatEvent Time="{time}" Value="{bpm}" />' for time, bpm in events)
    here = f"<ArrangerAutomation><Events>{automation}</Events></ArrangerAutomation>" if spec.version < 10 else ""
    manual = value("Manual", spec.tempo) if spec.version > 8 else ""
    return f'<Tempo>{here}{manual}<AutomationTarget Id="8" /></Tempo>'


def _signature(spec: SetSpec) -> str:
    event = f'<EnumEvent Time="{BEFORE_TIME}" Value="{spec.signature if spec.version == 8 else 0}" />'
    events = _signature_events(spec) or event
    here = f"<ArrangerAutomation><Events>{events}</Events></ArrangerAutomation>" if spec.version < 10 else ""
    manual = value("Manual", spec.signature) if spec.version > 8 else ""
    target = '<AutomationTarget Id="9" />' if spec.signature_points else ""
    return f"<TimeSignature>{here}{manual}{target}</TimeSignature>"


def _signature_events(spec: SetSpec) -> str:
    """Changes of it, with what holds before them where Live keeps that; nothing where there are none."""
    points = [(BEFORE_TIME, spec.signature), *spec.signature_points] if spec.signature_points else []
    return "".join(f'<EnumEvent Time="{time}" Value="{code}" />' for time, code in points)


def _main_envelopes(spec: SetSpec) -> str:
    if spec.version < 10:
        return ""
    events = [(BEFORE_TIME, 77), *spec.tempo_points]
    tempo = "".join(f'<FloatEvent Time="{time}" Value="{bpm}" />' for time, bpm in events)
    other = '<FloatEvent Time="4" Value="0.5" />'
    envelopes = "".join(
        f"<AutomationEnvelope><EnvelopeTarget>{value('PointeeId', target)}</EnvelopeTarget>"
        f"<Automation><Events>{points}</Events></Automation></AutomationEnvelope>"
        for target, points in (("5", other), ("8", tempo), ("9", _signature_events(spec)))
        if points
    )
    return f"<AutomationEnvelopes><Envelopes>{envelopes}</Envelopes></AutomationEnvelopes>"


def _scenes(spec: SetSpec) -> str:
    if spec.version >= 11:
        scenes = "".join(
            f'<Scene Id="{number}">{value("Name", name)}</Scene>' for number, name in enumerate(spec.scenes)
        )
        return f"<Scenes>{scenes}</Scenes>"
    return "<SceneNames>" + "".join(f"<Scene Value={quoteattr(name)} />" for name in spec.scenes) + "</SceneNames>"


def switch(tag: str, on: bool, version: int = 12, target: str = "90", points: Sequence[tuple[float, bool]] = ()) -> str:
    """An on/off parameter; `points` are its automation where it is kept with it, until Live 9."""
    value_of = {True: "true", False: "false"}
    events = [(BEFORE_TIME, on), *points] if version == 8 or points else []
    listed = "".join(f'<BoolEvent Time="{time}" Value="{value_of[each]}" />' for time, each in events)
    manual = value("Manual", value_of[on]) if version > 8 else ""
    return (
        f"<{tag}><ArrangerAutomation><Events>{listed}</Events></ArrangerAutomation>"
        f'{manual}<AutomationTarget Id="{target}" /></{tag}>'
    )


def midi_clip(
    notes: Sequence[tuple[int, float]] = (),
    start: float = 0,
    end: float = 4,
    loop: tuple[float, float] | None = None,
    disabled: bool = False,
    name: str = "",
    extra: str = "",
) -> str:
    """An arrangement or session clip with notes (pitch, beat) of a quarter beat, in the lanes that Live makes."""
    lanes = "".join(
        f'<KeyTrack Id="{pitch}"><Notes>'
        + "".join(
            f'<MidiNoteEvent Time="{beat}" Duration="0.25" Velocity="100" IsEnabled="true" />'
            for each, beat in notes
            if each == pitch
        )
        + f"</Notes>{value('MidiKey', pitch)}</KeyTrack>"
        for pitch in sorted({pitch for pitch, _ in notes})
    )
    loop_start, loop_end = loop or (0, end - start)
    return (
        f'<MidiClip Time="{start}">{value("CurrentStart", start)}{value("CurrentEnd", end)}'
        f"<Loop>{value('LoopStart', loop_start)}{value('LoopEnd', loop_end)}{value('StartRelative', 0)}"
        f"{value('LoopOn', str(loop is not None).lower())}</Loop>"
        f"{value('Name', name)}{value('Disabled', str(disabled).lower())}{extra}"
        f"<Notes><KeyTracks>{lanes}</KeyTracks></Notes></MidiClip>"
    )


def pad(name: str, note: int | None, inside: str, extra: str = "", sends: int = 60) -> str:
    """A chain of a drum rack that listens to `note`; None stands for all notes."""
    receives = 0 if note is None else 128 - note
    return (
        f'<DrumBranch Id="0"><Name>{value("EffectiveName", name)}{value("UserName", name)}</Name>'
        f"<DeviceChain><MidiToAudioDeviceChain><Devices>{inside}</Devices></MidiToAudioDeviceChain></DeviceChain>"
        f"{extra}<BranchInfo>{value('ReceivingNote', receives)}{value('SendingNote', sends)}</BranchInfo></DrumBranch>"
    )


def drum_rack(*pads: str, extra: str = "") -> str:
    return f'<DrumGroupDevice Id="0">{extra}<Branches>{"".join(pads)}</Branches></DrumGroupDevice>'
