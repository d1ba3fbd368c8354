"""The goals of benchmarks, and whether a result meets them: limits on its figures, and no step back.

A goal names one of the figures that every result has, or one of its module's own (`figures`):

- `ours / peer`, `ours / floor`: the ratio of the benchmark's figure, CPU or wall seconds, or the peak;
- `peak MB`: the largest resident set of our process and its children.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_REGRESSION = 1.15
"""How many times the committed `ours / peer` a new one may be."""

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Goal:
    """A limit of one figure: `at_most`, or `at_least`. With `against`, of a run that had this peer alone."""

    figure: str
    at_most: float | None = None
    at_least: float | None = None
    against: str | None = None

    def __str__(self) -> str:
        limit = f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"
        return f"{self.figure} {limit}"

    def is_met(self, measured: float) -> bool:
        """Return whether a figure keeps to the limit."""
        if self.at_most is not None:
            return measured <= self.at_most
        return self.at_least is None or measured >= self.at_least


@dataclass(frozen=True)
class GoalResult:
    """A goal, what was measured, and whether that meets it."""

    goal: Goal
    measured: float
    is_met: bool


def judge(
    goals: tuple[Goal, ...], figures: Mapping[str, float], committed: Mapping[str, Any] | None, peer: str = ""
) -> list[GoalResult]:
    """Return each goal with what was measured; last, whether `ours / peer` grew since the committed result.

    Against another peer than `peer` was then, nothing can be said of that.

    Raises:
        KeyError: a goal names a figure that was not measured.
    """
    asked = [goal for goal in goals if goal.against is None or goal.against == peer]
    found = [GoalResult(goal, figures[goal.figure], goal.is_met(figures[goal.figure])) for goal in asked]
    is_comparable = committed is not None and committed.get("peer", "") == peer
    before = committed["ratio_to_ours"]["peer"] if committed is not None and is_comparable else None
    if before:
        limit = Goal("ours / peer", at_most=round(MAX_REGRESSION / before, 2))
        found.append(GoalResult(limit, figures["ours / peer"], limit.is_met(figures["ours / peer"])))
    return found


def committed_result(name: str) -> dict[str, Any] | None:
    """Return the result that the checkout's last commit has; none for a new benchmark, or where there is no git."""
    shown = subprocess.run(
        ["git", "show", f"HEAD:benchmarks/results/{name}.json"],
        cwd=_ROOT,
        capture_output=True,
        check=False,
    )
    return json.loads(shown.stdout) if shown.returncode == 0 else None
