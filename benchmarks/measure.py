"""The fresh process of one measurement: calls one function of one benchmark and prints what it cost, as JSON.

`python -m benchmarks.measure NAME CONTENDER FOLDER`; started by `benchmarks/harness.py` only.
"""

import importlib
import json
import resource
import sys
import time
from pathlib import Path


def main(name: str, contender: str, folder: Path) -> None:
    """Call `contender` of benchmark `name` on `folder`; print wall and CPU seconds and the peak RSS in MB."""
    function = getattr(importlib.import_module(f"benchmarks.{name}"), contender)
    cpu, wall = _cpu_seconds(), time.perf_counter()
    function(folder)
    cost = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": _cpu_seconds() - cpu}
    print(json.dumps(cost | {"peak_rss_mb": _peak_rss_mb()}))


def _cpu_seconds() -> float:
    """User and system time of this process and of the children it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def _peak_rss_mb() -> float:
    """The largest of this process and its children (not their sum).

    Of this process by the kernel's own mark: `ru_maxrss` would begin with what the parent had at the fork.
    """
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return max(int(line.split()[1]), children) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, children) / unit


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
