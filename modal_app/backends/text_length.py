"""Texts made short enough for a model: whole clauses are left off at the end, where a caption's least parts stand."""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

_CLAUSE = re.compile(r"(?<=[.,;:!?…])\s+")
_WORD = re.compile(r"\s+")


def fitting(text: str, fits: Callable[[str], bool]) -> str:
    """Return a text, or the longest beginning of it that fits: up to a clause's end, else a word's, else a letter.

    Args:
        text: what is to be said.
        fits: whether the model takes a text; one that is shorter than another one that it takes, it takes too.
    """
    if fits(text):
        return text
    for ends in (_ends(_CLAUSE, text), _ends(_WORD, text), range(1, len(text))):
        shortened = _longest(text, ends, fits)
        if shortened:
            return shortened
    return ""


def _ends(gap: re.Pattern[str], text: str) -> list[int]:
    return [found.start() for found in gap.finditer(text)]


def _longest(text: str, ends: Sequence[int], fits: Callable[[str], bool]) -> str:
    def beginning(end: int) -> str:
        return text[:end].rstrip(" ,;:")

    count = bisect_right(ends, False, key=lambda end: not fits(beginning(end)))
    return beginning(ends[count - 1]) if count else ""
