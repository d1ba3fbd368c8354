import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import segments
from benchmarks.page import BEGIN, END, table, write_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def _result(**changes: Any) -> dict[str, Any]:
    cost = {"wall_seconds": 3.0, "cpu_seconds": 2.0, "peak_rss_mb": 80.0}
    return {
        "name": "segments",
        "what": segments.WHAT,
        "peer": segments.PEER,
        "floor": segments.FLOOR,
        "figure": "cpu_seconds",
        "medians": {"ours": cost, "peer": cost | {"cpu_seconds": 3.0}, "floor": cost | {"cpu_seconds": 1.0}},
        "measured_on": "2026-01-01",
        "ratio_to_ours": {"peer": 1.5, "floor": 0.5},
    } | changes


def _row(folder: Path, **changes: Any) -> list[str]:
    (folder / "segments.json").write_text(json.dumps(_result(**changes)))
    [row] = [line for line in table(folder).splitlines() if line.startswith("| `segments`")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_page_has_the_table_of_the_results() -> None:
    shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == table(), f"write it anew: {BEGIN.strip('<!- >')}"


def test_a_row_has_what_was_measured_and_whether_it_is_enough(tmp_path: Path) -> None:
    *_, seconds, ratio, megabytes, goals = _row(tmp_path)
    assert (seconds, ratio, megabytes, goals) == ("CPU 2.0, 3.0, 1.0", "1.5", "80, 80", "ours / floor ≤ 1.7: 2 ✗")


def test_what_was_measured_against_something_else_is_not_judged(tmp_path: Path) -> None:
    *_, seconds, _, _, goals = _row(tmp_path, floor="another floor")
    assert (seconds, goals) == ("CPU 2.0, 3.0, –", "ours / floor ≤ 1.7: –")


def test_a_benchmark_that_changed_or_was_not_run_has_no_figures(tmp_path: Path) -> None:
    assert _row(tmp_path, what="less than now")[4:] == [
        "not run since it changed after 2026-01-01",
        "",
        "",
        "ours / floor ≤ 1.7",
    ]
    assert "| `zip` |" in table(tmp_path)
    assert "not run yet" in table(tmp_path)


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n")
    with pytest.raises(ValueError, match="has no marks"):
        write_table(page)
    assert page.read_text() == "# A page\n"
