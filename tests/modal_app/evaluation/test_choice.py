"""The rule by which one of a training's milestones is kept, part by part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.evaluation.adherence import keeps_to, signature_of
from modal_app.evaluation.choice import WORSE_LOSS, Contender, Difference, choose_checkpoint, choose_strength
from modal_app.evaluation.code_runs import longest_run
from modal_app.protocol.training import MusicalFacts


def by_distance(contenders: list[Contender], noise: float):  # type: ignore[no-untyped-def]
    """Differences of the distances that are real when they are above the noise."""

    def difference(first: int, second: int) -> Difference:
        value = (contenders[first].distance or 0) - (contenders[second].distance or 0)
        return Difference(value, 0.01 if abs(value) > noise else 0.5)

    return difference


@pytest.mark.parametrize(
    ("contenders", "chosen", "says"),
    [
        ([(10, 1.5, 9.0), (20, 1.5, 4.0), (30, 1.5, 2.0)], 30, {10: "farther", 20: "farther", 30: "the nearest"}),
        ([(10, 1.5, 9.0), (20, 1.5, 2.5), (30, 1.5, 2.0)], 20, {20: "of fewest steps among 2", 30: "fewer steps"}),
        ([(10, 1.5, 2.1), (20, 1.5, 2.5), (30, 1.5, 2.0)], 10, {10: "among 3"}),
        ([(10, 1.6, 0.0), (20, 1.5, 4.0), (30, 1.52, 2.0)], 30, {10: "6.7% above the best"}),
        ([(10, None, 0.0), (20, 1.5, 4.0)], 20, {10: "no number"}),
        ([(10, 1.5, None), (20, 1.4, 4.0)], 20, {20: "the nearest"}),
        ([(10, 1.5, None), (20, 1.49, 4.0)], 20, {20: "too few songs", 10: "too few songs"}),
    ],
)
def test_the_order_of_the_rule(
    contenders: list[tuple[int, float | None, float | None]], chosen: int, says: dict[int, str]
) -> None:
    given_ = [Contender(*each) for each in contenders]
    choice = choose_checkpoint(given_, by_distance(given_, 1.0))
    assert choice.place is not None
    assert given_[choice.place].step == chosen
    for contender, verdict in zip(given_, choice.verdicts, strict=True):
        assert verdict
        assert says.get(contender.step, "") in verdict


def test_broken_and_copying_ones_are_out_before_any_figure() -> None:
    contenders = [
        Contender(10, 0.1, 0.0, "it renders silence"),
        Contender(20, 0.1, 0.0, "copies: 9 s"),
        Contender(30, 2.0, 9.0),
    ]
    choice = choose_checkpoint(contenders, by_distance(contenders, 1.0))
    assert (choice.place, choice.verdicts[:2]) == (2, ["it renders silence", "copies: 9 s"])
    assert choose_checkpoint(contenders[:2], None).place is None
    assert choose_checkpoint([], None).place is None


def test_with_too_few_songs_the_smallest_loss_is_kept() -> None:
    contenders = [Contender(10, 1.51, 0.0), Contender(20, 1.5, 5.0), Contender(30, 1.5, 1.0)]
    choice = choose_checkpoint(contenders, None)
    assert choice.place == 1
    without = [Contender(10, None, 0.0), Contender(20, None, 5.0)]
    assert choose_checkpoint(without, None).place == 1


@given(
    st.lists(st.tuples(st.floats(0.5, 2), st.floats(-5, 50), st.none() | st.just("broken")), min_size=1, max_size=8),
    st.floats(0, 10),
    st.booleans(),
)
def test_whatever_is_kept_is_sound_and_within_the_guard(
    figures: list[tuple[float, float, str | None]], noise: float, has_evidence: bool
) -> None:
    contenders = [Contender(10 * place, *each) for place, each in enumerate(figures)]
    choice = choose_checkpoint(contenders, by_distance(contenders, noise) if has_evidence else None)
    sound = [contender for contender in contenders if contender.flaw is None]
    assert (choice.place is None) == (not sound)
    assert all(choice.verdicts)
    if choice.place is None:
        return
    kept = contenders[choice.place]
    best = min(contender.loss or 9 for contender in sound)
    assert kept in sound
    assert (kept.loss or 9) <= (1 + WORSE_LOSS) * best
    if has_evidence:
        guarded = [each for each in sound if (each.loss or 9) <= (1 + WORSE_LOSS) * best]
        nearest = min(each.distance or 0 for each in guarded)
        assert (kept.distance or 0) <= nearest + noise
        assert all(each.step >= kept.step or (each.distance or 0) > nearest + noise for each in guarded)


def test_the_lower_strength_is_kept_only_where_really_nearer() -> None:
    nearer = Difference(-3.0, 0.01)
    assert choose_strength(nearer, None, 1.5, 1.5)
    assert choose_strength(nearer, None, None, 1.5)
    assert not choose_strength(None, None, 1.5, 1.5)
    assert not choose_strength(nearer, "it renders silence", 1.5, 1.5)
    assert not choose_strength(nearer, None, 1.6, 1.5)
    assert not choose_strength(Difference(-3.0, 0.2), None, 1.5, 1.5)
    assert not choose_strength(Difference(3.0, 0.01), None, 1.5, 1.5)


def test_runs_of_codes_are_found_where_they_stand() -> None:
    chance = np.random.default_rng(0)
    song, other = (chance.integers(0, 2048, size=500) for _ in range(2))
    assert longest_run(song[100:300], song) == 200
    mixed = np.concatenate([other[:50], song[40:140], other[50:90], song[300:330]])
    assert longest_run(mixed, song) == 100
    assert longest_run(other, song) == 0
    assert longest_run(song[:10], song) == 0
    held = np.full(200, 7)
    assert longest_run(held, held) == 0
    twice = np.concatenate([song[:60], song[:60]])
    assert longest_run(twice, twice) == 120


def test_tempo_and_key_are_those_that_were_asked_for() -> None:
    rate, seconds = 44_100, 12.0
    time = np.arange(int(seconds * rate)) / rate
    beat = np.exp(-40 * (time * 2 % 1))  # 120 BPM
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (261.63, 329.63, 392.0, 349.23, 440.0, 493.88, 293.66))
    signal = (0.1 * chord * (0.3 + beat) + 0.3 * beat * np.random.default_rng(0).normal(size=time.size)).astype(
        np.float32
    )[None]
    right = keeps_to([(signal, rate, MusicalFacts(bpm=120.0, musical_key="A minor"))])
    wrong = keeps_to([(signal, rate, MusicalFacts(bpm=97.0, musical_key="F# major"))])
    assert right == (1.0, 1.0)
    assert wrong[1] == 0.0
    assert (wrong[0] or 0.0) <= 0.0
    assert keeps_to([(signal, rate, MusicalFacts())]) == (None, None)
    assert [signature_of(key) for key in ("C major", "A minor", "Db major", "Bb minor", "H dur", "C lydian")] == [
        *(0, 0, 1, 1),
        *(None, None),
    ]
