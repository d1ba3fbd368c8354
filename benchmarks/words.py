"""What is said of Live Sets, held against what sounds in them by a second, slow reading of their XML.

That reading has code of its own for what is heard: mutes, solos, groups, clips, pads, files. What a name, a device or a
plugin means it looks up in the same tables (`lexicon.toml`, `live_devices.toml`, `plugins.toml`), so a wrong word in
those is not found here; `tests/dawa_assets/ableton/test_words.py` is for them.

The sets are the example's and, where they lie beside the checkout, real ones. The score is printed; a prompt that
names an instrument that nothing audible supports, leaves out one of the two most-played drums, or breaks a rule fails
the run.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

WHAT = "reading the sets at hand, their summaries, contexts and prompts"
PEER = "the slow second reading that the words are held against: ElementTree, looked through again for each question"
FLOOR = "unpacking the sets"
ROUNDS = 1

_REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
_NOTE_DEVICES = {"MidiPitcher", "MidiRandom", "MidiChord", "MidiScale", "MidiArpeggiator", "MxDeviceMidiEffect"}


def setup(folder: Path) -> None:
    """Write the example's sets."""
    from dawa_assets.example.live_set import live_set
    from dawa_assets.example.tracks import songs

    for song in songs():
        (folder / f"{song.title}.als").write_bytes(live_set(song))


def ours(folder: Path) -> None:
    """Read everything and write the prompts."""
    assert all(prompt for _, _, prompt, _ in _told(folder))


def peer(folder: Path) -> None:
    """Find what supports each instrument."""
    assert [_Heard(path) for path in _sets(folder)]


def floor(folder: Path) -> None:
    """Unpack."""
    assert all(_unpacked(path) for path in _sets(folder))


def score(folder: Path) -> Iterator[str]:
    """The score, in lines.

    Raises:
        AssertionError: anything is said that nothing supports, left out that is played most, or against a rule.
    """
    prompts: Counter[str] = Counter()
    sets = named = unsupported = drums = told_drums = broken = 0
    for path, context, prompt, against in _told(folder):
        said = {name for names in context.get("track", {}).get("instruments", {}).values() for name in names}
        heard = _Heard(path)
        most_played = heard.most_played_drums()
        wrong = said - heard.supported()
        missing = set(most_played) - said
        if wrong or missing or against:
            yield f"words: {path.name}: unsupported {sorted(wrong)}, missing {sorted(missing)}, broken {against}"
        sets, named, unsupported = sets + 1, named + len(said), unsupported + len(wrong)
        drums, told_drums = drums + len(most_played), told_drums + len(most_played) - len(missing)
        broken += len(against)
        prompts[prompt] += 1
    yield (
        f"words: {sets} sets, {named} instruments named, {unsupported} that nothing audible supports; "
        f"{told_drums} of {drums} most-played drums told; {len(prompts)} distinct prompts; {broken} rules broken"
    )
    assert unsupported == broken == 0
    assert told_drums == drums


def _sets(folder: Path) -> list[Path]:
    found = [*folder.glob("*.als"), *_REAL.glob("als/*.als"), *_REAL.glob("als-sounds/*.als")]
    return sorted(path for path in found if not path.name.startswith(("git-lfs", "control-character")))


def _told(folder: Path) -> Iterator[tuple[Path, dict[str, dict[str, dict[str, list[str]]]], str, list[str]]]:
    from dawa_assets.ableton.reader import read_live_set
    from dawa_assets.ableton.summary_builder import summarise
    from dawa_assets.prompting.context import build_context
    from dawa_assets.prompting.profile_facts import read_profile
    from dawa_assets.prompting.rules import rules_for
    from dawa_assets.prompting.summary_facts import read_summary
    from resources.prompt_writer.base import PromptRequest
    from resources.prompt_writer.offline import OfflineWriter

    for path in _sets(folder):
        live_set = read_live_set(path)
        summary = summarise(live_set, als_filename=path.name, project_folder="", artist_name="").model_dump(mode="json")
        profile, facts = read_profile({}), read_summary(summary)
        if facts.tempo is None:
            continue  # no prompt is written for it
        context = build_context(profile, facts)
        rules = rules_for(profile, facts.tempo, context=context)
        request = PromptRequest(key=path.name, instructions="", context=context, check=rules.broken)
        [answer] = next(iter(OfflineWriter().write([request])))
        yield path, json.loads(context), answer.text or "", rules.broken(answer.text or "")


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


class _Heard:
    """What sounds in a set, by looking through its tree."""

    def __init__(self, path: Path) -> None:
        root = ElementTree.fromstring(_unpacked(path)).find("LiveSet")  # noqa: S314 - files of our own
        assert root is not None
        tracks = [track for track in root.iterfind("Tracks/*") if track.tag in {"MidiTrack", "AudioTrack"}]
        groups = {group.get("Id"): group for group in root.iterfind("Tracks/GroupTrack")}
        solo = any(_value(track, "DeviceChain/Mixer/SoloSink") == "true" for track in tracks)
        audible = [track for track in tracks if _passes(track, groups)]
        if solo:
            audible = [track for track in audible if _value(track, "DeviceChain/Mixer/SoloSink") == "true"]
        arranged = any(_clips(track, arranged=True) for track in audible)
        has_clips = any(_clips(track, arranged=way) for track in tracks for way in (True, False))
        self.tracks = [
            (track, _clips(track, arranged=arranged))
            for track in audible
            if _clips(track, arranged=arranged) or not has_clips or _is_fed(track, tracks)
        ]
        self.groups = [_value(group, "Name/EffectiveName") for group in groups.values()]

    def supported(self) -> set[str]:
        """Every instrument that a name of something audible holds, or that a device is."""
        from dawa_assets.ableton.devices import live_device
        from dawa_assets.ableton.lexicon import named
        from dawa_assets.ableton.plugins import known_plugin

        found: set[str] = set()
        for track, clips in self.tracks:
            names = [_value(track, "Name/EffectiveName"), _value(track, "Name/UserName"), *self.groups]
            names += [_value(clip, "Name") for clip in clips]
            names += [name for clip in clips for name in _files(clip)]
            hits = self._hits(track, clips)
            for device in track.iterfind("DeviceChain/DeviceChain/Devices//*[On]"):
                names += [_value(device, "UserName"), *_presets(device)]
                known = live_device(device.tag)
                found |= {known.sound} if known and known.sound else set()
            for tag in ("PlugName", "Name"):
                for each in track.iterfind(f".//PluginDesc/*/{tag}"):
                    plugin = known_plugin(each.get("Value", ""))
                    found |= {plugin.sound} if plugin and plugin.sound else set()
            for device in track.iterfind("DeviceChain/DeviceChain/Devices/*"):
                known = live_device(device.tag)
                found |= {known.sound} if known and known.sound else set()
            if hits is None:
                names += [
                    name for device in track.iterfind("DeviceChain/DeviceChain/Devices") for name in _files(device)
                ]
                names += [each.get("Value", "") for each in track.iterfind(".//DrumBranch/Name/*")]
            else:
                names += list(hits)
            found |= {instrument for name in names for instrument in named(name)}
        return found

    def most_played_drums(self) -> list[str]:
        """The two drums whose pads are hit the most, of the racks that can be followed simply."""
        from dawa_assets.ableton.lexicon import lexicon, named

        plays: Counter[str] = Counter()
        for track, clips in self.tracks:
            for name, count in (self._hits(track, clips) or {}).items():
                for instrument in named(name):
                    if lexicon().role_of[instrument] == "rhythm" and instrument not in lexicon().general:
                        plays[instrument] += count
        return [name for name, _ in plays.most_common(2)]

    @staticmethod
    def _hits(track: ElementTree.Element, clips: list[ElementTree.Element]) -> dict[str, int] | None:
        """How often the pads of a track's one plain drum rack are hit, by name; None where it is not that simple."""
        racks = list(track.iterfind(".//DrumGroupDevice"))
        devices = {element.tag for element in track.iterfind("DeviceChain/DeviceChain//*")}
        if len(racks) != 1 or devices & _NOTE_DEVICES or racks[0].find(".//ReceivingNote[@Value]") is None:
            return None
        notes: Counter[int] = Counter()
        for clip in clips:
            for lane in clip.iterfind("Notes/KeyTracks/KeyTrack"):
                enabled = [each for each in lane.iterfind("Notes/*") if each.get("IsEnabled") != "false"]
                notes[int(_value(lane, "MidiKey"))] += len(enabled)
        hits: dict[str, int] = {}
        for pad in racks[0].iterfind("Branches/DrumBranch"):
            count = notes[128 - int(_value(pad, "BranchInfo/ReceivingNote") or 128)]
            name = _value(pad, "Name/UserName") or _value(pad, "Name/EffectiveName")
            if count:
                hits[name] = hits.get(name, 0) + count
                hits.update({file: hits.get(file, 0) for file in _files(pad)})
        return hits


def _value(element: ElementTree.Element, path: str) -> str:
    found = element.find(path)
    return found.get("Value", "") if found is not None else ""


def _passes(track: ElementTree.Element, groups: dict[str | None, ElementTree.Element]) -> bool:
    here: ElementTree.Element | None = track
    while here is not None:
        event = here.find("DeviceChain/Mixer/Speaker/ArrangerAutomation/Events/BoolEvent")
        off = event.get("Value") if event is not None else _value(here, "DeviceChain/Mixer/Speaker/Manual")
        if off == "false":
            return False
        here = groups.get(_value(here, "TrackGroupId"))
    return True


def _clips(track: ElementTree.Element, *, arranged: bool) -> list[ElementTree.Element]:
    where = "*/ArrangerAutomation/Events/*" if arranged else "ClipSlotList/ClipSlot/ClipSlot/Value/*"
    clips = [each for each in track.iterfind(f"DeviceChain/MainSequencer/{where}") if each.tag.endswith("Clip")]
    return [
        clip
        for clip in clips
        if _value(clip, "Disabled") != "true"
        and float(_value(clip, "SampleVolume") or 1) > 0.0004
        and (clip.find("Notes") is None or clip.find(".//MidiNoteEvent") is not None)
    ]


def _is_fed(track: ElementTree.Element, tracks: list[ElementTree.Element]) -> bool:
    targets = [_value(other, "DeviceChain/MidiOutputRouting/Target") for other in tracks]
    own = f"Track.{track.get('Id')}/"
    return any(own in f"{target}/" for target in targets) or "Track." in _value(
        track, "DeviceChain/MidiInputRouting/Target"
    )


def _files(element: ElementTree.Element) -> list[str]:
    references = element.iterfind(".//SampleRef/FileRef")
    paths = (_value(each, "Name") or _value(each, "Path") or _value(each, "RelativePath") for each in references)
    return [path.replace("\\", "/").rpartition("/")[2] for path in paths]


def _presets(device: ElementTree.Element) -> list[str]:
    references = device.iterfind("LastPresetRef/Value/*/FileRef")
    return [(_value(each, "Name") or _value(each, "Path")).rpartition("/")[2] for each in references]
