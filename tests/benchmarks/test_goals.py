import importlib
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import goals_table
from benchmarks.goals import Goal, committed_result, judge
from benchmarks.harness import names
from benchmarks.picture import draw

FIGURES = {"ours / peer": 1.2, "ours / floor": 3.0, "peak MB": 50.0, "items/s": 31.0}


def test_a_goal_is_met_up_to_its_limit() -> None:
    goals = (Goal("ours / floor", at_most=3), Goal("peak MB", at_most=49.9), Goal("items/s", at_least=30))
    assert [(str(each.goal), each.measured, each.is_met) for each in judge(goals, FIGURES, None)] == [
        ("ours / floor ≤ 3", 3.0, True),
        ("peak MB ≤ 49.9", 50.0, False),
        ("items/s ≥ 30", 31.0, True),
    ]


@pytest.mark.parametrize(("peer_over_ours", "is_met"), [(0.96, True), (0.97, False)])
def test_a_ratio_that_grew_by_more_than_15_percent_is_shown(peer_over_ours: float, is_met: bool) -> None:
    (found,) = judge((), FIGURES, {"ratio_to_ours": {"peer": peer_over_ours}})
    assert found.is_met is is_met


def test_another_peer_is_not_compared_with_the_one_before() -> None:
    committed = {"peer": "scipy", "ratio_to_ours": {"peer": 0.5}}
    assert judge((), FIGURES, committed, "librosa") == []
    assert len(judge((), FIGURES, committed, "scipy")) == 1


def test_a_goal_of_a_figure_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(KeyError, match="queries"):
        judge((Goal("queries", at_most=4),), FIGURES, None)


def test_the_committed_result_is_read_from_the_last_commit() -> None:
    assert committed_result("no-such-benchmark") is None
    found = committed_result("als")
    if found is None:
        pytest.skip("this is no git checkout")
    assert found["name"] == "als"


@pytest.mark.parametrize("name", names())
def test_the_goals_of_a_benchmark_are_limits(name: str) -> None:
    for goal in getattr(importlib.import_module(f"benchmarks.{name}"), "GOALS", ()):
        assert (goal.at_most is None) is not (goal.at_least is None), goal


def test_the_table_marks_each_goal() -> None:
    goals = (Goal("ours / floor", at_most=3), Goal("peak MB", at_most=40))
    console = Console(width=100)
    with console.capture() as capture:
        console.print(goals_table({"als": judge(goals, FIGURES, None)}))
    lines = capture.get().splitlines()
    assert [("✓" in line, "✗" in line) for line in lines if "≤" in line] == [(True, False), (False, True)]


def test_the_picture_is_drawn_from_the_results(tmp_path: Path) -> None:
    result = {"name": "als", "figure": "cpu_seconds", "ratio_to_ours": {"peer": 1.5, "floor": 0.1}}
    (tmp_path / "als.json").write_text(json.dumps(result))
    draw(tmp_path / "picture.png", tmp_path)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
