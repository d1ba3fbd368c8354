"""`python -m benchmarks [NAME…] [--rounds N]`: runs benchmarks, prints a table, writes `benchmarks/results/`."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.harness import BenchmarkError, Result, names, run, write_down


def main() -> int:
    """Run the benchmarks asked for (all by default); 1 if any failed, and the others are run all the same."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", default=names(), metavar="NAME", help=f"one of: {', '.join(names())}")
    parser.add_argument("--rounds", type=int, help="how many interleaved rounds (default: what each asks for)")
    asked = parser.parse_args()
    console, failed = Console(), False
    for name in asked.names:
        try:
            for told in run(name, asked.rounds):
                if isinstance(told, Result):
                    console.print(_table(told))
                    write_down(told)
                else:
                    console.print(told, highlight=False)
        except BenchmarkError as error:
            failed = True
            print(f"benchmarks: {error}", file=sys.stderr)
    return 1 if failed else 0


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
