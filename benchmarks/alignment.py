"""How surely a bounce is found in its Live Set, what is told of it by that, and what it costs beside reading the sound.

Sets and bounces are composed, so the truth is known (`_bounces.py`, `_played.py`). The score is a table of right
answers by kind of bounce, and of segments whose instruments are told right; fewer than 98 of 100 bounces that are told
as they should be or than 97 of 100 segments, or one bounce that is found in the set of another song, fails the run.
Each bounce is also compared with the sets of all songs, as where it doesn't fit its own: the best has to be its song's.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks._bounces import Case
    from dawa_assets.ableton.alignment import Alignment

SONGS = 16
"""How many are composed, 15 cases each; more of them find rarer mistakes and take longer."""
SECONDS = 36.0

WHAT = f"finding {15 * SONGS} bounces of about {SECONDS:g} s in Live Sets"
PEER = (
    "scipy's short-time Fourier transform of the same (1,024 samples, hop 441), which any onset detection begins with"
)
FLOOR = "cutting the bounces"
ROUNDS = 1

_GOAL, _GOAL_OF_SEGMENTS = 0.98, 0.97


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
        if found.answer == "aligned" and not case.repeats:
            for at, named in _segments(folder, case, found):
                is_told = named is None
                counts.update({"segments": 1, "told": is_told})
                if not is_told:
                    yield f"alignment: {case.kind}, {case.live_set}, segment at {at:g} s: {', '.join(named or [])}"
        false += found.answer == "aligned" and "aligned" not in case.answers
        if not right:
            yield f"alignment: {case.kind}, {case.live_set}: {found.answer}, {found.offset_seconds}: {found.reasons}"
    yield "alignment: kind: right of all (aligned, not this arrangement, can't be told); segments told right"
    for kind, counts in answers.items():
        told = ", ".join(str(counts[answer]) for answer in ("aligned", "not this arrangement", "can't be told"))
        segments = f"; {counts['told']} of {counts['segments']}" if counts["segments"] else ""
        yield f"alignment: {kind:36} {counts['right']:3} of {counts['cases']} ({told}){segments}"
    cases, right, segments, told_right = (
        sum(counts[name] for counts in answers.values()) for name in ("cases", "right", "segments", "told")
    )
    share = told_right / segments
    yield f"alignment: instruments of {told_right} of {segments} segments right ({share:.3f})"
    yield f"alignment: {right} of {cases} right ({right / cases:.3f}), {false} found in the set of another song"
    named = Counter(_named(folder))
    yield "alignment: of all songs' sets the best is " + ", ".join(f"{what}: {named[what]}" for what in sorted(named))
    assert right >= _GOAL * cases, "too few are told right"
    assert told_right >= _GOAL_OF_SEGMENTS * segments, "too few segments are told right"
    assert not false, "a bounce of another song was found"
    assert not named["another song's"], "the set of another song was named"


def _segments(folder: Path, case: "Case", found: "Alignment") -> "Iterator[tuple[float, list[str] | None]]":
    """Yield where each segment begins, and what is named for it, None where that is right.

    By the place that was found, right or wrong: so are captions.
    """
    import json

    from benchmarks._played import is_right
    from dawa_assets.ableton.reader import read_live_set
    from dawa_assets.arrangements.song_timeline import timeline_of
    from modal_app.training.span_facts import facts_of_span

    assert found.offset_seconds is not None
    live_set = read_live_set(folder / case.live_set, with_onsets=True)
    speed = (found.tempo or live_set.played_tempo.bpm) / live_set.played_tempo.bpm
    timeline = timeline_of(live_set).by_bounce_clock(found.offset_seconds, speed)
    notes = json.loads((folder / case.notes).read_text())
    for start, end, later in case.segments(folder):
        facts = facts_of_span(timeline, start, end)
        if facts is not None:
            named = [each.instrument for each in facts.instruments]
            yield start, None if is_right(named, notes, start + later, end + later) else named


def _named(folder: Path) -> Iterator[str]:
    """Yield whose set is named as the best of all songs', for each bounce that was rendered at its set's tempo."""
    import numpy as np

    from benchmarks._bounces import RATE, cases_in
    from dawa_assets.ableton.alignment import align_at_known_tempos
    from dawa_assets.ableton.onsets import song_onsets
    from dawa_assets.ableton.reader import read_live_set
    from modal_app.audio.alignment_features import features_of

    cases = cases_in(folder)
    songs = {
        case.rendering: song_onsets(read_live_set(folder / case.live_set, with_onsets=True))
        for case in cases
        if case.kind == "whole"
    }
    for case in cases:
        if case.repeats or not case.tempo:
            continue
        bounce = case.bounce(folder)
        features = features_of(np.array_split(bounce, len(bounce) // 65_536 + 1), RATE)
        found = {rendering: align_at_known_tempos(song, features) for rendering, song in songs.items()}
        scores = {rendering: each.score or 0.0 for rendering, each in found.items() if each.answer == "aligned"}
        best = max(scores, key=lambda rendering: scores[rendering], default=None)
        yield "none" if best is None else "its own" if best == case.rendering else "another song's"
        if any(rendering != case.rendering for rendering in scores):
            yield "fitting another song too"


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
