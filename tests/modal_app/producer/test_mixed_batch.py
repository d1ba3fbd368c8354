"""A producer's batch with files that can't be used: the others come out as they would without them."""

from pathlib import Path

import pytest

from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.producer.train_producer import run_id_of
from tests.modal_app.producer.mixed_batch import BAD, GOOD, all_below, mixed, request, until_the_training, upload


@pytest.mark.parametrize("backend", [BackendKind.ACE_STEP, BackendKind.MUSICGEN])
def test_bad_files_change_nothing_of_what_is_trained_on(tmp_path: Path, backend: BackendKind) -> None:
    alone, beside = DataRoot(tmp_path / "alone"), DataRoot(tmp_path / "beside")
    files = mixed()
    good = upload(alone, {name: files[name] for name in files if name in GOOD})
    right, _ = until_the_training(alone, request(good, backend=backend))
    paths = upload(beside, files)
    missing = "uploads/producer_123/job_abc/missing.wav"
    plan, events = until_the_training(beside, request([*paths[:5], missing, *paths[5:]], backend=backend))

    assert plan.training == right.training
    view = "producer_123.job_abc"
    assert all_below(beside.training_data(view)) == all_below(alone.training_data(view)) != {}
    assert all_below(beside.root / "cache") == all_below(alone.root / "cache") != {}
    assert right.failed == []
    assert len(plan.failed) == len(BAD) + 1
    for name, reason in [*((name, reason) for name, (_, reason) in BAD.items()), ("'missing.wav'", "no such upload")]:
        (line,) = [line for line in plan.failed if line.startswith(f"{name}: ")]
        assert reason in line
        assert line.isprintable()
        assert [event.level for event in events if event.message == f"left out: {line}"] == ["warning"]
    assert all_below(beside.scratch()) == {}
    job = beside.producer_job(run_id_of("producer_123", "job_abc"))
    assert [path.name for path in job.iterdir()] == ["plan.json"]
