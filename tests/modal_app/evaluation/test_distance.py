"""Distances between composed artists, what chance makes of them, and how it all stands by songs, not windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.evaluation.choice import LEVEL
from modal_app.evaluation.distance import Reference, Windows, by_song, diversity
from modal_app.evaluation.windows import latent_windows, log_mel_windows


def songs(chance: np.random.Generator, count: int, at: float = 0.0, windows: int = 2) -> list[Windows]:
    """Songs of one hand: each has its own place, and its windows lie close around it."""
    places = chance.normal(at, 1.0, size=(count, 12))
    return [place + chance.normal(0, 0.3, size=(windows, 12)) for place in places]


def test_music_of_the_same_hand_lies_at_zero_on_average() -> None:
    chance = np.random.default_rng(0)
    for count in (2, 4, 8):
        found = [Reference(songs(chance, count)).distance(songs(chance, count)) for _ in range(400)]
        assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
        assert min(found) < 0


def test_more_windows_of_a_song_change_nothing_on_average() -> None:
    chance = np.random.default_rng(1)
    for windows in (1, 8):
        found = [
            Reference(songs(chance, 8, windows=windows)).distance(songs(chance, 8, 1.0, windows)) for _ in range(100)
        ]
        assert 15 < np.mean(found) < 60
        assert np.min(found) > 0


def test_false_alarms_are_as_many_as_the_level_says() -> None:
    """Two candidates of one hand, held against an artist of another, a thousand times."""
    chance = np.random.default_rng(2)
    alarms = [
        Reference(songs(chance, 8)).difference(songs(chance, 8, 0.5), songs(chance, 8, 0.5)).is_real
        for _ in range(1000)
    ]
    assert LEVEL - 0.02 <= np.mean(alarms) <= LEVEL + 0.02


def test_a_nearer_candidate_is_told_from_a_farther_one() -> None:
    chance = np.random.default_rng(3)
    found = [Reference(songs(chance, 8)).difference(songs(chance, 8, 1.0), songs(chance, 8, 0.1)) for _ in range(100)]
    assert np.mean([each.value > 0 and each.is_real for each in found]) > 0.9


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 7), st.integers(0, 99), st.floats(0.01, 100))
def test_a_difference_turns_with_its_sides_and_no_unit_matters(count: int, seed: int, unit: float) -> None:
    chance = np.random.default_rng(seed)
    own, first, second = (songs(chance, count, at) for at in (0, 0.3, 0.6))
    there, back = Reference(own).difference(first, second), Reference(own).difference(second, first)
    assert (there.value, there.chance) == (pytest.approx(-back.value), back.chance)
    plain = Reference(own).distance(first) - Reference(own).distance(second)
    assert there.value == pytest.approx(plain)
    scaled = Reference([unit * song for song in own]).distance([unit * song for song in first])
    assert scaled == pytest.approx(Reference(own).distance(first), abs=1e-6)
    assert Reference(own).difference(first, first).chance == 1.0


def test_the_spread_holds_the_distance_and_narrows_with_songs() -> None:
    chance = np.random.default_rng(4)
    widths = []
    for count in (4, 24):
        own, others = songs(chance, count), songs(chance, count, 0.8)
        low, high = Reference(own).spread(others)
        assert low < high
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_diversity_is_low_where_seeds_make_no_difference() -> None:
    chance = np.random.default_rng(5)
    places = chance.normal(size=(3, 12))
    alike = [place + 0.01 * chance.normal(size=(2, 12)) for place in places]
    free = [chance.normal(size=(2, 12)) for _ in range(3)]
    found = diversity(alike), diversity(free)
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] < 0.1 < 0.5 < found[1]
    assert diversity(alike[:1]) is None
    assert diversity([rows[:1] for rows in alike]) is None


def test_windows_are_of_five_seconds_and_loudness_is_left_out() -> None:
    rate = 44_100
    noise = np.random.default_rng(6).normal(size=(2, 12 * rate)).astype(np.float32)
    found = log_mel_windows(noise, rate)
    assert found.shape == (2, 128)
    assert log_mel_windows(0.01 * noise, rate) == pytest.approx(found, abs=0.01)
    assert log_mel_windows(noise[:, : rate // 2], rate).shape == (1, 128)
    assert np.isfinite(log_mel_windows(np.zeros((1, 100), np.float32), rate)).all()
    assert latent_windows(np.zeros((375, 4), np.float32), 25.0).shape == (3, 8)
    assert latent_windows(np.zeros((10, 4), np.float32), 25.0).shape == (1, 8)
    assert {name: len(rows) for name, rows in by_song([("b", found), ("a", found), ("b", found)]).items()} == {
        "a": 2,
        "b": 4,
    }
