"""The most memory of its own that a stage needs: measured in a fresh process, beyond what it has after its imports.

What a stage imports inside its functions is imported before, as a run of it found that to be; then the kernel's mark of
the largest resident set is set back. What is read through a mapped file counts as well, though it could be given up.

`python -m benchmarks._peaks STAGE SCALE FOLDER MODULES` is the fresh process.
"""

import contextlib
import importlib
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks._stages import STAGES


def peaks(stage: str, scales: Iterable[int], folder: Path) -> dict[int, float]:
    """Return what a stage needs at each scale, in MB. Its input is made, and it is run once at ×1, in this process.

    Raises:
        AssertionError: the stage failed, or did something else than it was to do.
    """
    place, modules = folder / "input", folder / "modules.json"
    _make(stage, 1, place)
    logging.disable()  # what is made up is no music, and is reported
    try:
        STAGES[stage].run(place, 1)
    finally:
        logging.disable(logging.NOTSET)
    modules.write_text(json.dumps(sorted(sys.modules)))
    found = {}
    for scale in scales:
        _make(stage, scale, place)
        found[scale] = _measured(stage, scale, place, modules)
    shutil.rmtree(place)
    return found


def _make(stage: str, scale: int, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    STAGES[stage].make(place, scale)


def _measured(stage: str, scale: int, place: Path, modules: Path) -> float:
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks._peaks", stage, str(scale), str(place), str(modules)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, f"{stage}, ×{scale}: {(child.stderr.strip() or 'it failed').splitlines()[-1]}"
    return float(child.stdout.splitlines()[-1])


def main(stage: str, scale: int, place: Path, modules: Path) -> None:
    """Run the stage on the input that is there; print what it needed, in MB."""
    for name in json.loads(modules.read_text()):
        with contextlib.suppress(Exception):  # some are made by others, and can't be imported by name
            importlib.import_module(name)
    Path("/proc/self/clear_refs").write_text("5")  # the largest resident set is now the present one
    before = _kilobytes("VmRSS")
    STAGES[stage].run(place, scale)
    print(round((_kilobytes("VmHWM") - before) / 1024, 1))


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith(f"{name}:")).split()[1])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
