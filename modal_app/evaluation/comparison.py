"""Candidates side by side: their distances to the held-out songs and to other music, and what chance makes of them."""

import math
from collections.abc import Sequence

from modal_app.data_root.layout import DataRoot
from modal_app.evaluation.choice import Difference
from modal_app.evaluation.distance import LEAST_SONGS, Reference, Windows
from modal_app.evaluation.measured import Bench, Measured
from modal_app.evaluation.other_music import other_music
from modal_app.protocol.evaluation import CandidateFigures, DistanceEvidence


class Comparison:
    """Distances to the held-out songs, and to other music, as far as there are songs enough."""

    def __init__(self, bench: Bench, base: Measured, root: DataRoot) -> None:
        self._reference = Reference(list(bench.songs.values())) if bench.is_compared else None
        self._songs = list(bench.songs)
        other, self.other_line = other_music(bench, base, root) if bench.is_compared else ([], "")
        self._other = Reference(other) if len(other) > 1 else None
        self.evidence = None
        if self._reference is not None:
            self.evidence = DistanceEvidence(
                space="latents" if bench.has_latents else "log-mel",
                songs=len(self._songs),
                is_evidence=self.is_evidence,
                other_music=self.other_line,
                other_distance=rounded(self._reference.distance(other)) if len(other) > 1 else None,
            )

    @property
    def is_evidence(self) -> bool:
        """Whether there are songs enough to decide by."""
        return len(self._songs) >= LEAST_SONGS

    def placed(self, found: Measured) -> CandidateFigures:
        """Return the figures with the distances."""
        music = self._music(found)
        if self._reference is None or len(music) < 2:
            return found.figures
        low, high = self._reference.spread(music)
        return found.figures.model_copy(
            update={
                "distance": rounded(self._reference.distance(music)),
                "distance_low": rounded(low),
                "distance_high": rounded(high),
                "foreign_distance": None if self._other is None else rounded(self._other.distance(music)),
            }
        )

    def difference(self, first: Measured, second: Measured, songs: Sequence[str] | None = None) -> Difference | None:
        """Return how much farther the first lies, on the prompts of these songs (None: all); None with too few."""
        chosen = [song for song in self._songs if songs is None or song in songs]
        if self._reference is None or len(chosen) < LEAST_SONGS:
            return None
        both = [[found.windows[song] for song in chosen if song in found.windows] for found in (first, second)]
        return self._reference.difference(*both) if len(both[0]) == len(both[1]) == len(chosen) else None

    def _music(self, found: Measured) -> list[Windows]:
        return [found.windows[song] for song in self._songs if song in found.windows]


def rounded(value: float) -> float | None:
    """Return a figure as it is reported; None for what is no number."""
    return round(value, 3) if math.isfinite(value) else None
