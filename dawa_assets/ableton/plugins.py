"""What well-known plugins are: instruments with the sound that they are heard as, or effects. See `plugins.toml`."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

_BREAKS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class KnownPlugin:
    """A plugin that is known. `sound` is the instrument that it is always heard as; empty if it can be any."""

    is_instrument: bool
    sound: str = ""


@lru_cache(maxsize=4096)
def known_plugin(name: str) -> KnownPlugin | None:
    """Return what a plugin of this name is; None for one that no table knows, which then counts as neither."""
    plain = f"{_BREAKS.sub(' ', name.lower()).strip()} "
    table = _table()
    for length in range(len(plain) - 1, 0, -1):
        # An entry ends where a word does, or where the version's number begins.
        if (plain[length] == " " or plain[length].isdigit()) and (found := table.get(plain[:length].rstrip())):
            return found
    return None


@cache
def _table() -> dict[str, KnownPlugin]:
    data = tomllib.loads(files("dawa_assets.ableton").joinpath("plugins.toml").read_text(encoding="utf-8"))
    table = {name.strip(): KnownPlugin(is_instrument=False) for name in data["effects"]["names"]}
    for sound, names in data["instruments"].items():
        table.update({name: KnownPlugin(is_instrument=True, sound=sound) for name in names})
    return table
