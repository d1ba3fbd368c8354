"""Measured claims: one small file each, run by `python -m benchmarks [names…]` (`make bench`).

A benchmark is a module of this package (its name is the benchmark's) with

    WHAT: str      what is measured, in one line
    PEER: str      against whom, or what the same work costs otherwise
    PEERS: tuple[str, …]   (optional) every peer there may be, where that is a matter of what is installed
    FLOOR: str     what can't be avoided: below it nobody gets
    ROUNDS: int    (optional, 5) how many interleaved rounds
    GOALS: tuple[Goal, …]   (optional) limits of its figures, each printed with ✓ or ✗ (`benchmarks/goals.py`)
    FIGURE: str    (optional, "cpu_seconds") what the ratios are of; "wall_seconds" where waiting is the point,
                   "peak_rss_mb" where memory is

    def setup(folder: Path) -> None    (optional) makes the input in the empty `folder`, once, unmeasured
    def score(folder: Path) -> Iterator[str]   (optional) lines about how good the answers are, printed at the end
    def figures(folder: Path) -> dict[str, float]   (optional) what else is written down, by name and unit
    def teardown(folder: Path) -> None (optional) ends what `setup` left running
    def ours(folder: Path) -> None     each call is one measurement, in a fresh process, and counts all that
    def peer(folder: Path) -> None     is imported inside the function (imports at the top of the module
    def floor(folder: Path) -> None    are not counted, as little as the interpreter's start)

What several benchmarks share is a module whose name begins with `_`. A call raises if its answer is wrong: a fast wrong
answer must not be written down as a result.
"""
