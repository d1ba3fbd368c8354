"""Which names are versions of one song: `Night v2`, `night_final mix`, `Night 2024-05-01 (1)` are `Night`. Pure text.

It would rather take two songs for one than one for two: a version on both sides of a split makes its figures worthless.
"""

import re
import unicodedata
from collections.abc import Iterable

_MARKS = (
    "v ver vers version rev revision take alt alternate alternative edit draft demo wip rough sketch idea "
    "final fin finished done latest new old update updated fix fixed backup copy kopie copie copia temp tmp test "
    "mix mixed mixdown premix remix rework master mastered mastering premaster premastered remaster remastered "
    "unmastered bounce bounced export exported render rendered print stem stems loud limited unlimited "
    "original extended radio club short long full instrumental inst vip live preview "
    "wav aif aiff mp3 flac stereo mono bit khz hz bpm"
)
_VERSION_WORDS = frozenset(_MARKS.split())
_DATES = re.compile(
    r"(?<!\d)(?:(?:19|20)\d\d[-._ ]?(?:0[1-9]|1[0-2])[-._ ]?(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-._](?:0?[1-9]|1[0-2])[-._](?:(?:19|20)\d\d|\d\d)"
    r"|(?:19|20)\d\d[-._](?:0[1-9]|1[0-2]))(?!\d)"
)
_COPY_NUMBER = re.compile(r"\(\s*\d+\s*\)|\[\s*\d+\s*\]")
_GLUED_VERSION = re.compile(r"(\w{3,}?)v\d{1,3}")
_NUMBERED_WORD = re.compile(r"([^\W\d]+)\d+|\d+([^\W\d]+)")
_FINAL_NUMBER = re.compile(r"(.*\D)\d+")


def song_keys(names: Iterable[str]) -> dict[str, str]:
    """Return each name with the key of its song; names of one song have one key.

    A bare number at the end makes a version (`Night 2`) where the name without it is there too (`Night`); else
    `Track 1` and `Track 2` are two songs.
    """
    keys = {name: song_key(name) for name in names}
    known = set(keys.values())
    return {name: _without_number(key, known) for name, key in keys.items()}


def song_key(name: str) -> str:
    """Return what is left of a name (`Project/stem`, or a stem) without case, separators, dates and marks of a version.

    A stem of nothing but such marks (`final mix 3`) says nothing: its project's name counts then.
    """
    parts = [part for part in name.split("/") if part]
    for part in reversed(parts):
        words = _words(part)
        while words and _is_mark(words):
            words.pop()
        if words:
            glued = _GLUED_VERSION.fullmatch(words[-1])
            return "".join([*words[:-1], glued.group(1) if glued else words[-1]])
    return "".join(_words(name, keep_all=True)) or name


def _words(text: str, *, keep_all: bool = False) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    if not keep_all:
        plain = _COPY_NUMBER.sub(" ", _DATES.sub(" ", plain.replace("_", " ")))
    return re.findall(r"[^\W_]+", plain)


def _is_mark(words: list[str]) -> bool:
    """Return whether the last word tells a version: a word of the list, one with a number, or a number after one."""
    last = words[-1]
    if last in _VERSION_WORDS:
        return True
    numbered = _NUMBERED_WORD.fullmatch(last)
    if numbered:
        return (numbered.group(1) or numbered.group(2)) in _VERSION_WORDS
    return last.isdecimal() and (len(words) == 1 or _is_mark(words[:-1]))


def _without_number(key: str, known: set[str]) -> str:
    numbered = _FINAL_NUMBER.fullmatch(key)
    return numbered.group(1) if numbered and numbered.group(1) in known else key
