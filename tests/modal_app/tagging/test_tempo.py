"""A tempo is that of the beat, or of half or twice of it, and not one that only shares some of its strokes."""

import numpy as np
import pytest

from modal_app.tagging.features import FRAME_RATE
from modal_app.tagging.tempo import estimate

_LEVELS = {"X": 0.4, "x": 0.2, "o": 0.1}


def onsets(bpm: float, bar: str, beats: int) -> np.ndarray:
    """Return the envelope of 15 s in which a bar of sixteenths repeats."""
    envelope = np.zeros(int(15 * FRAME_RATE), np.float32)
    sixteenth = 60 / bpm * FRAME_RATE / 4
    for place in range(int(len(envelope) / sixteenth) - 1):
        level = _LEVELS.get(bar[place % (4 * beats)], 0.0)
        frame = round(place * sixteenth)
        envelope[frame : frame + 2] += np.array([level, level / 2], np.float32)[: len(envelope) - frame]
    return envelope


@pytest.mark.parametrize(
    ("bpm", "bar", "beats"),
    [
        (128, "X.o.x.X.o.x.", 3),
        (160, "Xoxoxoxoxoxoxoxo", 4),
        (180, "X.x.X.xxX.x.X.x.", 4),
        (176, "Xoxoxoxoxoxoxoxo", 4),
        (90, "Xoxoxoxoxoxoxoxo", 4),
    ],
)
def test_two_thirds_of_a_tempo_are_not_taken_for_it(bpm: float, bar: str, beats: int) -> None:
    found = estimate(onsets(bpm, bar, beats), FRAME_RATE)
    assert found.confirmed
    assert min(abs(found.bpm / bpm / factor - 1) for factor in (0.5, 1, 2)) < 0.01


@pytest.mark.parametrize("bpm", [72, 96, 120, 138])
def test_even_strokes_keep_their_tempo(bpm: float) -> None:
    found = estimate(onsets(bpm, "X...x...X...x...", 4), FRAME_RATE)
    assert found.confirmed
    assert found.bpm == pytest.approx(bpm, rel=0.01)
