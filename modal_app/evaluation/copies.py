"""Whether an adapter plays passages of what it was trained on: its renderings, held against those songs by landmarks.

How alike two songs of this artist are by nature is measured on the held-out ones, and decides from how many landmarks
on a passage counts. What two songs that were trained on have both, a loop of the artist's, may come again: it is
counted apart. What this can't see: a melody that is played anew, a copy well under other music, what is shorter than
three seconds.
"""

import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modal_app.audio.landmarks import FRAME_SECONDS, SAMPLE_RATE, Hashes, LandmarkIndex, Peaks, find_peaks, hashes_of
from modal_app.audio.segment_cache import find_prepared, segment_path
from modal_app.backends.base import Signal
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.base import Event
from modal_app.protocol.evaluation import CopiedPassage, CopyFindings
from modal_app.protocol.training import Example

WINDOW_SECONDS, HOP_SECONDS = 15.0, 7.5

_LEAST_HITS = 15  # strangers have 9 in a window of 15 s, and 11 at most, of 212
_UNCALIBRATED_HITS = 25
_MARGIN = 1.25  # over the largest likeness of a held-out song
_LEAST_HELD_OUT = 4  # songs, for a likeness that says something
_MAX_HELD_OUT_WINDOWS = 60
_LEAST_SECONDS = 3.0


@dataclass(frozen=True)
class Material:
    """The examples on both sides of a training's split, and the recipe by which their segments are in the cache."""

    trained_on: Sequence[Example]
    held_out: Sequence[Example]
    recipe: str


@dataclass(frozen=True)
class _Song:
    name: str
    audio_hash: str


@dataclass(frozen=True)
class _Landmarks:
    peaks: Peaks
    hashes: Hashes


def find_copies(
    renderings: Sequence[Signal],
    sample_rate: int,
    material: Material,
    root: DataRoot,
    emit: Callable[[Event], None],
) -> CopyFindings:
    """Look for passages of songs that were trained on in renderings `[channels, samples]`.

    Raises:
        JobError: a song's segments are not in the cache.
    """
    heard = _songs(material.trained_on)
    held_out = [song for song in _songs(material.held_out) if song not in heard]
    known: dict[str, _Landmarks] = {}
    for done, song in enumerate([*heard, *held_out], 1):
        known[song.audio_hash] = _landmarks_of(song, material.recipe, root)
        total = len(heard) + len(held_out)
        emit(Event(kind="progress", message=f"landmarks of {song.name}", done=done, total=total))
    index = LandmarkIndex({song.audio_hash: known[song.audio_hash].hashes for song in heard})
    is_calibrated = len({song.name for song in held_out}) >= _LEAST_HELD_OUT
    threshold = threshold_of(index, [known[song.audio_hash].peaks for song in held_out], is_calibrated=is_calibrated)
    names = {song.audio_hash: song.name for song in heard}
    passages = [
        passage
        for number, signal in enumerate(renderings)
        for passage in find_passages(index, as_landmarks_hear(signal, sample_rate), threshold, names, number)
    ]
    others = _Others(heard, known, threshold)
    passages = [passage.model_copy(update={"is_shared": others.have(passage)}) for passage in passages]
    own = [passage for passage in passages if not passage.is_shared]
    shared = [passage for passage in passages if passage.is_shared]
    return CopyFindings(
        renderings=len(renderings),
        songs=len(heard),
        threshold=threshold,
        is_calibrated=is_calibrated,
        copied_seconds=max((_union(own, number) for number in range(len(renderings))), default=0.0),
        shared_seconds=max((_union(shared, number) for number in range(len(renderings))), default=0.0),
        passages=passages,
    )


def find_passages(
    index: LandmarkIndex, signal: npt.NDArray[np.float32], threshold: int, names: Mapping[str, str], rendering: int
) -> list[CopiedPassage]:
    """Return the passages of indexed sounds in a mono signal at landmarks' rate, window by window."""
    found = []
    for start, peaks in _windows(find_peaks(signal)):
        match = index.best(peaks)
        if match is None or match.hits < threshold:
            continue
        seconds = (match.last_frame - match.first_frame) * FRAME_SECONDS
        if seconds < _LEAST_SECONDS:
            continue
        found.append(
            CopiedPassage(
                rendering=rendering,
                start_seconds=round(start + match.first_frame * FRAME_SECONDS, 2),
                end_seconds=round(start + match.last_frame * FRAME_SECONDS, 2),
                song=names[match.sound],
                song_seconds=round(match.sound_frame * FRAME_SECONDS, 2),
                hits=match.hits,
                semitones=round(float(12 * np.log2(match.warp.pitch)), 2),
                speed=round(float(match.warp.speed), 3),
            )
        )
    return found


class _Others:
    """Whether a passage of one song is in any other song that was trained on, too."""

    def __init__(self, songs: Sequence[_Song], known: Mapping[str, _Landmarks], threshold: int) -> None:
        self._songs, self._known, self._threshold = songs, known, threshold
        self._indices: dict[str, LandmarkIndex] = {}

    def have(self, passage: CopiedPassage) -> bool:
        """Look for the passage, as it is in its song, in all songs of other names."""
        others = self._indices.get(passage.song)
        if others is None:
            left = [song.audio_hash for song in self._songs if song.name != passage.song]
            others = self._indices[passage.song] = LandmarkIndex({key: self._known[key].hashes for key in left})
        first = passage.song_seconds / FRAME_SECONDS
        last = first + (passage.end_seconds - passage.start_seconds) * passage.speed / FRAME_SECONDS
        for song in self._songs:
            if song.name != passage.song:
                continue
            peaks = self._known[song.audio_hash].peaks
            inside = peaks[(peaks[:, 0] >= first) & (peaks[:, 0] <= last)]
            match = others.best(inside - np.array([round(first), 0], dtype=np.int32)) if len(inside) else None
            if match is not None and match.hits >= self._threshold:
                return True
        return False


def threshold_of(index: LandmarkIndex, held_out: Sequence[Peaks], *, is_calibrated: bool) -> int:
    """Return the landmarks from which on a passage counts: more than any window of a held-out song has by nature."""
    windows = [peaks for song in held_out for _, peaks in _windows(song)]
    chosen = islice(windows, 0, None, max(1, -(-len(windows) // _MAX_HELD_OUT_WINDOWS)))
    likeness = max((match.hits for peaks in chosen if (match := index.best(peaks)) is not None), default=0)
    return max(_LEAST_HITS if is_calibrated else _UNCALIBRATED_HITS, math.ceil(likeness * _MARGIN))


def _windows(peaks: Peaks) -> Iterator[tuple[float, Peaks]]:
    """Yield windows of a sound with where each starts, in seconds; the last one ends with the sound."""
    length = int(peaks[-1, 0]) + 1 if len(peaks) else 0
    window, hop = round(WINDOW_SECONDS / FRAME_SECONDS), round(HOP_SECONDS / FRAME_SECONDS)
    for first in range(0, max(1, length - window + hop), hop):
        inside = peaks[(peaks[:, 0] >= first) & (peaks[:, 0] < first + window)]
        if len(inside):
            yield first * FRAME_SECONDS, inside - np.array([first, 0], dtype=np.int32)


def _union(passages: Sequence[CopiedPassage], rendering: int) -> float:
    """Return how many seconds of a rendering lie in any passage."""
    total, end = 0.0, 0.0
    for passage in sorted(passages, key=lambda passage: passage.start_seconds):
        if passage.rendering == rendering:
            total += max(0.0, passage.end_seconds - max(end, passage.start_seconds))
            end = max(end, passage.end_seconds)
    return round(total, 2)


def _songs(examples: Sequence[Example]) -> list[_Song]:
    """Return the songs of examples, each of their files once."""
    return list(dict.fromkeys(_Song(example.song, example.audio_hash) for example in examples))


def _landmarks_of(song: _Song, recipe: str, root: DataRoot) -> _Landmarks:
    """Return a song's landmarks, from the write-once cache or into it."""
    cached = root.landmarks() / song.audio_hash[:2] / f"{song.audio_hash}.{recipe}.npz"
    # not there, or damaged: made again
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile), np.load(cached) as stored:
        return _Landmarks(stored["peaks"], stored["hashes"])
    peaks = find_peaks(_whole(song, recipe, root))
    found = _Landmarks(peaks, hashes_of(peaks))
    cached.parent.mkdir(parents=True, exist_ok=True)
    with scratch_path(cached, root.scratch()) as fresh, fresh.open("wb") as file:
        np.savez_compressed(file, peaks=found.peaks, hashes=found.hashes)
    return found


def _whole(song: _Song, recipe: str, root: DataRoot) -> npt.NDArray[np.float32]:
    """Return a song from its segments, mono at landmarks' rate, each segment at the level that it has in the song."""
    prepared = find_prepared(root, song.audio_hash, recipe)
    if prepared is None:
        raise JobError(f"{song.name}: its segments are not in the cache; prepare it again")
    parts = [
        _read(segment_path(root, song.audio_hash, recipe, segment.index), segment.gain_db)
        for segment in prepared.segments
    ]
    return np.concatenate([np.empty(0, np.float32), *parts])


def _read(path: Path, gain_db: float) -> npt.NDArray[np.float32]:
    import soundfile

    signal, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return as_landmarks_hear(signal.T * np.float32(10 ** (-gain_db / 20)), rate)


def as_landmarks_hear(signal: Signal, rate: int) -> npt.NDArray[np.float32]:
    """Return audio `[channels, samples]` as landmarks are taken of it: mono, at their rate."""
    import soxr

    mono: npt.NDArray[np.float32] = soxr.resample(signal.mean(axis=0), rate, SAMPLE_RATE).astype(np.float32)
    return mono
