"""Live's own devices by the names that Live shows, and what each is. The table itself is `live_devices.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PLUGINS = frozenset({"PluginDevice", "AuPluginDevice"})


@dataclass(frozen=True, slots=True)
class LiveDevice:
    """One of Live's devices.

    `kind` is `instrument`, `sampler`, `drums`, `rack`, `midi` or `effect`; `sound` the instrument that it is always
    heard as, or empty.
    """

    name: str
    kind: str
    sound: str

    @property
    def plays(self) -> bool:
        """Whether it makes sound out of notes."""
        return self.kind in {"instrument", "sampler", "drums"}


def live_device(tag: str) -> LiveDevice | None:
    """Return the device that a set has this tag for; None for plugins and for what no table knows."""
    return _table().get(tag)


def sound_of_live_instrument(name: str) -> str:
    """Return the instrument that one of Live's own is always heard as, by the name that Live shows.

    Empty for others.
    """
    return _sounds().get(name, "")


@cache
def _sounds() -> dict[str, str]:
    return {device.name: device.sound for device in _table().values() if device.sound}


@cache
def _table() -> dict[str, LiveDevice]:
    text = files("dawa_assets.ableton").joinpath("live_devices.toml").read_text(encoding="utf-8")
    return {
        tag: LiveDevice(device["name"], kind, device.get("sound", ""))
        for kind, devices in tomllib.loads(text).items()
        for tag, device in devices.items()
    }
