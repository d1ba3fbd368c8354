"""Landmarks of a sound: pairs of spectral peaks, by which a passage is found again in other music.

Peaks, pairs and hashes are audfprint2's (Ellis's landmark fingerprints, after Wang 2003). A query's *peaks* are moved
in pitch and time before they are paired, so that what was transposed or played faster is found too, and its sound is
analysed once. No files here.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modal_app.audio.sorted_search import find_runs, places_of_runs

SAMPLE_RATE = 11_025
FRAME_SECONDS = 256 / SAMPLE_RATE

Peaks = npt.NDArray[np.int32]
"""`[n, 2]`: frames of `FRAME_SECONDS`, and bins of `SAMPLE_RATE` / 512 Hz."""
Hashes = npt.NDArray[np.int32]
"""`[n, 2]`: frames, and the hash of a pair of peaks that begins there."""

_DENSITY = 70.0  # peaks are kept so densely that eight seconds inside other music are found
_BINS = 256
_MAX_VOTES = 1 << 22  # of one query and one warp: silence and hums have few hashes and many places


@dataclass(frozen=True)
class Warp:
    """A change that a copy may have gone through: `pitch` and `speed` are ratios of the copy to its original."""

    pitch: float
    speed: float


WARPS: Sequence[Warp] = (
    *(Warp(2 ** (step / 12), 1 + percent / 100) for step in range(-2, 3) for percent in np.arange(-6, 6.1, 1.5)),
    *(Warp(1 + percent / 100, 1 + percent / 100) for percent in (-6, -4.5, -3, -1.5, 1.5, 3, 4.5, 6)),
)
"""Up to two semitones and 6 %, and the two together as a tape does it."""


@dataclass(frozen=True)
class Match:
    """Where a query fits best: so many of its landmarks lie at one place of one sound."""

    sound: str
    hits: int
    first_frame: int
    """Of the query's landmarks that fit, and the last one; the query's own frames, as it was heard."""
    last_frame: int
    sound_frame: int
    """Where the first one lies in the sound."""
    warp: Warp


def find_peaks(signal: npt.NDArray[np.float32]) -> Peaks:
    """Return the peaks of a mono signal at `SAMPLE_RATE`, in the order of time."""
    peaks = _analyzer().find_peaks(signal.astype(np.float64), SAMPLE_RATE)
    return np.array(peaks, dtype=np.int32).reshape(-1, 2)


def hashes_of(peaks: Peaks) -> Hashes:
    """Pair peaks; each pair is a landmark."""
    from audfprint2.core.analyzer import landmarks2hashes

    landmarks = _analyzer().peaks2landmarks([(int(frame), int(bin_)) for frame, bin_ in peaks])
    hashed: Hashes = landmarks2hashes(landmarks).astype(np.int32)
    return hashed


class LandmarkIndex:
    """The landmarks of several sounds, to be asked where a query is from."""

    def __init__(self, sounds: Mapping[str, Hashes]) -> None:
        self._names = list(sounds)
        frames = [hashes[:, 0] for hashes in sounds.values()]
        values = np.concatenate([np.empty(0, np.int32), *(hashes[:, 1] for hashes in sounds.values())])
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        self._frames = np.concatenate([np.empty(0, np.int32), *frames])[order]
        sizes = [len(part) for part in frames]
        self._sounds = np.repeat(np.arange(len(frames), dtype=np.int64), sizes)[order]

    def best(self, peaks: Peaks, warps: Sequence[Warp] = WARPS) -> Match | None:
        """Return where the query fits best, over all warps; None where nothing of it is there."""
        return self.best_hashed(warped_hashes(peaks, warps))

    def best_hashed(self, query: Iterable[tuple[Warp, Hashes]]) -> Match | None:
        """Return the same for a query that `warped_hashes` has hashed: to be held against several indexes."""
        matches = (self._best_of(hashes, warp) for warp, hashes in query)
        return max((match for match in matches if match is not None), key=lambda match: match.hits, default=None)

    def _best_of(self, hashes: Hashes, warp: Warp) -> Match | None:
        first_places, counts = find_runs(self._values, hashes[:, 1])
        if not counts.any() or counts.sum() > _MAX_VOTES:
            return None
        asked, places = places_of_runs(first_places, counts)
        offsets = self._frames[places].astype(np.int64) - hashes[asked, 0]
        lowest = int(offsets.min()) - 1
        width = int(offsets.max()) - lowest + 2
        votes, first, inverse = np.unique(
            self._sounds[places] * width + offsets - lowest, return_index=True, return_inverse=True
        )
        numbers = np.bincount(inverse)
        near = numbers.astype(np.int64)  # a place counts with its neighbours: a warp rounds frames
        follows = np.flatnonzero(np.diff(votes) == 1)
        near[follows] += numbers[follows + 1]
        near[follows + 1] += numbers[follows]
        best = int(np.argmax(near))
        fits = np.abs(self._sounds[places] * width + offsets - lowest - votes[best]) <= 1
        heard = np.sort(hashes[asked[fits], 0])
        sound = int(self._sounds[places[first[best]]])
        return Match(
            sound=self._names[sound],
            hits=int(near[best]),
            first_frame=round(int(heard[0]) / warp.speed),
            last_frame=round(int(heard[-1]) / warp.speed),
            sound_frame=int(heard[0]) + int(votes[best] - sound * width + lowest),
            warp=warp,
        )


def warped_hashes(peaks: Peaks, warps: Sequence[Warp] = WARPS) -> Iterator[tuple[Warp, Hashes]]:
    """Yield a query's landmarks as each warp would have them in the original."""
    for warp in warps:
        yield warp, hashes_of(_unwarped(peaks, warp))


def _unwarped(peaks: Peaks, warp: Warp) -> Peaks:
    """Return the peaks as they would lie in the original of a copy that was changed so."""
    moved = np.stack([peaks[:, 0] * warp.speed, peaks[:, 1] / warp.pitch], axis=1)
    rounded = np.rint(moved).astype(np.int32)
    return rounded[rounded[:, 1] < _BINS]


def _analyzer() -> Any:
    """Return audfprint2's analyser. The package sets up the root logger when it is imported: that is kept from it."""
    root = logging.getLogger()
    guard = logging.NullHandler()
    root.addHandler(guard)
    try:
        from audfprint2 import Analyzer
    finally:
        root.removeHandler(guard)
    return Analyzer(density=_DENSITY)
