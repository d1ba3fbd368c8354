"""Which devices and pads of a track are heard: what is switched on, in chains that are, and reached by notes.

Notes go through a chain as in Live: MIDI effects change them, a rack hands them to its chains by key, pad and chain
selector, an instrument plays them. A Pitch device is followed; devices that make notes of their own (Arpeggiator,
Chord, Random, Scale, Max for Live) are not, and everything behind them is said as unsure and taken as played.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from dawa_assets.ableton.drafts import ChainDraft, DeviceDraft
from dawa_assets.ableton.live_set import Device, Pad, Played
from dawa_assets.ableton.notes import Tally

_ANY_NOTE = -1
_UNFOLLOWED = {"MidiArpeggiator", "MidiChord", "MidiRandom", "MidiScale", "MxDeviceMidiEffect"}
_DRUM_RACK = "DrumGroupDevice"
_MIDI_RACK = "MidiEffectGroupDevice"


@dataclass(slots=True)
class Flow:
    """Notes on their way through a chain. `tally` is None where nothing is known of what is played."""

    tally: Tally | None
    unsure: bool = False

    @property
    def silent(self) -> bool:
        """Whether surely nothing is played here."""
        return self.tally is not None and not self.tally and not self.unsure


@dataclass(slots=True)
class Heard:
    """What came of a track's chain."""

    pads: list[Pad] = field(default_factory=list)
    unsure: bool = False


def follow(chain: ChainDraft, flow: Flow, switched: Mapping[str, bool], moved: Set[str]) -> Heard:
    """Send a track's notes through its chain: marks its devices, at any depth, and lists its pads.

    Args:
        chain: the track's own.
        flow: what its clips play; a tally of None for audio, and where the clips don't say.
        switched: for switches with automation, by id, whether it ever turns them on.
        moved: ids of everything with automation.
    """
    heard = Heard()
    _Follower(dict(switched), set(moved), heard).through(chain, flow, sounds=True, pads_around=0)
    return heard


def changes_notes(chain: ChainDraft) -> bool:
    """Return whether notes come out of a chain otherwise than they went in, in a way that can't be followed."""
    return any(device.kind in _UNFOLLOWED for device in _sounding(chain))


def finished_devices(drafts: list[DeviceDraft]) -> tuple[Device, ...]:
    """Return the devices in the order of the chain, racks before what is in them."""
    return tuple(
        Device(
            draft.kind,
            draft.level,
            draft.plugin,
            draft.max_patch,
            draft.name,
            draft.preset,
            draft.active,
            tuple(draft.samples),
            draft.played,
        )
        for draft in drafts
    )


@dataclass(slots=True)
class _Follower:
    switched: dict[str, bool]
    moved: set[str]
    heard: Heard

    def through(self, chain: ChainDraft, flow: Flow, *, sounds: bool, pads_around: int) -> Flow:
        """Pass the devices of one chain; gives the notes as they come out of it."""
        for device in chain.devices:
            device.active = sounds and device.on.is_on(self.switched)
            device.played = flow.tally.total() if device.active and flow.tally is not None else None
            if device.chains:
                out = self._rack(device, flow, pads_around)
                if device.active and device.kind == _MIDI_RACK:
                    flow = out
            elif not device.active:
                continue
            elif device.kind == "MidiPitcher":
                moves = device.pitch and flow.tally is not None
                flow = Flow(flow.tally.shifted(device.pitch), flow.unsure) if moves and flow.tally else flow
            elif device.kind in _UNFOLLOWED:
                flow = Flow(flow.tally, unsure=True)
            if device.active and flow.unsure:
                self.heard.unsure = True
        return flow

    def _rack(self, rack: DeviceDraft, flow: Flow, pads_around: int) -> Flow:
        soloed = any(chain.soloed for chain in rack.chains)
        merged = Flow(None if flow.tally is None else Tally())
        for chain in rack.chains:
            sounds = rack.active and chain.speaker.is_on(self.switched) and (chain.soloed or not soloed)
            sounds = sounds and self._selected(rack, chain)
            inner = flow if chain.is_return else _received(rack, chain, flow)
            is_pad = rack.kind == _DRUM_RACK and not chain.is_return
            if is_pad:
                place = len(self.heard.pads)
                self.heard.pads.append(_pad(chain, inner, sounds and not inner.silent, pads_around))
            out = self.through(chain, inner, sounds=sounds and not inner.silent, pads_around=pads_around + is_pad)
            if is_pad and len(self.heard.pads) > place + 1:
                self.heard.pads[place] = _holding(self.heard.pads[place])
            if sounds and merged.tally is not None and out.tally is not None:
                merged.tally.add_all(out.tally)
            merged.unsure = merged.unsure or (sounds and out.unsure)
        return merged

    def _selected(self, rack: DeviceDraft, chain: ChainDraft) -> bool:
        """Return whether the chain selector lets it sound; one that is automated may come by anywhere."""
        if rack.kind == _DRUM_RACK or chain.is_return or rack.selector_target in self.moved:
            return True
        return chain.zone[0] <= rack.selector <= chain.zone[1]


def _received(rack: DeviceDraft, chain: ChainDraft, flow: Flow) -> Flow:
    """Return the notes that reach a chain of a rack."""
    if flow.tally is None:
        return flow
    if rack.kind == _DRUM_RACK:
        if chain.receives is None or chain.receives == _ANY_NOTE:
            return Flow(flow.tally, flow.unsure or chain.receives is None)
        return Flow(flow.tally.only(chain.receives, chain.sends), flow.unsure)
    return Flow(flow.tally.within(*chain.keys), flow.unsure) if chain.keys != (0, 127) else flow


def _pad(chain: ChainDraft, flow: Flow, sounds: bool, level: int) -> Pad:
    known = chain.receives is not None and chain.receives != _ANY_NOTE
    counted = sounds and flow.tally is not None and chain.receives is not None
    played = flow.tally.total() if counted and flow.tally is not None else Played(0, 0.0)
    samples = dict.fromkeys(sample.name for device in _sounding(chain) for sample in device.samples)
    return Pad(
        name=chain.user_name or chain.name,
        note=chain.receives if known else None,
        played=played,
        samples=tuple(samples),
        level=level,
        holds_pads=False,
    )


def _sounding(chain: ChainDraft) -> Iterator[DeviceDraft]:
    """Yield a chain's devices at any depth, but for those behind the pads of an inner drum rack."""
    open_ = list(reversed(chain.devices))
    while open_:
        device = open_.pop()
        yield device
        if device.kind != _DRUM_RACK:
            open_.extend(reversed([inner for each in device.chains for inner in each.devices]))


def _holding(pad: Pad) -> Pad:
    return Pad(pad.name, pad.note, pad.played, pad.samples, pad.level, holds_pads=True)
