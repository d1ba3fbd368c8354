"""Runs one benchmark: fresh processes, interleaved rounds, medians, and the record of what came out.

How a benchmark is written is told in `benchmarks/__init__.py`; what is asked on the command line is in
`benchmarks/__main__.py`.
"""

import importlib
import json
import os
import pkgutil
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import benchmarks
from benchmarks.goals import Goal

RESULTS = Path(__file__).parent / "results"
CONTENDERS = ("ours", "peer", "floor")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*: \S")
_MACHINERY = {"goals", "harness", "measure", "page", "picture", "train_throughput", "__main__"}


@dataclass(frozen=True)
class Measurement:
    """One call in one fresh process."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_mb: float


@dataclass(frozen=True)
class Result:
    """The medians of one benchmark, and what they were taken on."""

    name: str
    what: str
    peer: str
    floor: str
    rounds: int
    figure: str
    medians: dict[str, Measurement]
    machine: dict[str, str | int]
    measured_on: str
    figures: dict[str, float] = field(default_factory=dict)
    goals: tuple[Goal, ...] = ()

    def ratio(self, other: str) -> float:
        """How many times as much of the benchmark's figure the `other` contender needs as ours."""
        ours = getattr(self.medians["ours"], self.figure)
        return float(getattr(self.medians[other], self.figure)) / max(ours, 1e-9)

    def all_figures(self) -> dict[str, float]:
        """Return every figure that a goal may name: those of each result, and the benchmark's own."""
        own = {f"ours / {other}": round(1 / max(self.ratio(other), 1e-9), 3) for other in ("peer", "floor")}
        return own | {"peak MB": self.medians["ours"].peak_rss_mb} | self.figures


class BenchmarkError(Exception):
    """A benchmark that is not there, or a contender that failed or gave a wrong answer."""


def names() -> list[str]:
    """Every benchmark there is."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if name not in _MACHINERY and not name.startswith("_"))


def run(name: str, rounds: int | None = None) -> Iterator[str | Result]:
    """Run one benchmark; yields a line of progress after each round and the result at the end.

    Rounds are interleaved (ours, peer, floor, ours, peer, …), so that a machine that is busy for a while is busy
    for all of them.

    Raises:
        BenchmarkError: there is no such benchmark, or a contender failed; the message has its last words.
    """
    if name not in names():
        raise BenchmarkError(f"{name}: no such benchmark; there are {', '.join(names())}")
    module = importlib.import_module(f"benchmarks.{name}")
    rounds = rounds or getattr(module, "ROUNDS", 5)
    figure = getattr(module, "FIGURE", "cpu_seconds")
    figures: dict[str, float] = {}
    taken: dict[str, list[Measurement]] = {contender: [] for contender in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", ignore_cleanup_errors=True) as folder:
        try:
            if hasattr(module, "setup"):
                measure(name, "setup", Path(folder))
            for number in range(1, rounds + 1):
                for contender in CONTENDERS:
                    taken[contender].append(measure(name, contender, Path(folder)))
                latest = ", ".join(
                    f"{contender} {getattr(taken[contender][-1], figure):.2f}" for contender in CONTENDERS
                )
                yield f"{name}: round {number} of {rounds}: {figure.replace('_', ' ')}: {latest}"
            if hasattr(module, "score"):
                yield from _scored(name, module, Path(folder))
            figures = module.figures(Path(folder)) if hasattr(module, "figures") else {}
        except BaseException:  # Ctrl-C too: servers that `setup` started would go on
            with suppress(BenchmarkError):  # what went wrong first is what counts
                _tear_down(name, Path(folder))
            raise
        _tear_down(name, Path(folder))
    yield Result(
        name=name,
        what=module.WHAT,
        peer=module.PEER,
        floor=module.FLOOR,
        rounds=rounds,
        figure=figure,
        medians={contender: _medians(measurements) for contender, measurements in taken.items()},
        machine={"cpus": os.cpu_count() or 0, "architecture": platform.machine(), "python": platform.python_version()},
        measured_on=datetime.now(UTC).date().isoformat(),
        figures=figures,
        goals=getattr(module, "GOALS", ()),
    )


def _scored(name: str, module: ModuleType, folder: Path) -> Iterator[str]:
    try:
        yield from module.score(folder)
    except AssertionError as error:
        raise BenchmarkError(f"{name}: its score is not what it has to be {error}".rstrip()) from None


def _tear_down(name: str, folder: Path) -> None:
    if hasattr(importlib.import_module(f"benchmarks.{name}"), "teardown"):
        measure(name, "teardown", folder)


def write_down(result: Result, folder: Path = RESULTS) -> Path:
    """Write the result as `<name>.json`, ratios (peer's and floor's figure over ours) included."""
    record = asdict(result)
    del record["goals"]  # the module's, and the newest are what counts
    record["ratio_to_ours"] = {other: round(result.ratio(other), 2) for other in ("peer", "floor")}
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{result.name}.json"
    fresh = target.with_suffix(".part")
    fresh.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(target)
    return target


def measure(name: str, contender: str, folder: Path) -> Measurement:
    """Return what one call of a contender costs, in a fresh process."""
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", name, contender, str(folder)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        lines = (child.stderr.strip() or child.stdout.strip() or f"exit status {child.returncode}").splitlines()
        named = [line for line in lines if _EXCEPTION.match(line)]  # a database's error goes on below its first line
        raise BenchmarkError(f"{name}, {contender}: {(named or lines)[-1]}")
    return Measurement(**json.loads(child.stdout.splitlines()[-1]))


def _medians(measurements: list[Measurement]) -> Measurement:
    return Measurement(
        wall_seconds=round(statistics.median(m.wall_seconds for m in measurements), 4),
        cpu_seconds=round(statistics.median(m.cpu_seconds for m in measurements), 4),
        peak_rss_mb=round(statistics.median(m.peak_rss_mb for m in measurements), 1),
    )
