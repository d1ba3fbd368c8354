"""Where in a Live Set the things stand that are read, for Live 8 to 12 at once.

Only the map: each place leads to a method of `Builder`, and whatever is not named here is passed over. Small
places come first, `START` is the document.
"""

from dawa_assets.ableton.builder import Builder
from dawa_assets.ableton.walk import Enter, Leave, Place


def _value(method: Enter) -> Place:
    """Return an element whose attribute is all that matters."""
    return Place(enter=method, is_value=True)


def _below(path: str, place: Place) -> dict[str, Place | None]:
    """`place` at the end of a path of elements that mean nothing themselves."""
    *above, last = path.split("/")
    found: dict[str, Place | None] = {last: place}
    for tag in reversed(above):
        found = {tag: Place(found)}
    return found


# A reference to a file: until Live 10 a name and folders, from Live 11 paths as values. Only the direct FileRef
# of a sample counts; its SourceContext repeats it.
_FILE = {
    "Name": _value(Builder.file_name),
    "Path": _value(Builder.file_path),
    "Data": Place(text=Builder.file_data),
    "HasRelativePath": _value(Builder.is_relative),
    "RelativePathType": _value(Builder.relative_to),
    "LivePackName": _value(Builder.pack),
    **_below("SearchHint/PathHint/RelativePathElement", _value(Builder.hint)),
    "RelativePath": Place({"RelativePathElement": _value(Builder.folder)}, enter=Builder.relative_path),
}
_SAMPLE_REF = Place({"FileRef": Place(_FILE, enter=Builder.file, leave=Builder.end_sample)})
_DEVICE_SAMPLE_REF = Place({"FileRef": Place(_FILE, enter=Builder.file, leave=Builder.end_device_sample)})
_MAX_PATCH_REF = Place({"FileRef": Place(_FILE, enter=Builder.file, leave=Builder.end_max_patch)})
_PRESET_REF = Place({"FileRef": Place(_FILE, enter=Builder.file, leave=Builder.end_preset)})

# Automation: in Live 8 and 9 with each parameter, from Live 10 gathered on the track under the parameter's id.
# Most of a set are these parts of parameters; none holds anything that matters.
_PARTS_OF_PARAMETERS: dict[str, Place | None] = dict.fromkeys(
    ("LomId", "Manual", "MidiControllerRange", "MidiCCOnOffThresholds", "AutomationTarget", "ModulationTarget")
)
_EVENTS = Place(otherwise=_value(Builder.event))
_AUTOMATED = Place({"Events": _EVENTS}, enter=Builder.envelope, leave=Builder.end_envelope)
_PARAMETERS = Place({**_PARTS_OF_PARAMETERS, "ArrangerAutomation": _AUTOMATED})
_PARAMETERS.otherwise = _PARAMETERS
_ENVELOPE = Place(
    {
        **_below("EnvelopeTarget/PointeeId", _value(Builder.pointee)),
        **_below(
            "Automation/Events", Place({"BoolEvent": _value(Builder.switch_event)}, otherwise=_value(Builder.event))
        ),
    },
    enter=Builder.envelope,
    leave=Builder.end_envelope,
)
_SWITCH = {
    "Manual": _value(Builder.switch_value),
    "AutomationTarget": _value(Builder.switch_target),
    "ArrangerAutomation": Place(
        _below("Events", Place(otherwise=_value(Builder.own_switch_event))),
        enter=Builder.envelope,
        leave=Builder.end_own_switch_envelope,
    ),
}

# Devices: racks hold chains that hold devices again, at any depth.
_DEVICES = Place()
_INSIDE_A_DEVICE = {
    **_PARTS_OF_PARAMETERS,
    "Devices": _DEVICES,
    "SampleRef": _DEVICE_SAMPLE_REF,
    "ArrangerAutomation": _AUTOMATED,
}
_DEVICE_PART = Place(_INSIDE_A_DEVICE)
_DEVICE_PART.otherwise = _DEVICE_PART
_VST = Place({"PlugName": _value(Builder.plugin_name)}, enter=Builder.plugin)
_VST3_OR_AU = Place({"Name": _value(Builder.plugin_name)}, enter=Builder.plugin)
_PLUGIN = Place({"VstPluginInfo": _VST, "Vst3PluginInfo": _VST3_OR_AU, "AuPluginInfo": _VST3_OR_AU})
# MxPatchRef or MxDPatchRef; FilePresetRef or AbletonDefaultPresetRef, of which the second names the device alone.
_MAX_DEVICE = Place(_below("Value", Place(otherwise=_MAX_PATCH_REF)))
_PRESET = Place(_below("Value", Place({"FilePresetRef": _PRESET_REF, "AuUserPresetRef": _PRESET_REF})))
_CHAIN = {
    "Name": Place({"EffectiveName": _value(Builder.chain_name), "UserName": _value(Builder.chain_user_name)}),
    "DeviceChain": _DEVICE_PART,
    "IsSoloed": _value(Builder.chain_soloed),
    "MixerDevice": Place({"Speaker": Place(_SWITCH, enter=Builder.chain_speaker)}, otherwise=_PARAMETERS),
    "BranchInfo": Place({"ReceivingNote": _value(Builder.chain_receives), "SendingNote": _value(Builder.chain_sends)}),
    "BranchSelectorRange": Place(dict.fromkeys(("Min", "Max"), _value(Builder.chain_zone))),
    "ZoneSettings": Place(
        _below("KeyRange", Place(dict.fromkeys(("Min", "Max"), _value(Builder.chain_key)))), otherwise=_DEVICE_PART
    ),
}
_CHAINS = Place(otherwise=Place(_CHAIN, otherwise=_DEVICE_PART, enter=Builder.chain, leave=Builder.end_chain))
_RETURN_CHAINS = Place(
    otherwise=Place(_CHAIN, otherwise=_DEVICE_PART, enter=Builder.return_chain, leave=Builder.end_chain)
)
_SELECTOR = {"Manual": _value(Builder.selector), "AutomationTarget": _value(Builder.selector_target)}
_DEVICE = {
    **_INSIDE_A_DEVICE,
    "On": Place(_SWITCH, enter=Builder.device_on),
    "UserName": _value(Builder.device_name),
    "LastPresetRef": _PRESET,
    "PluginDesc": _PLUGIN,
    "PatchSlot": _MAX_DEVICE,
    "Branches": _CHAINS,
    "ReturnBranches": _RETURN_CHAINS,
    "ChainSelector": Place(_SELECTOR, otherwise=_DEVICE_PART),
}
_DEVICES.otherwise = Place(_DEVICE, otherwise=_DEVICE_PART, enter=Builder.device, leave=Builder.end_device)
_PITCH = Place({"Manual": _value(Builder.device_pitch), "ArrangerAutomation": _AUTOMATED}, otherwise=_DEVICE_PART)
_PITCH_DEVICE = Place(
    {**_DEVICE, "Pitch": _PITCH}, otherwise=_DEVICE_PART, enter=Builder.device, leave=Builder.end_device
)
_DEVICES.inside = {"MidiPitcher": _PITCH_DEVICE}

# Clips. Take lanes hold clips that are not heard, but their files belong to the set; frozen tracks' sequences
# and grooves are left out altogether.
_CLIP = {
    "CurrentStart": _value(Builder.clip_start),
    "CurrentEnd": _value(Builder.clip_end),
    "Loop": Place(
        {
            "LoopStart": _value(Builder.loop_start),
            "LoopEnd": _value(Builder.loop_end),
            "StartRelative": _value(Builder.loop_offset),
            "LoopOn": _value(Builder.loop_on),
        }
    ),
    "Name": _value(Builder.clip_name),
    "Color": _value(Builder.clip_colour),
    "ColorIndex": _value(Builder.clip_colour),
    "Disabled": _value(Builder.clip_disabled),
    "SampleVolume": _value(Builder.clip_gain),
    "IsWarped": _value(Builder.clip_warped),
    "WarpMarkers": Place({"WarpMarker": _value(Builder.warp_marker)}),
    "ScaleInformation": Place(
        {
            "RootNote": _value(Builder.clip_scale_root),
            "Root": _value(Builder.clip_scale_root),
            "Name": _value(Builder.clip_scale_name),
        }
    ),
    "SampleRef": _SAMPLE_REF,
}
_NOTE_LANE = Place(
    {**_below("Notes/MidiNoteEvent", Place(is_value=True, is_collected=True)), "MidiKey": _value(Builder.note_pitch)},
    leave=Builder.end_note_lane,
)


def _clip(begin_notes: Enter, end: Leave) -> Place:
    """Return a clip of one view; in which view decides how often its notes are played."""
    notes = Place(_below("KeyTracks/KeyTrack", _NOTE_LANE), enter=begin_notes)
    return Place({**_CLIP, "Notes": notes}, enter=Builder.clip, leave=end)


_ARRANGEMENT_CLIP = _clip(Builder.arrangement_notes, Builder.end_arrangement_clip)
_SESSION_CLIP = _clip(Builder.session_notes, Builder.end_session_clip)
_ARRANGEMENT = Place(
    _below("ArrangerAutomation/Events", Place({"MidiClip": _ARRANGEMENT_CLIP, "AudioClip": _ARRANGEMENT_CLIP}))
)
_SLOT = Place(
    _below("ClipSlot/Value", Place({"MidiClip": _SESSION_CLIP, "AudioClip": _SESSION_CLIP})), enter=Builder.slot
)
_SEQUENCER = Place(
    {
        "ClipTimeable": _ARRANGEMENT,
        "Sample": _ARRANGEMENT,
        "ClipSlotList": Place({"ClipSlot": _SLOT}),
        "MonitoringEnum": _value(Builder.monitoring),
    },
    otherwise=_PARAMETERS,
)
_TAKE_LANES = Place({"SampleRef": _SAMPLE_REF})
_TAKE_LANES.otherwise = _TAKE_LANES

_VOLUME = Place(
    {
        "Manual": _value(Builder.level_value),
        "AutomationTarget": _value(Builder.level_target),
        "ArrangerAutomation": Place(
            _below("Events", Place(otherwise=_value(Builder.own_level_event))),
            enter=Builder.envelope,
            leave=Builder.end_own_level_envelope,
        ),
    },
    enter=Builder.volume,
)
_SEND = Place(
    {
        "Manual": _value(Builder.send),
        "ArrangerAutomation": Place(
            _below("Events", Place(otherwise=_value(Builder.send_event))),
            enter=Builder.envelope,
            leave=Builder.end_envelope,
        ),
    }
)
_MIXER = Place(
    {
        "Speaker": Place(_SWITCH, enter=Builder.speaker),
        "SoloSink": _value(Builder.soloed),
        "Volume": _VOLUME,
        "Sends": Place(otherwise=Place({"Send": _SEND}, otherwise=_PARAMETERS)),
    },
    otherwise=_PARAMETERS,
)


def _routing(method: Enter) -> Place:
    """Return where something comes from or goes to."""
    return Place({"Target": _value(method)})


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
                "Mixer": _MIXER,
                "AudioOutputRouting": _routing(Builder.output),
                "AudioInputRouting": _routing(Builder.audio_input),
                "MidiOutputRouting": _routing(Builder.midi_output),
                "MidiInputRouting": _routing(Builder.midi_input),
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
        "AutomationTarget": _value(Builder.time_signature_target),
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
        **_below("Automation/Events", Place(dict.fromkeys(("FloatEvent", "EnumEvent"), _value(Builder.main_event)))),
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
_SCENE = {
    "Name": _value(Builder.scene_name),
    "Tempo": _value(Builder.scene_tempo),
    "IsTempoEnabled": _value(Builder.scene_sets_tempo),
    "TimeSignatureId": _value(Builder.scene_metre),
    "IsTimeSignatureEnabled": _value(Builder.scene_sets_metre),
}
_SCENES = Place({"Scene": Place(_SCENE, enter=Builder.scene)})
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
