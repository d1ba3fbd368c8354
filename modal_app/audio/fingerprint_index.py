"""Many fingerprints, and which of them a sound is in: an inverted index of landmarks, on disk.

A landmark's key is what pitch and speed leave as it was, and coarsely where it lies and how long it is. What has the
same key is a hit where it is moved by at most `MAX_PITCH` and `MAX_SPEED`; sounds are alike where many hits lie on one
line: the same pitch, the same speed, the same offset. No pair of sounds is looked at that shares no keys. Memory holds
one sound at a time; the index is a file that is mapped.

What it can't see: a melody that is played anew, and a copy well under other music.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modal_app.audio.fingerprint import FRAME_SECONDS, Fingerprint, Landmarks, Numbers, landmarks_of
from modal_app.audio.sorted_search import Indices, find_runs, places_of_runs

MAX_PITCH = 2.2
"""Semitones by which a copy may be higher or lower."""
MAX_SPEED = 0.07
"""Natural logarithm of the ratio by which it may be faster or slower."""
LEAST_HITS = 20
"""On one line, of one sound in another; fewer is chance."""

_INTERVAL_STEP, _INTERVALS = 0.4, 72  # semitones
_RATIO_STEP, _RATIOS = 1 / 20, 20
_PITCH_CELL, _PITCH_CELLS = 2.2, 64  # as wide as a pitch may change: a query has at most three of them
_SPAN_CELL, _SPAN_CELLS = 0.07, 64
_COMMON = 4_000  # entries of a key that says nothing: a hum, or a loop of an hour
_PARTITIONS = 64
_SAMPLED = 3  # one landmark of so many is asked for first
_PITCH_BIN = 0.25
_SPEEDS = np.exp(np.arange(-29, 30) * 0.0025)
_SPEED_TOLERANCE = 0.03  # of one landmark's own, which is measured over a second
_OFFSET_BIN = 4.0  # frames
_CANDIDATES = 8
_COVERED_SECONDS = 5.0
_ENTRY = np.dtype([("sound", "<u4"), ("frame", "<f4"), ("pitch", "<f4"), ("span", "<f4")])
_ROW = np.dtype([("key", "<u4"), ("entry", _ENTRY)])


@dataclass(frozen=True)
class Likeness:
    """Where one sound is in another one.

    `pitch` is by how many semitones the queried sound is higher, `speed` how many times as fast it is; `seconds` is how
    much of it was found, `start` and `other_start` where that begins in both.
    """

    sound: int
    hits: int
    pitch: float
    speed: float
    seconds: float
    start: float
    other_start: float


class FingerprintIndex:
    """The landmarks of sounds, which are called by their place in the order they came in."""

    def __init__(self, fingerprints: Iterable[Fingerprint], folder: Path) -> None:
        """Write the index into an empty folder; it is read from there as long as it is used."""
        self.sounds = _write_partitions(fingerprints, folder)
        counts = [_sort_partition(folder, number) for number in range(_PARTITIONS)]
        self._keys = _mapped(folder / "keys", np.dtype("<u4"), sum(counts))
        self._entries = _mapped(folder / "entries", _ENTRY, sum(counts))

    def find(self, fingerprint: Fingerprint, itself: int | None = None) -> list[Likeness]:
        """Return the sounds that this one is in or that are in it, the likest first.

        Args:
            fingerprint: what is looked for.
            itself: a sound that is left out.
        """
        marks = landmarks_of(fingerprint)
        sampled = marks.part(np.arange(0, len(marks.frames), _SAMPLED))
        likely = self._alike(sampled, LEAST_HITS // _SAMPLED, itself, None)
        if not likely:
            return []
        found = self._alike(marks, LEAST_HITS, itself, [each.sound for each in likely])
        return sorted(found, key=lambda each: -each.hits)

    def _alike(self, marks: Landmarks, least: int, itself: int | None, among: Sequence[int] | None) -> list[Likeness]:
        """Return the sounds that share so many landmarks on one line."""
        asked, places = self._same_keys(marks)
        entries = self._entries[places]
        sounds = entries["sound"].astype(np.int64)
        pitch = marks.pitches[asked] - entries["pitch"]
        near = np.abs(pitch) <= MAX_PITCH
        if among is not None:
            near &= np.isin(sounds, among)
        if itself is not None:
            near &= sounds != itself
        at = np.flatnonzero(near)
        bins = np.floor((pitch[at] + MAX_PITCH) / _PITCH_BIN).astype(np.int64)
        found = []
        for sound, lowest in self._candidates(sounds[at], bins, least):
            part = at[(sounds[at] == sound) & ((bins == lowest) | (bins == lowest + 1))]
            frames, others = marks.frames[asked[part]], entries["frame"][part]
            speeds = np.log(entries["span"][part] / marks.spans[asked[part]])
            lies, rate = _best_line(frames, others, speeds)
            hits = len(np.unique(frames[lies]))
            if hits >= least:
                found.append(
                    Likeness(
                        sound=sound,
                        hits=hits,
                        pitch=round(float(np.median(pitch[part[lies]])), 2),
                        speed=round(rate, 4),
                        seconds=_covered(frames[lies]),
                        start=round(float(frames[lies].min()) * FRAME_SECONDS, 2),
                        other_start=round(float(others[lies].min()) * FRAME_SECONDS, 2),
                    )
                )
        return found

    def _same_keys(self, marks: Landmarks) -> tuple[Indices, Indices]:
        """Return pairs of a landmark and a place in the index that have a key in common."""
        asked, keys = _wide_keys(marks)
        first, counts = find_runs(self._keys, keys)
        counts[counts > _COMMON] = 0
        found, places = places_of_runs(first, counts)
        return asked[found], places

    def _candidates(self, sounds: Indices, bins: Indices, least: int) -> Iterable[tuple[int, int]]:
        """Yield the sounds that share most at one pitch, and the lower of its two bins."""
        width = int(2 * MAX_PITCH / _PITCH_BIN) + 2
        cells = np.bincount(sounds * width + bins, minlength=self.sounds * width).reshape(-1, width)
        wide = cells[:, :-1] + cells[:, 1:]
        most = wide.max(axis=1, initial=0)
        for sound in np.argsort(-most, kind="stable")[:_CANDIDATES]:
            if most[sound] >= least:
                yield int(sound), int(wide[sound].argmax())


def _keys(marks: Landmarks, pitch_cells: Indices, span_cells: Indices) -> npt.NDArray[np.uint32]:
    second = np.floor((marks.second + _INTERVALS * _INTERVAL_STEP / 2) / _INTERVAL_STEP).astype(np.int64)
    third = np.floor((marks.third + _INTERVALS * _INTERVAL_STEP / 2) / _INTERVAL_STEP).astype(np.int64)
    ratio = np.minimum(np.floor(marks.ratios / _RATIO_STEP).astype(np.int64), _RATIOS - 1)
    key = ((second * _INTERVALS + third) * _RATIOS + ratio) * _PITCH_CELLS + pitch_cells
    keys: npt.NDArray[np.uint32] = (key * _SPAN_CELLS + span_cells).astype(np.uint32)
    return keys


def _pitch_cell(pitches: Numbers) -> Indices:
    cells: Indices = np.clip(np.floor(pitches / _PITCH_CELL), 0, _PITCH_CELLS - 1).astype(np.intp)
    return cells


def _span_cell(spans: Numbers) -> Indices:
    cells: Indices = np.clip(np.floor(np.log(spans) / _SPAN_CELL), 0, _SPAN_CELLS - 1).astype(np.intp)
    return cells


def _wide_keys(marks: Landmarks) -> tuple[Indices, npt.NDArray[np.uint32]]:
    """Return the keys that a copy of each landmark may have, sorted, and which landmark each is of."""
    lowest, highest = _pitch_cell(marks.pitches - MAX_PITCH), _pitch_cell(marks.pitches + MAX_PITCH)
    shortest, longest = (_span_cell(marks.spans * np.float32(np.exp(way * MAX_SPEED))) for way in (-1, 1))
    every = np.arange(len(marks.frames))
    parts = []
    for pitches in range(3):
        for spans in range(3):
            at = every[(lowest + pitches <= highest) & (shortest + spans <= longest)]
            parts.append((at, _keys(marks.part(at), lowest[at] + pitches, shortest[at] + spans)))
    asked = np.concatenate([at for at, _ in parts])
    keys = np.concatenate([each for _, each in parts])
    order = np.argsort(keys, kind="stable")  # in order, so that looking them up walks through the file once
    return asked[order], keys[order]


def _best_line(frames: Numbers, others: Numbers, speeds: Numbers) -> tuple[Indices, float]:
    """Return which hits lie on the line that most lie on, and its slope: how many times as fast the first sound is."""
    offsets = np.floor((others - _SPEEDS[:, None] * frames) / _OFFSET_BIN).astype(np.int64)
    offsets -= offsets.min()
    width = int(offsets.max()) + 2
    rows, hits = np.nonzero(np.abs(speeds - np.log(_SPEEDS)[:, None]) <= _SPEED_TOLERANCE)
    cells = np.bincount(rows * width + offsets[rows, hits], minlength=len(_SPEEDS) * width)
    wide = cells[:-1] + cells[1:]  # a place counts with the next one; between two rows lies an empty cell
    row, lowest = divmod(int(wide.argmax()), width)
    lies = hits[(rows == row) & ((offsets[rows, hits] == lowest) | (offsets[rows, hits] == lowest + 1))]
    return lies, float(_SPEEDS[row])


def _covered(frames: Numbers) -> float:
    """Return how many seconds have hits, in steps of five."""
    steps = np.unique(np.floor(frames * FRAME_SECONDS / _COVERED_SECONDS))
    span = float(frames.max() - frames.min()) * FRAME_SECONDS
    return round(min(len(steps) * _COVERED_SECONDS, span), 2)


def _write_partitions(fingerprints: Iterable[Fingerprint], folder: Path) -> int:
    """Append every sound's entries to the partition of their keys; return how many sounds there were."""
    edges = _edges()
    number = -1
    for number, fingerprint in enumerate(fingerprints):
        marks = landmarks_of(fingerprint)
        rows = np.zeros(len(marks.frames), _ROW)
        rows["key"] = _keys(marks, _pitch_cell(marks.pitches), _span_cell(marks.spans))
        rows["entry"]["sound"] = number
        rows["entry"]["frame"], rows["entry"]["pitch"], rows["entry"]["span"] = marks.frames, marks.pitches, marks.spans
        rows = rows[np.argsort(rows["key"], kind="stable")]
        cuts = np.searchsorted(rows["key"], edges)
        for partition in range(_PARTITIONS):
            part = rows[cuts[partition] : cuts[partition + 1]]
            if len(part):
                with (folder / f"part-{partition}").open("ab") as file:
                    file.write(part.tobytes())
    return number + 1


def _edges() -> npt.NDArray[np.uint64]:
    most = _INTERVALS**2 * _RATIOS * _PITCH_CELLS * _SPAN_CELLS
    return np.linspace(0, most + 1, _PARTITIONS + 1).astype(np.uint64)


def _sort_partition(folder: Path, number: int) -> int:
    """Move a partition behind those before it, sorted; return how many entries it has."""
    path = folder / f"part-{number}"
    if not path.exists():
        return 0
    rows = np.fromfile(path, _ROW)
    rows = rows[np.argsort(rows["key"], kind="stable")]
    for name, column in (("keys", "key"), ("entries", "entry")):
        with (folder / name).open("ab") as file:
            file.write(rows[column].tobytes())
    path.unlink()
    return len(rows)


def _mapped(path: Path, dtype: np.dtype[np.void] | np.dtype[np.uint32], count: int) -> npt.NDArray[np.void]:
    return np.memmap(path, dtype, "r", shape=(count,)) if count else np.zeros(0, dtype)
