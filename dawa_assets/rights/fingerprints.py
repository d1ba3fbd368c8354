"""Landmarks of what was generated, as they are stored, and a search for a file among all of them.

A file is looked at in windows, each as it is and in every warp of pitch and tempo; the sounds on record are held in
memory some at a time. What can't be found: a melody played anew, and what lies well under other music.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from modal_app.audio.landmarks import Hashes, Match, Peaks

WINDOW_SECONDS, HOP_SECONDS = 15.0, 7.5

MIN_HITS = 28
"""Landmarks at one place from which on a window counts; docs/rights.md says what that was measured on."""

_SURE_HITS = 100  # without a warp: no warp finds a better place
_MIN_SECONDS = 3.0
_MAX_WINDOWS = 40  # with all warps some 400 kB each
_BLOCK = 1 << 16

Pages = Callable[[], Iterable[Mapping[str, bytes]]]
"""Gives the packed landmarks of all sounds on record by their ids, some at a time."""


@dataclass(frozen=True)
class FoundPassage:
    """A passage of a file that lies in a sound on record: where in both, and how the file's differs from it."""

    id: str
    start_seconds: float
    end_seconds: float
    sound_seconds: float
    hits: int
    semitones: float
    speed: float


def can_fingerprint() -> bool:
    """Return whether landmarks can be found here."""
    from importlib.util import find_spec

    return find_spec("audfprint2") is not None


def sha256_of_samples(audio: Path | BinaryIO) -> str | None:
    """Return SHA-256 of the samples of a WAV or FLAC of 16 bits, with rate and channels; None for any other file.

    Tags and marks are not in it.

    Raises:
        UnreadableAudioError: it is a path at which no plain file can be read.
    """
    from modal_app.audio.decode import open_regular

    if not isinstance(audio, Path):
        return _sha256_of_samples(audio)
    with open_regular(audio) as file:
        return _sha256_of_samples(file.fileno())  # by a name that ends in .raw nothing is read, whatever it is


def _sha256_of_samples(audio: BinaryIO | int) -> str | None:
    import soundfile

    try:
        with soundfile.SoundFile(audio, closefd=False) as file:
            if file.format not in ("WAV", "WAVEX", "RF64", "FLAC") or file.subtype != "PCM_16":
                return None
            digest = hashlib.sha256(f"{file.samplerate} {file.channels}\n".encode())
            for block in file.blocks(_BLOCK, dtype="int16", always_2d=True):
                digest.update(block.astype("<i2").tobytes())
            return digest.hexdigest()
    except (soundfile.LibsndfileError, OSError):
        return None


def landmarks_of(path: Path) -> bytes:
    """Return the packed landmarks of a whole rendering.

    Raises:
        UnreadableAudioError: it can't be decoded.
    """
    import numpy as np

    from modal_app.audio.landmarks import find_peaks, hashes_of

    signal = np.concatenate([np.empty(0, np.float32), *_resampled(path)])
    return pack(hashes_of(find_peaks(signal)))


def pack(hashes: "Hashes") -> bytes:
    """Return landmarks as bytes."""
    return zlib.compress(hashes.astype("<i4").tobytes())


def unpack(packed: bytes) -> "Hashes":
    """Return what `pack` made; of bytes that are none of it, nothing."""
    import numpy as np

    try:
        flat = np.frombuffer(zlib.decompress(packed), "<i4").astype(np.int32)
    except (zlib.error, ValueError):
        flat = np.empty(0, np.int32)
    return (flat if len(flat) % 2 == 0 else flat[:0]).reshape(-1, 2)


def search(path: Path, pages: Pages) -> list[FoundPassage]:
    """Return the best passage of each window of a file that is in a sound on record, in the order of time.

    Args:
        path: any audio file.
        pages: is called several times, the more often the longer the file is.

    Raises:
        UnreadableAudioError: it can't be decoded.
    """
    windows = _windows(path)
    found: list[FoundPassage] = []
    while chunk := list(islice(windows, _MAX_WINDOWS)):
        found += _search_windows(chunk, pages)
    return found


def _search_windows(windows: Sequence[tuple[float, "Peaks"]], pages: Pages) -> list[FoundPassage]:
    from modal_app.audio.landmarks import WARPS, LandmarkIndex, Warp, warped_hashes

    best: dict[int, Match] = {}
    for warps in ([Warp(1.0, 1.0)], WARPS):  # most copies are not warped, and that is a fiftieth of the work
        asked = {
            number: list(warped_hashes(peaks, warps))
            for number, (_, peaks) in enumerate(windows)
            if number not in best or best[number].hits < _SURE_HITS
        }
        for page in pages() if asked else ():
            index = LandmarkIndex({name: unpack(packed) for name, packed in page.items()})
            for number, warped in asked.items():
                match = index.best_hashed(warped)
                if match is not None and (number not in best or match.hits > best[number].hits):
                    best[number] = match
    passages = (_passage(windows[number][0], best[number]) for number in sorted(best))
    return [passage for passage in passages if passage is not None]


def _passage(start: float, match: "Match") -> FoundPassage | None:
    """Return a match as a passage; None where it is too little to say anything."""
    from math import log2

    from modal_app.audio.landmarks import FRAME_SECONDS

    seconds = (match.last_frame - match.first_frame) * FRAME_SECONDS
    if match.hits < MIN_HITS or seconds < _MIN_SECONDS:
        return None
    return FoundPassage(
        id=match.sound,
        start_seconds=round(start + match.first_frame * FRAME_SECONDS, 2),
        end_seconds=round(start + match.last_frame * FRAME_SECONDS, 2),
        sound_seconds=round(match.sound_frame * FRAME_SECONDS, 2),
        hits=match.hits,
        semitones=round(12 * log2(match.warp.pitch), 2),
        speed=round(float(match.warp.speed), 3),
    )


def _windows(path: Path) -> Iterator[tuple[float, "Peaks"]]:
    """Yield the peaks of each window of a file with where it starts, in seconds; the last one ends with the file."""
    import numpy as np

    from modal_app.audio.landmarks import SAMPLE_RATE, find_peaks

    window, hop = int(WINDOW_SECONDS * SAMPLE_RATE), int(HOP_SECONDS * SAMPLE_RATE)
    held, first, is_new = np.empty(0, np.float32), 0, False
    for block in _resampled(path):
        held, is_new = np.concatenate([held, block]), True
        while len(held) >= window:
            yield first / SAMPLE_RATE, find_peaks(held[:window])
            held, first = held[hop:], first + hop
            is_new = len(held) > window - hop
    if is_new and len(held):
        yield first / SAMPLE_RATE, find_peaks(held)


def _resampled(path: Path) -> "Iterator[npt.NDArray[np.float32]]":
    """Yield a file as one channel at landmarks' rate, block by block."""
    import soxr

    from modal_app.audio.decode import open_audio
    from modal_app.audio.landmarks import SAMPLE_RATE

    with open_audio(path) as audio:
        stream = soxr.ResampleStream(audio.sample_rate, SAMPLE_RATE, 1, dtype="float32")
        for block in audio.blocks():
            yield stream.resample_chunk(block)
        yield stream.resample_chunk(block[:0], last=True)
