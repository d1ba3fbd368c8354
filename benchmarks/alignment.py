"""How surely a bounce is found in its Live Set, and what that costs beside reading the sound.

Sets and bounces are composed, so the truth is known (`_bounces.py`). The score is a table of right answers by kind of
bounce; fewer than 98 of 100 that are told as they should be, or one bounce that is found in the set of another song,
fails the run.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks._bounces import Case
    from dawa_assets.ableton.alignment import Alignment

SONGS = 16
"""How many are composed, 14 cases each; more of them find rarer mistakes and take longer."""
SECONDS = 36.0

WHAT = f"finding {14 * SONGS} bounces of about {SECONDS:g} s in Live Sets"
PEER = (
    "scipy's short-time Fourier transform of the same (1,024 samples, hop 441), which any onset detection begins with"
)
FLOOR = "cutting the bounces"
ROUNDS = 1

_GOAL = 0.98


def setup(folder: Path) -> None:
    """Compose sets and bounces."""
    from benchmarks._bounces import compose

    compose(folder, SONGS, SECONDS)


def ours(folder: Path) -> None:
    """Find each."""
    assert all(found.version for _, found in _found(folder))


def peer(folder: Path) -> None:
    """Transform each."""
    from scipy import signal

    from benchmarks._bounces import RATE, cases_in

    transform = signal.ShortTimeFFT(signal.windows.hann(1_024), 441, RATE)
    for case in cases_in(folder):
        assert transform.stft(case.bounce(folder)).size


def floor(folder: Path) -> None:
    """Cut them."""
    from benchmarks._bounces import cases_in

    assert all(len(case.bounce(folder)) for case in cases_in(folder))


def score(folder: Path) -> Iterator[str]:
    """How often what is told is right, by kind of bounce.

    Raises:
        AssertionError: not often enough, or a bounce of another song was found.
    """
    answers: dict[str, Counter[str]] = {}
    false = 0
    for case, found in _found(folder):
        right = case.is_right(found)
        counts = answers.setdefault(case.kind, Counter())
        counts.update({found.answer: 1, "right": right, "cases": 1})
        false += found.answer == "aligned" and "aligned" not in case.answers
        if not right:
            yield f"alignment: {case.kind}, {case.live_set}: {found.answer}, {found.offset_seconds}: {found.reasons}"
    yield "alignment: kind: right of all (aligned, not this arrangement, can't be told)"
    for kind, counts in answers.items():
        told = ", ".join(str(counts[answer]) for answer in ("aligned", "not this arrangement", "can't be told"))
        yield f"alignment: {kind:36} {counts['right']:3} of {counts['cases']} ({told})"
    cases, right = (sum(counts[name] for counts in answers.values()) for name in ("cases", "right"))
    yield f"alignment: {right} of {cases} right ({right / cases:.3f}), {false} found in the set of another song"
    assert right >= _GOAL * cases, "too few are told right"
    assert not false, "a bounce of another song was found"


def _found(folder: Path) -> "Iterator[tuple[Case, Alignment]]":
    import numpy as np

    from benchmarks._bounces import RATE, cases_in
    from dawa_assets.ableton.alignment import align
    from dawa_assets.ableton.onsets import song_onsets
    from dawa_assets.ableton.reader import read_live_set
    from modal_app.audio.alignment_features import features_of

    for case in cases_in(folder):
        song = song_onsets(read_live_set(folder / case.live_set, with_onsets=True))
        bounce = case.bounce(folder)
        yield case, align(song, features_of(np.array_split(bounce, len(bounce) // 65_536 + 1), RATE))
