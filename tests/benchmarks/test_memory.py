import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._peaks import peaks
from benchmarks._stages import STAGES
from benchmarks.memory import GOALS, above_the_line

ROOT = Path(__file__).parents[2]
STAGE = "preprocessed_segments, a longer file"


def test_a_stage_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    """By a program that has imported nothing else: what it has, the stage's process imports before it begins."""
    program = "import sys; from pathlib import Path; from benchmarks._peaks import peaks; "
    program += "print(peaks(sys.argv[1], (1,), Path(sys.argv[2]))[1])"
    ran = subprocess.run([sys.executable, "-c", program, STAGE, tmp_path], cwd=ROOT, capture_output=True, check=True)
    assert 1 < float(ran.stdout) < 100  # MB: a decoder's and a resampler's, of a minute that has 10 MB
    assert [path.name for path in tmp_path.iterdir()] == ["modules.json"]


def test_a_stage_that_does_something_else_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="no such stage"):
        peaks("no such stage", (1,), tmp_path)


@pytest.mark.parametrize(("largest", "above"), [(20.0, -3.0), (23.0, 0.0), (30.0, 7.0)])
def test_a_line_may_rise_by_a_quarter_and_the_slack(largest: float, above: float) -> None:
    assert above_the_line({"1": 12.0, "4": 13.0, "16": largest}) == above


def test_each_stage_has_a_goal() -> None:
    assert {goal.figure.partition(":")[0] for goal in GOALS} == {"ours / peer", *STAGES}
