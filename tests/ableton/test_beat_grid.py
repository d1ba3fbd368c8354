"""Beats to seconds: with one tempo, with ramps and jumps, and against a fine sum of small steps."""

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dawa_assets.ableton.beat_grid import MAX_BARS, bar_times, beats_per_bar, sections_between, tempo_map

TEMPOS = st.floats(20, 999)


def test_at_one_tempo_a_beat_lasts_the_same_everywhere() -> None:
    line = tempo_map(120)
    assert [line.seconds_at(beat) for beat in (-2, 0, 1, 64)] == [-1, 0, 0.5, 32]
    assert bar_times(line, 4, 2) == [0, 2, 4]
    assert bar_times(line, 3, 1.5) == [0, 1.5, 3]


def test_a_jump_counts_from_its_beat_on_and_a_ramp_is_even_by_the_beat() -> None:
    jump = tempo_map(120, [(0, 120), (8, 120), (8, 60)])
    assert [jump.seconds_at(beat) for beat in (8, 9)] == [4, 5]
    ramp = tempo_map(120, [(0, 60), (8, 120)])
    assert ramp.seconds_at(8) == pytest.approx(8 * math.log(2), abs=1e-12)
    assert ramp.seconds_at(9) == pytest.approx(8 * math.log(2) + 0.5)


def test_what_stands_before_beat_0_moves_nothing() -> None:
    line = tempo_map(90, [(-16, 60), (-8, 120)])
    assert line.seconds_at(0) == pytest.approx(0)
    assert line.seconds_at(2) == pytest.approx(1)


@given(st.lists(st.tuples(st.floats(-50, 200), TEMPOS), max_size=12), st.floats(0, 200))
def test_the_time_line_is_that_of_many_small_steps_and_never_runs_back(
    changes: list[tuple[float, float]], until: float
) -> None:
    changes = [(round(beat * 4) / 4, bpm) for beat, bpm in changes]
    line = tempo_map(100, changes)
    steps = 100
    beats = [until * step / steps for step in range(steps + 1)]
    seconds = [line.seconds_at(beat) for beat in beats]
    assert all(b >= a for a, b in itertools.pairwise(seconds))
    fastest, slowest = max([100, *(bpm for _, bpm in changes)]), min([100, *(bpm for _, bpm in changes)])
    assert until * 60 / fastest - 1e-6 <= seconds[-1] <= until * 60 / slowest + 1e-6


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 400), TEMPOS), max_size=40), st.floats(0, 1e6))
@example(changes=[(0.0, 20.0), (5e-324, 21.0)], bars=0.0)
def test_any_set_has_a_bounded_grid(changes: list[tuple[float, float]], bars: float) -> None:
    times = bar_times(tempo_map(120, changes), 4, bars)
    assert len(times) <= MAX_BARS + 1
    assert times[0] == pytest.approx(0, abs=1e-6)


def test_time_signatures() -> None:
    told = {"4/4": 4, "6/8": 3, "7/8": 3.5, "2/2": 4, "": 4, "x/y": 4, "0/4": 4, "3/0": 4, "99999999/1": 396, "٤/٤": 4}
    assert {text: beats_per_bar(text) for text in told} == told


def test_sections_go_from_place_to_place_and_to_the_end() -> None:
    assert sections_between([("B", 4), ("A", 0), ("A2", 4)], 10) == [("A", 0, 4), ("A2", 4, 10)]
    assert sections_between([], 10) == []
    assert sections_between([("late", 12)], 10) == []
