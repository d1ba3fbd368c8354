"""`python -m benchmarks [NAME…] [--rounds N]`: runs benchmarks, prints tables, writes `benchmarks/results/`.

`--picture FILE.png` draws what the results say, `--page FILE.md` writes their table into a page; both run nothing.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.goals import GoalResult, committed_result, judge
from benchmarks.harness import BenchmarkError, Result, names, run, write_down


def main() -> int:
    """Run the benchmarks asked for (all by default); 1 if any failed, and the others are run all the same.

    A goal that is not met is shown as ✗ and is no failure: whether a machine was quiet is a person's to say.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", default=names(), metavar="NAME", help=f"one of: {', '.join(names())}")
    parser.add_argument("--rounds", type=int, help="how many interleaved rounds (default: what each asks for)")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the results that are there; run nothing")
    parser.add_argument(
        "--page", type=Path, metavar="FILE.md", help="write their table between a page's marks; run nothing"
    )
    asked = parser.parse_args()
    if asked.picture is not None or asked.page is not None:
        if asked.picture is not None:
            from benchmarks.picture import draw

            draw(asked.picture)
        if asked.page is not None:
            from benchmarks.page import write_table

            write_table(asked.page)
        return 0
    console, failed = Console(), False
    judged: dict[str, list[GoalResult]] = {}
    for name in asked.names:
        try:
            for said in run(name, asked.rounds):
                if isinstance(said, Result):
                    console.print(_table(said))
                    judged[name] = judge(said.goals, said.all_figures(), committed_result(name), said.peer)
                    write_down(said)
                else:
                    console.print(said, highlight=False)
        except BenchmarkError as error:
            failed = True
            print(f"benchmarks: {error}", file=sys.stderr)
    if any(judged.values()):  # some have no goals
        console.print(goals_table(judged))
    return 1 if failed else 0


def goals_table(judged: dict[str, list[GoalResult]]) -> Table:
    """Return a line for each goal: what was to be kept, what was measured, ✓ or ✗."""
    table = Table(title="goals", caption="the last of each: within 15 % of the committed ratio, where there is one")
    for heading in ("benchmark", "goal"):
        table.add_column(heading)
    table.add_column("measured", justify="right")
    table.add_column("")
    for name, results in judged.items():
        for number, each in enumerate(results):
            mark = "[green]✓[/green]" if each.is_met else "[red]✗[/red]"
            table.add_row("" if number else name, str(each.goal), f"{each.measured:g}", mark)
    return table


def _table(result: Result) -> Table:
    caption = f"medians of {result.rounds} interleaved rounds"
    table = Table(title=f"{result.name}: {result.what}", caption=caption)
    table.add_column("")
    for heading in ("CPU s", "wall s", "peak RSS MB", f"{result.figure.split('_')[0]} / ours"):
        table.add_column(heading, justify="right")
    for contender, label in (("ours", "ours"), ("peer", result.peer), ("floor", f"floor: {result.floor}")):
        cost = result.medians[contender]
        ratio = "1" if contender == "ours" else f"{result.ratio(contender):.2f}"
        table.add_row(label, f"{cost.cpu_seconds:.2f}", f"{cost.wall_seconds:.2f}", f"{cost.peak_rss_mb:.0f}", ratio)
    return table


if __name__ == "__main__":
    sys.exit(main())
