"""What reading a Live Set costs, on a set of the size of the largest real one."""

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

from benchmarks.goals import Goal

WHAT = "everything the summary needs from a 37 MB Live Set (112 tracks, 5,600 clips, 600,000 elements)"
PEER = "parsing it to a tree by ElementTree, with nothing read from the tree"
FLOOR = "unpacking it by gzip and letting expat go through it, without a handler"
GOALS = (Goal("ours / floor", at_most=3), Goal("peak MB", at_most=40))

_TRACKS = 112
_CLIPS = 50
_DEVICES = 8
_PARAMETERS = 50
_NOTES = 32
_LANES = 4
_SET = "set.als"


def setup(folder: Path) -> None:
    """Write the set."""
    (folder / _SET).write_bytes(live_set(_TRACKS, _CLIPS))


def ours(folder: Path) -> None:
    """Read it and make the summary."""
    from dawa_assets.ableton.reader import read_live_set
    from dawa_assets.ableton.summary_builder import summarise

    live_set = read_live_set(folder / _SET)
    summary = summarise(live_set, als_filename=_SET, project_folder="", artist_name="")
    assert summary.overview.tempo == 126
    assert summary.overview.total_tracks == _TRACKS
    assert summary.arrangement_clips == _TRACKS * _CLIPS
    assert summary.plugin_usage == {"Some Synth": _TRACKS}
    assert summary.length_bars == _CLIPS
    notes = [track.notes for track in summary.track_breakdown.values()]
    assert all(each is not None and each.count == _CLIPS * _NOTES for each in notes)


def peer(folder: Path) -> None:
    """Make the tree."""
    from xml.etree import ElementTree

    with gzip.open(folder / _SET) as file:
        tree = ElementTree.parse(file)  # noqa: S314
    assert tree.find("LiveSet/MainTrack") is not None


def floor(folder: Path) -> None:
    """Go through it, keeping nothing."""
    from xml.parsers import expat

    parser, size = expat.ParserCreate(), 0
    with gzip.open(folder / _SET) as file:
        while chunk := file.read(64 * 1024):
            parser.Parse(chunk, False)
            size += len(chunk)
    parser.Parse(b"", True)
    assert size > 30_000_000


def live_set(tracks: int, clips: int) -> bytes:
    """Return a Live Set of so many tracks with so many clips each."""
    xml = "\n".join(_lines(random.Random(1), tracks, clips))  # noqa: S311
    return gzip.compress(xml.encode(), compresslevel=6, mtime=0)


def _lines(numbers: random.Random, tracks: int, clips: int) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<Ableton MajorVersion="5" MinorVersion="12.0_12300" Creator="Ableton Live 12.3.8">'
    yield "\t<LiveSet>"
    yield "\t\t<Tracks>"
    for track in range(tracks):
        yield from _track(track, clips, numbers)
    yield "\t\t</Tracks>"
    yield "\t\t<MainTrack><DeviceChain><Mixer>"
    yield '\t\t\t<Tempo><Manual Value="126" /></Tempo>'
    yield '\t\t\t<TimeSignature><Manual Value="201" /></TimeSignature>'
    yield "\t\t</Mixer></DeviceChain></MainTrack>"
    yield "\t</LiveSet>"
    yield "</Ableton>"


def _track(track: int, clips: int, numbers: random.Random) -> Iterator[str]:
    yield f'\t\t\t<MidiTrack Id="{track + 10}">'
    yield f'\t\t\t\t<Name><EffectiveName Value="{track + 1}-MIDI" /><UserName Value="" /></Name>'
    yield f'\t\t\t\t<Color Value="{track % 70}" />'
    yield '\t\t\t\t<TrackGroupId Value="-1" />'
    yield "\t\t\t\t<DeviceChain>"
    yield "\t\t\t\t\t<MainSequencer><ClipTimeable><ArrangerAutomation><Events>"
    for clip in range(clips):
        yield from _clip(clip, numbers)
    yield "\t\t\t\t\t</Events></ArrangerAutomation></ClipTimeable></MainSequencer>"
    yield "\t\t\t\t\t<DeviceChain><Devices>"
    for device in range(_DEVICES):
        yield from _device(device, numbers)
    yield "\t\t\t\t\t</Devices></DeviceChain>"
    yield "\t\t\t\t</DeviceChain>"
    yield "\t\t\t</MidiTrack>"


def _clip(clip: int, numbers: random.Random) -> Iterator[str]:
    yield f'\t\t\t\t\t\t\t<MidiClip Id="{clip}" Time="{clip * 4}">'
    yield f'\t\t\t\t\t\t\t\t<CurrentStart Value="{clip * 4}" />'
    yield f'\t\t\t\t\t\t\t\t<CurrentEnd Value="{clip * 4 + 4}" />'
    yield f'\t\t\t\t\t\t\t\t<Name Value="part {clip}" />'
    yield '\t\t\t\t\t\t\t\t<Loop><LoopStart Value="0" /><LoopEnd Value="4" /><LoopOn Value="true" /></Loop>'
    yield "\t\t\t\t\t\t\t\t<Notes><KeyTracks>"
    for lane in range(_LANES):
        yield f'\t\t\t\t\t\t\t\t\t<KeyTrack Id="{lane}"><Notes>'
        for note in range(_NOTES // _LANES):
            time, velocity = numbers.random() * 4, numbers.randrange(127)
            yield (
                f'\t\t\t\t\t\t\t\t\t\t<MidiNoteEvent Time="{time}" Duration="0.25" Velocity="{velocity}" '
                f'OffVelocity="64" NoteId="{note}" />'
            )
        yield f'\t\t\t\t\t\t\t\t\t</Notes><MidiKey Value="{36 + lane}" /></KeyTrack>'
    yield "\t\t\t\t\t\t\t\t</KeyTracks></Notes>"
    yield "\t\t\t\t\t\t\t</MidiClip>"


def _device(device: int, numbers: random.Random) -> Iterator[str]:
    tag = "Eq8" if device else "PluginDevice"
    yield f'\t\t\t\t\t\t<{tag} Id="{device}">'
    if not device:
        yield '\t\t\t\t\t\t\t<PluginDesc><Vst3PluginInfo Id="0"><Name Value="Some Synth" />'
        yield f"\t\t\t\t\t\t\t\t<ProcessorState>{numbers.randbytes(4000).hex()}</ProcessorState>"
        yield "\t\t\t\t\t\t\t</Vst3PluginInfo></PluginDesc>"
    for parameter in range(_PARAMETERS):
        yield f"\t\t\t\t\t\t\t<Parameter.{parameter}>"
        yield '\t\t\t\t\t\t\t\t<LomId Value="0" />'
        yield f'\t\t\t\t\t\t\t\t<Manual Value="{numbers.random()}" />'
        yield '\t\t\t\t\t\t\t\t<MidiControllerRange><Min Value="0" /><Max Value="1" /></MidiControllerRange>'
        yield f'\t\t\t\t\t\t\t\t<AutomationTarget Id="{numbers.randrange(99999)}">'
        yield '\t\t\t\t\t\t\t\t\t<LockEnvelope Value="0" />'
        yield "\t\t\t\t\t\t\t\t</AutomationTarget>"
        yield "\t\t\t\t\t\t\t\t<ModulationTarget />"
        yield f"\t\t\t\t\t\t\t</Parameter.{parameter}>"
    yield f"\t\t\t\t\t\t</{tag}>"
