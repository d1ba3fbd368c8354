import pytest

from benchmarks.train_throughput import measure
from modal_app.config import BackendKind


@pytest.mark.parametrize("kind", [BackendKind.ACE_STEP, pytest.param(BackendKind.MUSICGEN, marks=pytest.mark.slow)])
def test_the_loop_is_timed_also_where_there_is_no_gpu(kind: BackendKind) -> None:
    found = measure(kind, "tiny", batch=2, rank=4, warm_up=1, steps=3)
    assert (found.backend, found.size, found.timed_steps) == (kind.value, "tiny", 3)
    assert found.samples_per_second == pytest.approx(2000 / found.step_milliseconds, rel=0.02)
    assert 0 < found.matrix_peak_share < 1
    assert found.teraflop_per_sample > 0
