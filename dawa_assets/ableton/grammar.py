"""Where in a Live Set the things stand that are read, for Live 8 to 12 at once.

Only the map: each place leads to a method of `Builder`, and whatever is not named here is passed over. Small
places come first, `START` is the document.
"""

from dawa_assets.ableton.builder import Builder
from dawa_assets.ableton.walk import Enter, Place


def _value(method: Enter) -> Place:
    """An element whose attribute is all that matters."""
    return Place(enter=method)


def _below(path: str, place: Place) -> dict[str, Place]:
    """`place` at the end of a path of elements that mean nothing themselves."""
    *above, last = path.split("/")
    found = {last: place}
    for tag in reversed(above):
        found = {tag: Place(found)}
    return found


# A reference to a file: until Live 10 a name and folders, from Live 11 paths as values. Only the direct FileRef
# of a sample counts; its SourceContext repeats it.
_FILE = {
    "Name": _value(Builder.file_name),
    "Path": _value(Builder.file_path),
    "RelativePath": Place({"RelativePathElement": _value(Builder.folder)}, enter=Builder.relative_path),
}
_SAMPLE_REF = Place({"FileRef": Place(_FILE, enter=Builder.file, leave=Builder.end_sample)})
_MAX_PATCH_REF = Place({"FileRef": Place(_FILE, enter=Builder.file, leave=Builder.end_max_patch)})

# Automation: in Live 8 and 9 with each parameter, from Live 10 gathered on the track.
_EVENTS = Place(otherwise=_value(Builder.event))
_AUTOMATED = Place({"Events": _EVENTS}, enter=Builder.envelope, leave=Builder.end_envelope)
_PARAMETERS = Place({"ArrangerAutomation": _AUTOMATED})
_PARAMETERS.otherwise = _PARAMETERS
_ENVELOPE = Place(_below("Automation/Events", _EVENTS), enter=Builder.envelope, leave=Builder.end_envelope)

# Devices: racks hold chains that hold devices again, at any depth and under many names.
_DEVICES = Place()
_INSIDE_A_DEVICE = {"Devices": _DEVICES, "SampleRef": _SAMPLE_REF, "ArrangerAutomation": _AUTOMATED}
_DEVICE_PART = Place(_INSIDE_A_DEVICE)
_DEVICE_PART.otherwise = _DEVICE_PART
_VST = Place({"PlugName": _value(Builder.plugin_name)}, enter=Builder.plugin)
_VST3_OR_AU = Place({"Name": _value(Builder.plugin_name)}, enter=Builder.plugin)
_PLUGIN = Place({"VstPluginInfo": _VST, "Vst3PluginInfo": _VST3_OR_AU, "AuPluginInfo": _VST3_OR_AU})
# MxPatchRef or MxDPatchRef.
_MAX_DEVICE = Place(_below("Value", Place(otherwise=_MAX_PATCH_REF)))
_DEVICES.otherwise = Place(
    {**_INSIDE_A_DEVICE, "PluginDesc": _PLUGIN, "PatchSlot": _MAX_DEVICE},
    otherwise=_DEVICE_PART,
    enter=Builder.device,
    leave=Builder.end_device,
)

# Clips. Take lanes hold clips that are not heard, but their files belong to the set; frozen tracks' sequences
# and grooves are left out altogether.
_CLIP = {
    "CurrentStart": _value(Builder.clip_start),
    "CurrentEnd": _value(Builder.clip_end),
    "Name": _value(Builder.clip_name),
    "Color": _value(Builder.clip_colour),
    "ColorIndex": _value(Builder.clip_colour),
    "SampleRef": _SAMPLE_REF,
}
_ARRANGEMENT_CLIP = Place(_CLIP, enter=Builder.clip, leave=Builder.end_arrangement_clip)
_SESSION_CLIP = Place(_CLIP, enter=Builder.clip, leave=Builder.end_session_clip)
_ARRANGEMENT = Place(
    _below("ArrangerAutomation/Events", Place({"MidiClip": _ARRANGEMENT_CLIP, "AudioClip": _ARRANGEMENT_CLIP}))
)
_SLOT = Place(
    _below("ClipSlot/Value", Place({"MidiClip": _SESSION_CLIP, "AudioClip": _SESSION_CLIP})), enter=Builder.slot
)
_SEQUENCER = Place(
    {"ClipTimeable": _ARRANGEMENT, "Sample": _ARRANGEMENT, "ClipSlotList": Place({"ClipSlot": _SLOT})},
    otherwise=_PARAMETERS,
)
_TAKE_LANES = Place({"SampleRef": _SAMPLE_REF})
_TAKE_LANES.otherwise = _TAKE_LANES

_TRACK = Place(
    {
        "Name": Place({"EffectiveName": _value(Builder.effective_name), "UserName": _value(Builder.user_name)}),
        "Color": _value(Builder.track_colour),
        "ColorIndex": _value(Builder.track_colour),
        "TrackGroupId": _value(Builder.group_id),
        "Freeze": _value(Builder.freeze),
        "AutomationEnvelopes": Place(_below("Envelopes/AutomationEnvelope", _ENVELOPE)),
        "TakeLanes": _TAKE_LANES,
        "DeviceChain": Place(
            {
                "Mixer": _PARAMETERS,
                "MainSequencer": _SEQUENCER,
                "DeviceChain": Place({"Devices": _DEVICES}),
            }
        ),
    },
    enter=Builder.track,
)

# The main track: MasterTrack until Live 11, its chain MasterChain in Live 8. In Live 8 the first event of a
# parameter is its manual value; from Live 10 its events stand with the track's envelopes, under its target's id.
_TEMPO = Place(
    {
        "Manual": _value(Builder.tempo),
        "AutomationTarget": _value(Builder.tempo_target),
        **_below("ArrangerAutomation/Events/FloatEvent", _value(Builder.tempo_event)),
    }
)
_TIME_SIGNATURE = Place(
    {
        "Manual": _value(Builder.time_signature),
        **_below("ArrangerAutomation/Events/EnumEvent", _value(Builder.time_signature_event)),
    }
)
_MAIN_CHAIN = Place(
    {
        "Mixer": Place({"Tempo": _TEMPO, "TimeSignature": _TIME_SIGNATURE}),
        "DeviceChain": Place({"Devices": _DEVICES}),
    }
)
_MAIN_ENVELOPE = Place(
    {
        **_below("EnvelopeTarget/PointeeId", _value(Builder.pointee)),
        **_below("Automation/Events/FloatEvent", _value(Builder.main_event)),
    },
    enter=Builder.envelope,
)
_MAIN_TRACK = Place(
    {
        "AutomationEnvelopes": Place(_below("Envelopes/AutomationEnvelope", _MAIN_ENVELOPE)),
        "MasterChain": _MAIN_CHAIN,
        "DeviceChain": _MAIN_CHAIN,
    },
    enter=Builder.main_track,
)

_LOCATOR = Place(
    {"Time": _value(Builder.locator_time), "Name": _value(Builder.locator_name)},
    enter=Builder.locator,
    leave=Builder.end_locator,
)
_SCENES = Place({"Scene": Place({"Name": _value(Builder.scene_name)}, enter=Builder.scene)})
_SCALE = Place(
    {
        "RootNote": _value(Builder.scale_root),
        "Root": _value(Builder.scale_root),
        "Name": _value(Builder.scale_name),
    }
)
_LIVE_SET = Place(
    {
        "Tracks": Place(dict.fromkeys(("MidiTrack", "AudioTrack", "GroupTrack", "ReturnTrack"), _TRACK)),
        "MasterTrack": _MAIN_TRACK,
        "MainTrack": _MAIN_TRACK,
        **_below("Locators/Locators/Locator", _LOCATOR),
        "SceneNames": _SCENES,
        "Scenes": _SCENES,
        "ScaleInformation": _SCALE,
        "InKey": _value(Builder.in_key),
    },
    enter=Builder.live_set,
)

START = Place(
    {"Ableton": Place({"LiveSet": _LIVE_SET}, enter=Builder.ableton)},
    otherwise=_value(Builder.no_ableton),
)
