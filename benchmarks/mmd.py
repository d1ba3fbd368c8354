"""Distances of music to an artist's: what they cost, how surely they tell artists apart, and how often they are wrong.

Five artists are composed, each of two styles (`_pieces.py`), 24 songs of 15 s each. The score fails the run where music
of the same artist is nearer than another's in fewer than 90 of 100 draws at eight songs, or where two candidates by one
hand are told apart in other than 5 % ± 2 of 1000 draws. It says the figures by songs and by windows a song.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

WHAT = "the distance, its spread and a difference of eight songs to eight others, forty times"
PEER = "scipy's distances between the same windows, which any such statistic begins with"
FLOOR = "reading the features"
ROUNDS = 3

_ARTISTS, _SONGS, _WINDOWS = 5, 24, 3
_FILE = "windows.npy"
_COUNT, _TIMES = 8, 40


def setup(folder: Path) -> None:
    """Compose the artists and take the features of their songs: `[artists, songs, windows, features]`."""
    import numpy as np

    from benchmarks._pieces import STYLES, compose
    from modal_app.evaluation.windows import log_mel_windows

    songs = [
        [
            log_mel_windows(compose(STYLES[2 * artist + song % 2], 500 + song).signal[None], 44_100)[:_WINDOWS]
            for song in range(_SONGS)
        ]
        for artist in range(_ARTISTS)
    ]
    np.save(folder / _FILE, np.array(songs))


def ours(folder: Path) -> None:
    """Hold music against an artist's."""
    import numpy as np

    from modal_app.evaluation.distance import Reference

    windows = np.load(folder / _FILE)
    chance = np.random.default_rng(0)
    for _ in range(_TIMES):
        own, same, other = _drawn(windows, chance, _COUNT)
        reference = Reference(own)
        reference.spread(same)
        assert reference.distance(other) > reference.distance(own)
        reference.difference(same, other)


def peer(folder: Path) -> None:
    """Take all distances."""
    import numpy as np
    from scipy.spatial.distance import cdist

    windows = np.load(folder / _FILE)
    chance = np.random.default_rng(0)
    for _ in range(_TIMES):
        own, same, other = (np.concatenate(songs) for songs in _drawn(windows, chance, _COUNT))
        everything = np.concatenate([own, same, other])
        assert cdist(everything, everything).size


def floor(folder: Path) -> None:
    """Read them."""
    import numpy as np

    assert np.load(folder / _FILE).size


def score(folder: Path) -> Iterator[str]:
    """How often the same artist is the nearer one, and how often chance is taken for a difference.

    Raises:
        AssertionError: an artist is not told from others at eight songs, or the false alarms are not as many as said.
    """
    import numpy as np

    from modal_app.evaluation.choice import LEVEL
    from modal_app.evaluation.distance import Reference

    windows = np.load(folder / _FILE)
    nearer: dict[tuple[int, int], float] = {}
    for count in (2, 4, 6, 8, 12):
        for most in (1, _WINDOWS):
            chance = np.random.default_rng(count)
            found = []
            for _ in range(400):
                own, same, other = _drawn(windows[:, :, :most], chance, count)
                reference = Reference(own)
                found.append(reference.distance(same) < reference.distance(other))
            nearer[count, most] = float(np.mean(found))
        yield (
            f"mmd: at {count} songs the same artist is nearer in {nearer[count, _WINDOWS]:.1%} of 400 draws "
            f"({nearer[count, 1]:.1%} by one window a song)"
        )
    chance = np.random.default_rng(99)
    alarms, hits = [], []
    for _ in range(1000):
        own, _, other = _drawn(windows, chance, _COUNT, 2 * _COUNT)
        alarms.append(Reference(own).difference(other[:_COUNT], other[_COUNT:]).is_real)
        own, same, other = _drawn(windows, chance, _COUNT)
        difference = Reference(own).difference(same, other)
        hits.append(difference.is_real and difference.value < 0)
    yield (
        f"mmd: at {_COUNT} songs {np.mean(alarms):.1%} false alarms in 1000 draws of two candidates by one hand; "
        f"the artist's own music is really nearer than another's in {np.mean(hits):.1%}"
    )
    assert nearer[_COUNT, _WINDOWS] >= 0.9, "an artist is not told from others"
    assert LEVEL - 0.02 <= np.mean(alarms) <= LEVEL + 0.02, "false alarms are not as many as said"


def _drawn(windows: Any, chance: Any, count: int, others: int | None = None) -> tuple[list[Any], list[Any], list[Any]]:
    """Return songs of one artist, more of theirs, and some of another's, each song its windows."""
    first, second = chance.choice(len(windows), size=2, replace=False)
    own = chance.permutation(windows.shape[1])
    other = chance.permutation(windows.shape[1])[: others or count]
    return (
        [windows[first, song] for song in own[:count]],
        [windows[first, song] for song in own[count : 2 * count]],
        [windows[second, song] for song in other],
    )
