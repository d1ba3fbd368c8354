"""The longest run of codes that two streams share: how long a generator repeats a song code by code. Pure."""

import numpy as np
import numpy.typing as npt

_GRAM = 25
"""Codes that must agree before a run is looked at: half a second at 50 a second."""


def longest_run(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]) -> int:
    """Return the length of the longest run that stands in both streams of codes; 0 for none of `_GRAM` codes.

    A run of one code alone does not count: silence and held tones are coded so in any music.
    """
    if min(len(first), len(second)) < _GRAM:
        return 0
    places: dict[bytes, list[int]] = {}
    for start, gram in _grams(second):
        places.setdefault(gram, []).append(start)
    best = 0
    ends: dict[int, int] = {}  # offset of the streams -> where the last run at that offset ended
    for start, gram in _grams(first):
        for place in places.get(gram, ()):
            offset = start - place
            if ends.get(offset, 0) > start:
                continue
            length = _agreeing(first[start:], second[place:])
            ends[offset] = start + length
            best = max(best, length)
    return best


def _grams(stream: npt.NDArray[np.integer]) -> list[tuple[int, bytes]]:
    windows = np.lib.stride_tricks.sliding_window_view(np.ascontiguousarray(stream, dtype=np.int32), _GRAM)
    moves = (windows != windows[:, :1]).any(axis=1)
    return [(int(start), windows[start].tobytes()) for start in np.flatnonzero(moves)]


def _agreeing(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]) -> int:
    length = min(len(first), len(second))
    differs = np.flatnonzero(first[:length] != second[:length])
    return int(differs[0]) if len(differs) else length
