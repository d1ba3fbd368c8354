"""Which of a thousand songs are one and the same: what comparing all of them costs, and which copies are found.

The fingerprints are of composed pieces (`_pieces.py`), strung together to songs of three minutes and scattered so that
no two are alike; every tenth song is a copy of the one before: pitched, faster or slower, begun later, with most of its
peaks lost and the others moved, as coding and pitching leave them. That real recordings are found after real changes is
tested (`tests/modal_app/audio/test_fingerprint.py`). The score fails the run where a copy is missed or another song is
taken for one.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WHAT = "1000 fingerprints of three minutes each, every one of them looked for among all"
PEER = "sorting and searching as many landmarks by numpy once, which an inverted index begins with"
FLOOR = "reading the fingerprints"
ROUNDS = 1

_SONGS = 1_000
_COPY_EVERY = 10
_SECONDS = 180.0
_PIECES = 12
_KEPT = 0.35  # of a copy's peaks: what a recording keeps that is a semitone higher and 3 % faster
_FILE = "fingerprints.bin"
Print = Any


def setup(folder: Path) -> None:
    """Write the fingerprints."""
    import numpy as np

    from benchmarks._pieces import STYLES, compose
    from modal_app.audio.fingerprint import Fingerprinter

    pieces = []
    for number in range(_PIECES):
        printer = Fingerprinter(44_100)
        printer.hear(compose(STYLES[number % len(STYLES)], number).signal.astype(np.float32))
        pieces.append(printer.fingerprint())
    with (folder / _FILE).open("wb") as file:
        for number in range(_SONGS):
            is_copy = number % _COPY_EVERY == _COPY_EVERY - 1
            song = _copy(_song(pieces, number - 1), number) if is_copy else _song(pieces, number)
            stored = song.to_bytes()
            file.write(len(stored).to_bytes(4, "little") + stored)


def ours(folder: Path) -> None:
    """Index all of them, and look for every one."""
    found = _compare(folder)
    memory = int(
        next(line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line).split()[1]
    )
    print(f"{len(found)} songs compared, {memory // 1024} MB of memory beside the index's file")


def peer(folder: Path) -> None:
    """Sort and search their landmarks."""
    import numpy as np

    from modal_app.audio.fingerprint import landmarks_of

    spans = np.concatenate([landmarks_of(each).spans for each in _read(folder)])
    order = np.sort(spans)
    assert len(np.searchsorted(order, order)) == len(spans)


def floor(folder: Path) -> None:
    """Read them."""
    assert sum(len(each.frames) for each in _read(folder))


def score(folder: Path) -> Iterator[str]:
    """How many copies are found, and what else.

    Raises:
        AssertionError: one is missed, or there is a match that is none.
    """
    found = _compare(folder)
    copies = {number: number - 1 for number in range(_SONGS) if number % _COPY_EVERY == _COPY_EVERY - 1}
    right = sum(found[copy] == [song] and found[song] == [copy] for copy, song in copies.items())
    wrong = sum(len(matches) for matches in found) - 2 * right
    yield f"duplicates: {right} of {len(copies)} copies are found from both sides, and {wrong} that are none"
    assert right == len(copies), "copies are missed"
    assert wrong == 0, "songs are taken for others"


def _compare(folder: Path) -> list[list[int]]:
    """Return for each song which others it is found in."""
    from modal_app.audio.fingerprint_index import FingerprintIndex

    with tempfile.TemporaryDirectory(dir=folder) as place:
        index = FingerprintIndex(_read(folder), Path(place))
        return [[each.sound for each in index.find(song, number)] for number, song in enumerate(_read(folder))]


def _read(folder: Path) -> Iterator[Print]:
    from modal_app.audio.fingerprint import Fingerprint

    with (folder / _FILE).open("rb") as file:
        while size := file.read(4):
            yield Fingerprint.from_bytes(file.read(int.from_bytes(size, "little")))


def _song(pieces: list[Print], number: int) -> Print:
    """Return the peaks of pieces in a random order, each moved by so much that no landmark of theirs is left."""
    import numpy as np

    from modal_app.audio.fingerprint import FRAME_SECONDS, Fingerprint

    random = np.random.default_rng(number)
    frames, pitches, end = [], [], 0.0
    while end * FRAME_SECONDS < _SECONDS:
        piece = pieces[random.integers(len(pieces))]
        frames.append(piece.frames + end)
        pitches.append(piece.pitches)
        end = float(frames[-1].max()) + 20
    moved = np.concatenate(frames)
    moved = np.maximum(moved + random.normal(0, 4, len(moved)), 0)
    order = np.argsort(moved)
    scattered = np.concatenate(pitches) + random.normal(0, 1.5, len(moved))
    return Fingerprint(moved[order].astype(np.float32), np.clip(scattered[order], 50, 103).astype(np.float32))


def _copy(song: Print, number: int) -> Print:
    import numpy as np

    from modal_app.audio.fingerprint import Fingerprint

    random = np.random.default_rng(number)
    kept = np.flatnonzero((random.random(len(song.frames)) < _KEPT) & (song.frames > 200))
    frames = song.frames[kept] / random.choice([0.97, 1.0, 1.03]) + random.normal(0, 0.15, len(kept))
    pitches = song.pitches[kept] + random.choice([-1, 0, 1]) + random.normal(0, 0.05, len(kept))
    order = np.argsort(frames)
    return Fingerprint((frames[order] - 200).clip(0).astype(np.float32), pitches[order].astype(np.float32))
