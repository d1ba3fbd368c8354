"""Collects devices, the chains inside of racks, and the files they play. One method for each place of `grammar.py`."""

import re

from dawa_assets.ableton.clip_collector import ClipCollector
from dawa_assets.ableton.collector import Attributes
from dawa_assets.ableton.drafts import ChainDraft, DeviceDraft, FileDraft
from dawa_assets.ableton.file_places import MAX_DATA
from dawa_assets.ableton.live_set import Plugin
from dawa_assets.ableton.stream import MAKE_SMALLER
from dawa_assets.ableton.values import MAX_PATH, loose_number, text
from dawa_assets.errors import RefusedLiveSetError

MAX_FOLDERS = 64
MAX_CHAINS = 20_000

_PLUGIN_FORMATS = {"VstPluginInfo": "VST2", "Vst3PluginInfo": "VST3", "AuPluginInfo": "AU"}
_PRESET_SUFFIX = re.compile(r"\.(?:ad[gv]|agr|alc|aupreset|vstpreset|fx[pb]|amxd)$", re.IGNORECASE)
_ANY_NOTE = -1


class DeviceCollector(ClipCollector):
    """The device and the chain at hand, and those around them."""

    def __init__(self, *, with_onsets: bool = False) -> None:
        super().__init__(with_onsets=with_onsets)
        self._open_devices: list[DeviceDraft] = []
        self._open_chains: list[ChainDraft] = []
        self._chains = 0
        self._plugin_format = ""
        self._file = FileDraft()

    # -- devices and plugins ------------------------------------------------------------------------------

    def device(self, tag: str, _attributes: Attributes) -> None:
        """A device begins, perhaps inside of a rack's."""
        self._keep()
        device = DeviceDraft(kind=text(tag), level=len(self._open_devices))
        chain = self._open_chains[-1] if self._open_chains else self._track.chain
        chain.devices.append(device)
        self._open_devices.append(device)
        self._track.devices.append(device)

    def end_device(self) -> None:
        """Back to the rack around it."""
        self._open_devices.pop()

    def device_on(self, _tag: str, _attributes: Attributes) -> None:
        """Its switch begins."""
        self._switch = self._open_devices[-1].on

    def device_name(self, _tag: str, attributes: Attributes) -> None:
        """What its user called it."""
        name = text(attributes.get("Value", "")).strip()
        if name:
            self._keep(name)
            self._open_devices[-1].name = name

    def device_pitch(self, _tag: str, attributes: Attributes) -> None:
        """What a Pitch device adds to each note."""
        semitones = loose_number(attributes.get("Value"))
        self._open_devices[-1].pitch = int(semitones) if -128 < semitones < 128 else 0

    def selector(self, _tag: str, attributes: Attributes) -> None:
        """Where a rack's chain selector stands."""
        place = loose_number(attributes.get("Value"))
        self._open_devices[-1].selector = int(place) if 0 <= place < 128 else 0

    def selector_target(self, _tag: str, attributes: Attributes) -> None:
        """By which id envelopes refer to the selector."""
        self._open_devices[-1].selector_target = text(attributes.get("Id", ""))

    def plugin(self, tag: str, _attributes: Attributes) -> None:
        """What plugin the device holds begins."""
        self._plugin_format = _PLUGIN_FORMATS[tag]

    def plugin_name(self, _tag: str, attributes: Attributes) -> None:
        """The plugin's name; one without a name can't be counted by it."""
        name = text(attributes.get("Value", ""))
        if name.strip():
            self._keep(name)
            self._open_devices[-1].plugin = Plugin(name, self._plugin_format)

    # -- chains of racks ----------------------------------------------------------------------------------

    def chain(self, _tag: str, _attributes: Attributes) -> None:
        """A chain of the rack at hand begins."""
        self._keep()
        self._chains += 1
        if self._chains > MAX_CHAINS:
            raise RefusedLiveSetError(
                f"more than {MAX_CHAINS:,} chains in its racks, more than any set has", MAKE_SMALLER
            )
        chain = ChainDraft()
        self._open_devices[-1].chains.append(chain)
        self._open_chains.append(chain)

    def return_chain(self, tag: str, attributes: Attributes) -> None:
        """A return chain of a drum rack begins; it gets sound and no notes."""
        self.chain(tag, attributes)
        self._open_chains[-1].is_return = True

    def end_chain(self) -> None:
        """Back to the chain around the rack."""
        self._open_chains.pop()

    def chain_speaker(self, _tag: str, _attributes: Attributes) -> None:
        """Its switch begins."""
        self._switch = self._open_chains[-1].speaker

    def chain_name(self, _tag: str, attributes: Attributes) -> None:
        """Its name as Live shows it."""
        self._open_chains[-1].name = text(attributes.get("Value", "")).strip()
        self._keep(self._open_chains[-1].name)

    def chain_user_name(self, _tag: str, attributes: Attributes) -> None:
        """Its name as typed; all that Live 8 has."""
        self._open_chains[-1].user_name = text(attributes.get("Value", "")).strip()
        self._keep(self._open_chains[-1].user_name)

    def chain_soloed(self, _tag: str, attributes: Attributes) -> None:
        """Whether it is soloed."""
        self._open_chains[-1].soloed = attributes.get("Value") == "true"

    def chain_receives(self, _tag: str, attributes: Attributes) -> None:
        """The pitch a drum rack's chain listens to, counted down from 128; 0 stands for every pitch."""
        number = loose_number(attributes.get("Value"))
        if 0 <= number <= 128:
            self._open_chains[-1].receives = 128 - int(number) if number >= 1 else _ANY_NOTE

    def chain_sends(self, _tag: str, attributes: Attributes) -> None:
        """The pitch that it plays whatever it is told by."""
        number = loose_number(attributes.get("Value"))
        self._open_chains[-1].sends = int(number) if 0 <= number < 128 else 60

    def chain_key(self, tag: str, attributes: Attributes) -> None:
        """The lowest or highest key of an instrument rack's chain."""
        chain = self._open_chains[-1]
        chain.keys = _bound(chain.keys, tag, attributes)

    def chain_zone(self, tag: str, attributes: Attributes) -> None:
        """The first or last place of the chain selector at which it sounds."""
        chain = self._open_chains[-1]
        chain.zone = _bound(chain.zone, tag, attributes)

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

    def hint(self, _tag: str, attributes: Attributes) -> None:
        """One folder of where Live last saw the file, until Live 10."""
        if len(self._file.hint) < MAX_FOLDERS:
            self._file.hint.append(text(attributes.get("Dir", "")))

    def file_data(self, digits: str) -> None:
        """Some of the path that the operating system has for it, in hexadecimal digits, until Live 10."""
        if len(self._file.data) < MAX_DATA:
            self._file.data += digits[:MAX_DATA]

    def is_relative(self, _tag: str, attributes: Attributes) -> None:
        """Whether it has a relative path, until Live 10."""
        self._file.is_relative = attributes.get("Value") != "false"

    def relative_to(self, _tag: str, attributes: Attributes) -> None:
        """What its relative path begins at, by Live's number."""
        self._file.relative_to = text(attributes.get("Value", ""))

    def pack(self, _tag: str, attributes: Attributes) -> None:
        """The pack that it belongs to."""
        self._file.pack = text(attributes.get("Value", ""))

    def end_sample(self) -> None:
        """The file of a clip's sample is complete, or of one in a take lane."""
        name = self._keep_sample()
        if name:
            self._clip.sample = name

    def end_device_sample(self) -> None:
        """The file of a device's sample is complete."""
        if self._keep_sample():
            device, sample = self._open_devices[-1], self._file.as_sample()
            if sample not in device.samples[-8:]:
                self._keep(sample.name, sample.path)
                device.samples.append(sample)

    def end_max_patch(self) -> None:
        """The file of a Max for Live device is complete."""
        patch = self._file.as_sample().name
        if patch:
            self._keep(patch)
            self._open_devices[-1].max_patch = patch

    def end_preset(self) -> None:
        """The preset that the device was loaded from is complete."""
        preset = _PRESET_SUFFIX.sub("", self._file.as_sample().name).strip()
        if preset:
            self._keep(preset)
            self._open_devices[-1].preset = preset

    def _keep_sample(self) -> str:
        sample = self._file.as_sample()
        if sample.name and sample not in self._track.samples:
            self._keep(sample.name, sample.path)
            self._track.samples[sample] = None
        return sample.name


def _bound(bounds: tuple[int, int], tag: str, attributes: Attributes) -> tuple[int, int]:
    number = loose_number(attributes.get("Value"))
    if not 0 <= number < 128:
        return bounds
    return (int(number), bounds[1]) if tag == "Min" else (bounds[0], int(number))
