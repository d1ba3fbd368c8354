"""Finding passages of known songs in other sound: what it costs, and how many are found.

Songs are composed (`_pieces.py`); copies are played anew a semitone higher or lower, 3 % faster or slower, both, begun
a second later, coded as mp3 at 64 kbit/s, or eight seconds of them stand in other music. The score fails the run where
fewer than 98 of 100 are found at their place, or where anything is found in what is no copy.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WHAT = "the landmarks of 60 sounds of 15 s, and each of them looked for among 20 songs under 53 changes"
PEER = "scipy's short-time Fourier transform of the same (512 samples, hop 256), which any fingerprint begins with"
FLOOR = "reading the sounds"
ROUNDS = 3

_SONGS, _STRANGERS = 20, 20
_RATE = 11_025
_FILE = "sounds.npy"
_NEAR_SECONDS = 0.5
Sound = Any


def setup(folder: Path) -> None:
    """Compose songs and strangers."""
    import numpy as np

    np.save(folder / _FILE, np.stack([_piece(number) for number in range(_SONGS + 2 * _STRANGERS)]))


def ours(folder: Path) -> None:
    """Index the songs, and look for every sound."""
    import numpy as np

    from modal_app.audio.landmarks import LandmarkIndex, find_peaks, hashes_of

    peaks = [find_peaks(sound) for sound in np.load(folder / _FILE)]
    index = LandmarkIndex({str(number): hashes_of(found) for number, found in enumerate(peaks[:_SONGS])})
    matches = [index.best(found) for found in peaks]
    assert [match.sound for match in matches[:_SONGS] if match is not None] == list(map(str, range(_SONGS)))


def peer(folder: Path) -> None:
    """Transform each."""
    import numpy as np
    from scipy import signal

    transform = signal.ShortTimeFFT(signal.windows.hann(512), 256, _RATE)
    assert all(transform.stft(sound).size for sound in np.load(folder / _FILE))


def floor(folder: Path) -> None:
    """Read them."""
    import numpy as np

    assert np.load(folder / _FILE).size


def score(folder: Path) -> Iterator[str]:
    """How many copies are found, by kind.

    Raises:
        AssertionError: too few are, or one where there is none.
    """
    import numpy as np

    from modal_app.audio.landmarks import LandmarkIndex, find_peaks, hashes_of
    from modal_app.evaluation.copies import find_passages, threshold_of

    sounds = np.load(folder / _FILE)
    names = {str(number): f"song {number}" for number in range(_SONGS)}
    index = LandmarkIndex({str(number): hashes_of(find_peaks(sounds[number])) for number in range(_SONGS)})
    others = [find_peaks(sound) for sound in sounds[_SONGS : _SONGS + _STRANGERS]]  # of the same styles, by one hand
    threshold = threshold_of(index, others, is_calibrated=True)
    kinds: dict[str, Callable[[int], tuple[Sound, float]]] = {
        "a second later, mp3 at 64 kbit/s": lambda number: (_as_mp3(sounds[number][_RATE:]), 1.0),
        "a semitone higher": lambda number: (_piece(number, semitones=1), 0.0),
        "a semitone lower, 3 % faster": lambda number: (_piece(number, semitones=-1, speed=1.03), 0.0),
        "3 % slower": lambda number: (_piece(number, speed=0.97), 0.0),
        "eight seconds in other music": lambda number: (_inside(sounds[_SONGS + number], sounds[number]), 0.0),
    }
    found: Counter[str] = Counter()
    for kind, copy in kinds.items():
        for number in range(_SONGS):
            sound, song_starts = copy(number)
            passages = find_passages(index, sound.astype(np.float32), threshold, names, 0)
            found[kind] += any(
                passage.song == f"song {number}"
                and abs(_start(passage, kind) - (passage.song_seconds - song_starts)) < _NEAR_SECONDS
                for passage in passages
            )
        yield f"copies: {kind}: {found[kind]} of {_SONGS} found at their place"
    strangers = sounds[_SONGS + _STRANGERS :]
    wrong = sum(len(find_passages(index, sound, threshold, names, 0)) for sound in strangers)
    yield (
        f"copies: {sum(found.values())} of {len(kinds) * _SONGS} found from {threshold} landmarks on, "
        f"by {_STRANGERS} held-out pieces; {wrong} in {len(strangers)} other pieces"
    )
    assert sum(found.values()) >= 0.98 * len(kinds) * _SONGS, "too few are found"
    assert wrong == 0, "something is found that is no copy"


def _start(passage: Any, kind: str) -> float:
    """Return where the passage begins in the copy, in seconds of the song."""
    before = 3.0 if kind.startswith("eight seconds") else 0.0
    return float((passage.start_seconds - before) * passage.speed)


def _piece(number: int, *, semitones: int = 0, speed: float = 1.0) -> Sound:
    import numpy as np
    import soxr

    from benchmarks._pieces import STYLES, compose

    style = STYLES[number % len(STYLES)]
    signal = compose(style, 100 + number // len(STYLES), semitones=semitones, speed=speed).signal
    return soxr.resample(signal, 44_100, _RATE).astype(np.float32)


def _inside(other: Sound, song: Sound) -> Sound:
    import numpy as np

    eight = 8 * _RATE
    return np.concatenate([other[: 3 * _RATE], song[:eight], other[3 * _RATE : 7 * _RATE]])


def _as_mp3(sound: Sound) -> Sound:
    """Return what is left of a sound after it was coded; the coder's delay is kept, it is less than a tenth."""
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=_RATE, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
        frame.rate = _RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    buffer.seek(0)
    with av.open(buffer) as container:
        return np.concatenate([part.to_ndarray().mean(axis=0) for part in container.decode(audio=0)])
