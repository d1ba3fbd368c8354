"""How far music lies from other music: an unbiased maximum mean discrepancy whose sample are songs. Pure.

The statistic is Gretton's (JMLR 13, 2012, lemma 6) with the kernel of the kernel audio distance (arXiv 2502.15602),
k = exp(−d² / 2σ²), σ the median distance within the artist's music, ×100. It is taken over pairs of *different* songs:
windows of one song are alike whoever wrote it, and more of them say nothing more of the artist. So it may be negative,
and of music by the same hand it is 0 on average, however few songs there are.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from modal_app.evaluation.choice import Difference

Windows = npt.NDArray[np.float64]
"""Features of the windows of one song, or of one prompt's renderings: `[windows, features]`."""

LEAST_SONGS = 6
"""Under so many, a distance is shown and decides nothing: of five songs no difference is beyond chance, since two of
their 32 swaps make as much of it as it is itself."""
_SCALE = 100.0
_MAX_SWAPS = 4096
_SEED = 0


class Reference:
    """An artist's songs, which other music is held against; the kernel's width is theirs."""

    def __init__(self, songs: Sequence[Windows]) -> None:
        """Take the songs, at least two of them, each with at least one window."""
        self.count = len(songs)
        self._songs = songs
        everything = np.concatenate(songs)
        distances = np.sqrt(_squares(everything, everything)[np.triu_indices(len(everything), 1)])
        self._width = float(np.median(distances)) or 1.0
        self._within = self._kernel(songs, songs)

    def distance(self, music: Sequence[Windows]) -> float:
        """Return how far music lies from the artist's, by songs or prompts of it, ×100; at least two of them."""
        return _SCALE * (
            _off_diagonal(self._within) + _off_diagonal(self._kernel(music, music)) - 2 * self._cross(music)
        )

    def difference(self, first: Sequence[Windows], second: Sequence[Windows]) -> Difference:
        """Return how much farther `first` lies than `second`; both answer the same prompts in the same order.

        Were both by one hand, each prompt's two answers could as well be swapped. So the difference is held against
        those of all swaps, which the number of prompts alone makes many: 2^5 for five songs. That is exact with few
        songs, where intervals of a bootstrap are too narrow.
        """
        count = len(first)
        both = [*first, *second]
        kernel, cross = self._kernel(both, both), self._kernel(both, self._songs).mean(axis=1)
        shares = _SCALE * _shares(kernel, cross, count)
        found = _signs(count) @ shares
        value = float(shares.sum())
        chance = float(np.mean(np.abs(found) >= abs(value) - 1e-9 * max(1.0, abs(value))))
        return Difference(value, chance)

    def spread(self, music: Sequence[Windows], draws: int = 400) -> tuple[float, float]:
        """Return the middle 90 % of the distances that other songs of both might have had: a bootstrap over songs.

        The artist's songs and the prompts are drawn anew, each with itself; a song is never held against itself.
        """
        chance = np.random.default_rng(_SEED)
        own, theirs, cross = self._within, self._kernel(music, music), self._kernel(music, self._songs)
        found = []
        for _ in range(draws):
            weights = np.bincount(chance.integers(self.count, size=self.count), minlength=self.count).astype(float)
            others = np.bincount(chance.integers(len(music), size=len(music)), minlength=len(music)).astype(float)
            within, without = _weighted(own, weights), _weighted(theirs, others)
            if within is not None and without is not None:
                found.append(within + without - 2 * float(others @ cross @ weights) / (others.sum() * weights.sum()))
        low, high = np.quantile(found, [0.05, 0.95]) if found else (math.nan, math.nan)
        return _SCALE * float(low), _SCALE * float(high)

    def _cross(self, music: Sequence[Windows]) -> float:
        return float(self._kernel(music, self._songs).mean())

    def _kernel(self, first: Sequence[Windows], second: Sequence[Windows]) -> npt.NDArray[np.float64]:
        """Return the mean kernel between the windows of each two, `[first, second]`."""
        values = np.exp(-_squares(np.concatenate(first), np.concatenate(second)) / (2 * self._width**2))
        rows, columns = _starts(first), _starts(second)
        sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
        sizes = np.outer([len(song) for song in first], [len(song) for song in second])
        return np.asarray(sums / sizes)


def diversity(prompts: Sequence[Windows]) -> float | None:
    """Return how unlike two renderings of one prompt are, over how unlike those of different prompts are.

    Each array holds one prompt's renderings, one row a seed. Near 0: the prompt alone decides, or it plays one piece
    only; None where there is no pair of either kind.
    """
    inside = [_mean_distance(rows, rows) for rows in prompts if len(rows) > 1]
    between = [
        float(np.sqrt(_squares(first, second)).mean())
        for place, first in enumerate(prompts)
        for second in prompts[place + 1 :]
    ]
    if not inside or not between or not np.mean(between):
        return None
    return float(np.mean(inside) / np.mean(between))


def by_song(windows: Sequence[tuple[str, Windows]]) -> dict[str, Windows]:
    """Return the windows of each song together, in the order of the songs' names."""
    songs: Mapping[str, list[Windows]] = {name: [] for name in sorted({name for name, _ in windows})}
    for name, rows in windows:
        songs[name].append(rows)
    return {name: np.concatenate(parts) for name, parts in songs.items()}


def _shares(kernel: npt.NDArray[np.float64], cross: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Return what each prompt adds to the difference; swapping a prompt's two answers turns its share's sign.

    `kernel` and `cross` are those of the first's answers and then of the second's.
    """
    own, mixed, others = kernel[:count, :count], kernel[:count, count:], kernel[count:, count:]
    within = own - others
    np.fill_diagonal(within, 0.0)
    pairs = within.sum(axis=1) + (mixed - mixed.T).sum(axis=1)
    return np.asarray(pairs / (count * (count - 1)) - 2 * (cross[:count] - cross[count:]) / count)


def _signs(count: int) -> npt.NDArray[np.float64]:
    """Return all ways to swap the answers of prompts as signs, `[ways, prompts]`; of very many, a fixed choice."""
    if 2**count <= _MAX_SWAPS:
        return np.asarray(1.0 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1))
    signs = np.random.default_rng(_SEED).choice([1.0, -1.0], size=(_MAX_SWAPS, count))
    signs[0] = 1.0
    return np.asarray(signs)


def _off_diagonal(kernel: npt.NDArray[np.float64]) -> float:
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _weighted(kernel: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float | None:
    """Return the mean over pairs of different songs, each as often as it was drawn; None where one alone was drawn."""
    pairs = np.outer(weights, weights)
    np.fill_diagonal(pairs, 0.0)
    return float((pairs * kernel).sum() / pairs.sum()) if pairs.sum() else None


def _starts(songs: Sequence[Windows]) -> npt.NDArray[np.intp]:
    return np.asarray(np.cumsum([0, *(len(song) for song in songs[:-1])]), dtype=np.intp)


def _squares(first: Windows, second: Windows) -> npt.NDArray[np.float64]:
    """Return the squared distances `[first, second]`."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
    return np.asarray(np.maximum(squares, 0.0))


def _mean_distance(first: Windows, second: Windows) -> float:
    distances = np.sqrt(_squares(first, second))
    count = len(first)
    return float((distances.sum() - np.trace(distances)) / (count * (count - 1)))
