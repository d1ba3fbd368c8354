"""The table of `docs/benchmarks.md`: a row for each benchmark, by what its module says and what its last result has.

It stands between two marks of the page, and is written by `python -m benchmarks --page docs/benchmarks.md`.
"""

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.goals import Goal
from benchmarks.harness import RESULTS, names

BEGIN, END = "<!-- results: python -m benchmarks --page docs/benchmarks.md -->", "<!-- end of results -->"
_HEADINGS = (
    "name",
    "what is measured",
    "against whom",
    "floor",
    "s: ours, theirs, floor",
    "theirs / ours",
    "peak MB: ours, theirs",
    "goals, and what was measured",
)
_MAX_SHOWN = 4  # goals of one benchmark; of more, those that are met are counted
_NOT_MEASURED = "–"


def write_table(page: Path, results: Path = RESULTS) -> None:
    """Put the table of today's results between the page's marks.

    Raises:
        ValueError: the page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: has no marks for the table; add the lines {BEGIN} and {END}")
    page.write_text(f"{before}{begin}\n{table(results)}\n{end}{after}", encoding="utf-8")


def table(results: Path = RESULTS) -> str:
    """Return the table as Markdown."""
    rows = [_HEADINGS, ("---",) * len(_HEADINGS), *(_row(name, results / f"{name}.json") for name in names())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(name: str, result_path: Path) -> tuple[str, ...]:
    module = importlib.import_module(f"benchmarks.{name}")
    goals: tuple[Goal, ...] = getattr(module, "GOALS", ())
    if not result_path.exists():
        return (f"`{name}`", module.WHAT, module.PEER, module.FLOOR, "not run yet", "", "", _limits(goals))
    result = json.loads(result_path.read_bytes())
    costs, there = result["medians"], _still_stand(module, result)
    if not there:
        said = f"not run since it changed after {result['measured_on']}"
        return (f"`{name}`", module.WHAT, module.PEER, module.FLOOR, said, "", "", _limits(goals))
    unit = "wall" if result["figure"] == "wall_seconds" else "CPU"
    key = "wall_seconds" if result["figure"] == "wall_seconds" else "cpu_seconds"
    seconds = [_short(costs[each][key]) if each in there else _NOT_MEASURED for each in costs]
    megabytes = [f"{costs[each]['peak_rss_mb']:.0f}" if each in there else _NOT_MEASURED for each in ("ours", "peer")]
    return (
        f"`{name}`",
        module.WHAT,
        result["peer"] if "peer" in there else module.PEER,
        module.FLOOR,
        f"{unit} {', '.join(seconds)}",
        f"{result['ratio_to_ours']['peer']:g}" if {"ours", "peer"} <= there else _NOT_MEASURED,
        ", ".join(megabytes),
        "; ".join(_judged(goals, result, there)),
    )


def _limits(goals: tuple[Goal, ...]) -> str:
    first = goals if len(goals) <= _MAX_SHOWN else goals[:1]
    return "; ".join([*map(str, first), *([f"{len(goals) - 1} more"] if first != goals else [])])


def _short(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}"


def _still_stand(module: ModuleType, result: Mapping[str, Any]) -> set[str]:
    """Return the contenders who did then what the module says that they do now."""
    there = {"ours"} if result["what"] == module.WHAT else set()
    if there and result["peer"] in getattr(module, "PEERS", (module.PEER,)):
        there.add("peer")
    return there | ({"floor"} if there and result["floor"] == module.FLOOR else set())


def _judged(goals: tuple[Goal, ...], result: Mapping[str, Any], there: set[str]) -> Iterator[str]:
    figures = _figures(result, there)
    said = []
    for goal in goals:
        is_asked = goal.against is None or goal.against == result["peer"]
        measured = figures.get(goal.figure) if is_asked else None
        if measured is None:
            said.append((True, f"{goal}: {_NOT_MEASURED}"))
        else:
            is_met = goal.is_met(measured)
            said.append((is_met, f"{goal}: {measured:.3g} {'✓' if is_met else '✗'}"))
    if len(said) > _MAX_SHOWN:
        yield f"{sum(line.endswith('✓') for _, line in said)} of {len(said)} are met"
        said = [each for each in said if not each[0]]
    yield from (line for _, line in said)


def _figures(result: Mapping[str, Any], there: set[str]) -> dict[str, float]:
    """Return what goals may name: what was measured of those who did then what they do now."""
    costs, figure = result["medians"], result["figure"]
    found = {
        f"ours / {other}": costs["ours"][figure] / max(costs[other][figure], 1e-9)
        for other in ("peer", "floor")
        if other in there
    }
    return found | {"peak MB": costs["ours"]["peak_rss_mb"]} | result.get("figures", {})
