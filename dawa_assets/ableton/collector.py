"""What all parts of a reading share: the track at hand, and a count of what is kept.

Every number that is kept goes through `number`, every text through `text`, so that neither NaN nor a name of a
megabyte gets further; what is kept is counted, so that no file can make a reading large.
"""

from collections.abc import Mapping

from dawa_assets.ableton.drafts import LevelDraft, SwitchDraft, TrackDraft
from dawa_assets.ableton.stream import MAKE_SMALLER
from dawa_assets.ableton.values import is_in_song, loose_number, text
from dawa_assets.errors import RefusedLiveSetError

# Memory for what is kept, estimated; the largest real set keeps about 2 MB.
MAX_KEPT_BYTES = 32 * 1024 * 1024

Attributes = Mapping[str, str]


class Collector:
    """The state that clips, devices and tracks are collected into."""

    def __init__(self) -> None:
        self._kept = 0
        self._warnings: list[str] = []
        self._track = TrackDraft()
        self._switch = SwitchDraft()
        self._level = LevelDraft()
        self._automated = False
        self._ever_on: bool | None = None
        self._pointee = ""

    def warn(self, line: str) -> None:
        """Keep a line about something that had to be passed over."""
        self._warnings.append(line)

    def _keep(self, *texts: str) -> None:
        self._kept += 120 + 2 * sum(map(len, texts))
        if self._kept > MAX_KEPT_BYTES:
            raise RefusedLiveSetError("more clips, devices and names than any set has", MAKE_SMALLER)

    # -- parameters and their automation ------------------------------------------------------------------

    def envelope(self, _tag: str, _attributes: Attributes) -> None:
        """The automation of one parameter begins."""
        self._automated = False
        self._ever_on = None
        self._pointee = ""

    def pointee(self, _tag: str, attributes: Attributes) -> None:
        """Which parameter an envelope moves."""
        self._pointee = text(attributes.get("Value", ""))

    def event(self, _tag: str, attributes: Attributes) -> None:
        """A point of it."""
        if not self._automated:
            self._automated = is_in_song(attributes)

    def switch_event(self, _tag: str, attributes: Attributes) -> None:
        """A point of a switch's automation."""
        self.event("", attributes)
        self._ever_on = bool(self._ever_on) or attributes.get("Value") == "true"

    def end_envelope(self) -> None:
        """The parameter counts if any point lies in the song."""
        self._track.automated_parameters += self._automated
        if self._automated and self._pointee:
            self._keep()
            self._track.moved.add(self._pointee)
            if self._ever_on is not None:
                self._track.switched[self._pointee] = self._ever_on

    def switch_value(self, _tag: str, attributes: Attributes) -> None:
        """Whether the switch at hand is on."""
        self._switch.manual = attributes.get("Value") != "false"

    def switch_target(self, _tag: str, attributes: Attributes) -> None:
        """By which id envelopes refer to it."""
        self._switch.target = text(attributes.get("Id", ""))

    def own_switch_event(self, _tag: str, attributes: Attributes) -> None:
        """A point of its own automation, where Live 8 also keeps its value."""
        is_on = attributes.get("Value") == "true"
        if not is_in_song(attributes):
            self._switch.manual = is_on
        self.switch_event("", attributes)

    def end_own_switch_envelope(self) -> None:
        """Its own automation is complete; a placeholder alone is none."""
        self._track.automated_parameters += self._automated
        self._switch.automated = self._automated
        self._switch.ever_on = bool(self._ever_on)

    def level_value(self, _tag: str, attributes: Attributes) -> None:
        """Where the fader at hand stands."""
        value = loose_number(attributes.get("Value"))
        self._level.value = value if value >= 0 else 1.0

    def level_target(self, _tag: str, attributes: Attributes) -> None:
        """By which id envelopes refer to it."""
        self._level.target = text(attributes.get("Id", ""))

    def own_level_event(self, tag: str, attributes: Attributes) -> None:
        """A point of its own automation, where Live 8 also keeps its value."""
        if not is_in_song(attributes):
            self.level_value(tag, attributes)
        self.event(tag, attributes)

    def end_own_level_envelope(self) -> None:
        """Its own automation is complete."""
        self._track.automated_parameters += self._automated
        self._level.automated = self._automated
