"""Finding many values at once in a sorted array that holds each of them any number of times."""

from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


def find_runs(values: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> tuple[Indices, Indices]:
    """Return for each wanted value the place of the first that is equal in the sorted `values`, and how many are."""
    first = np.searchsorted(values, wanted, "left")
    return first, np.searchsorted(values, wanted, "right") - first


def places_of_runs(first: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """Return which run each place is of, and the places: those of all runs, one after the other."""
    runs = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(len(runs)) - np.repeat(np.cumsum(counts) - counts, counts) + first[runs]
    return runs, places
