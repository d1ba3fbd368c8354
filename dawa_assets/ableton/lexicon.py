"""What names say: words for instruments found in the names of tracks, pads, samples, clips and presets.

The words themselves are data, `lexicon.toml`; here is how they are looked for.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from modal_app.protocol.song_timeline import ROLES, Role

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LETTER_DIGIT = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_BREAKS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Lexicon:
    """All words.

    `role_of` has the role of every instrument, in the order in which instruments of equal weight are told. `general`
    has for a general word the particular ones that make it say nothing more.
    """

    role_of: dict[str, Role]
    general: dict[str, frozenset[str]]
    _not_beside: dict[str, frozenset[str]]
    _pattern: re.Pattern[str]
    _instruments: tuple[str, ...]

    def named(self, name: str) -> frozenset[str]:
        """Return the instruments that a name holds, in the sense that they have beside each other."""
        spaced = _LETTER_DIGIT.sub(" ", _CAMEL.sub(" ", name))
        plain = " ".join(word for word in _BREAKS.split(spaced.lower()) if word.isascii())
        groups = (match.lastgroup for match in self._pattern.finditer(plain))
        found = {self._instruments[int(group.split("_")[0][1:])] for group in groups if group}
        return frozenset(one for one in found if not self._not_beside.get(one, frozenset()) & found)


@cache
def lexicon() -> Lexicon:
    """Return the words as they are kept with the package."""
    return _of(tomllib.loads(files("dawa_assets.ableton").joinpath("lexicon.toml").read_text(encoding="utf-8")))


@lru_cache(maxsize=8192)  # a sample pack's names come back in set after set
def named(name: str) -> frozenset[str]:
    """Return the instruments that a name holds."""
    return lexicon().named(name)


def _of(data: dict[str, Any]) -> Lexicon:
    role_of = {name: role for role in ROLES for name in data[role]}
    instruments = tuple(role_of)
    # One search for everything: longer words first, so that `bass drum` is a kick and no bass.
    choices = sorted(
        ((words, index) for index, name in enumerate(instruments) for words in data[role_of[name]][name]),
        key=lambda choice: -len(choice[0]),
    )
    pattern = "|".join(f"(?P<i{index}_{place}>{words})" for place, (words, index) in enumerate(choices))
    return Lexicon(
        role_of=role_of,
        general={name: frozenset(particular) for name, particular in data["general"].items()},
        _not_beside={name: frozenset(others) for name, others in data["not_beside"].items()},
        _pattern=re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])"),
        _instruments=instruments,
    )
