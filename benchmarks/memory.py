"""Whether what a stage needs of memory grows with what it is given: each at once, four and sixteen times its input.

Where a stage takes files one by one it is given more of them, where it streams one, a longer one; of those that are
given both, four times as many files are four times as long at sixteen times the input. What is measured is the memory
of the process that does it, beyond its imports (`_peaks.py`); what the stages are given is in `_stages.py`. A line may
rise to 1.25 times what the least input needs and `SLACK_MB`: a heap is not given back at once, and rows and reports of
what was done are some kilobytes an item. The figure of a goal is by how much the highest point of its line lies above
that (below, where it is negative).

The contenders compare the longest file alone: its segments, against the usual script that reads it whole.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks import _home
from benchmarks._stages import STAGES
from benchmarks.goals import Goal

WHAT = "memory of each stage at 1, 4 and 16 times its input; against the peer: 16 minutes of mp3 cut into segments"
PEER = "the usual script: soundfile whole, channel mean, soxr whole, peak, soundfile out"
FLOOR = "importing what ours imports"
FIGURE = "peak_rss_mb"
ROUNDS = 1
SCALES = (1, 4, 16)
MAX_GROWTH, SLACK_MB = 1.25, 8.0
GOALS = (Goal("ours / peer", at_most=0.25), *(Goal(f"{stage}: MB above the line", at_most=0) for stage in STAGES))

_SECONDS = 16 * 60
_TRACK, _FOUND = "track.mp3", "peaks.json"


def setup(folder: Path) -> None:
    """Write the long file."""
    from benchmarks.segments import write_track

    write_track(folder / _TRACK, _SECONDS)


def teardown(folder: Path) -> None:
    """End the stages' database."""
    if (folder / "home").exists():
        _home.stop_database(folder)


def ours(folder: Path) -> None:
    """Cut it into segments."""
    from tempfile import TemporaryDirectory

    from modal_app.audio.prepare import segment_local_file

    with TemporaryDirectory(dir=folder) as out:
        assert len(segment_local_file(folder / _TRACK, Path(out)).segments) == _SECONDS // 15


def peer(folder: Path) -> None:
    """Everything in memory at once."""
    from benchmarks.segments import usual_script

    assert usual_script(folder / _TRACK) == _SECONDS // 15


def floor(folder: Path) -> None:
    """Import only."""
    import av
    import numpy as np
    import soxr

    from modal_app.audio.prepare import segment_local_file

    assert all((av, np, soxr, segment_local_file))
    assert (folder / _TRACK).exists()


def score(folder: Path) -> Iterator[str]:
    """Measure each stage; a line for each.

    Raises:
        AssertionError: a stage failed.
    """
    from benchmarks._peaks import peaks

    found = {}
    yield f"memory: {'MB beyond imports, at':36}" + "".join(f"{f'×{scale}':>8}" for scale in SCALES)
    for stage, each in STAGES.items():
        found[stage] = peaks(stage, SCALES, folder)
        yield (
            f"memory: {stage:36}"
            + "".join(f"{megabytes:8.1f}" for megabytes in found[stage].values())
            + (f"   ×1: {each.least}")
        )
    (folder / _FOUND).write_text(json.dumps(found))


def figures(folder: Path) -> dict[str, float]:
    """Return what was measured, and by how much the largest lies above its line."""
    found: dict[str, dict[str, float]] = json.loads((folder / _FOUND).read_bytes())
    written = {f"{stage} ×{scale} MB": each for stage, line in found.items() for scale, each in line.items()}
    return written | {f"{stage}: MB above the line": above_the_line(line) for stage, line in found.items()}


def above_the_line(line: dict[str, float]) -> float:
    """Return how much the largest of a stage's measurements is above what it may be."""
    return round(max(line.values()) - MAX_GROWTH * line[str(SCALES[0])] - SLACK_MB, 1)
