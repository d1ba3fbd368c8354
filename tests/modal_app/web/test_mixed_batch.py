"""`/train` over HTTP on uploads of which some can't be used: one line for each of these, the others as if alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modal_app.data_root.layout import DataRoot
from modal_app.producer.train_producer import Plan
from modal_app.producer.uploads import public_path
from modal_app.protocol.base import Event, JobRequest
from modal_app.protocol.producer import ProducerTrainRequest
from resources.compute.base import CallRecord
from resources.compute.local import LocalCompute
from resources.job_queue.local import LocalJobQueue
from tests.modal_app.producer.mixed_batch import BAD, GOOD, all_below, mixed, until_the_training, upload
from tests.modal_app.web.conftest import client_of, train_result


class UntrainedCompute(LocalCompute):
    """Does all of a training's job but the training, which would take nearly all of its time."""

    plan: Plan

    def run(
        self,
        request: JobRequest[Any],
        on_event: Callable[[Event], None],
        record: CallRecord | None = None,
    ) -> Any:
        del on_event, record
        assert isinstance(request, ProducerTrainRequest)
        self.plan, _ = until_the_training(DataRoot(self._root), request)
        training = self.plan.training
        told = {"failed": self.plan.failed, "run_id": training.run_id, "segments": len(training.examples)}
        return train_result(request).model_copy(update=told)


def _trained(root: DataRoot, files: dict[str, bytes]) -> tuple[dict[str, Any], Plan]:
    compute = UntrainedCompute(root.root)
    job_queue = LocalJobQueue(compute, root.root.parent / f"jobs of {root.root.name}", data_root=root.root)
    paths = [public_path(path) for path in upload(root, files)]
    body = {"producer_id": "producer_123", "upload_paths": paths, "model_name": "mixed", "job_id": "mixed"}
    with client_of(job_queue) as client:
        answer = client.post("/train", json=body)
    job_queue.close()
    assert answer.status_code == 200, answer.text
    return answer.json(), compute.plan


def test_train_skips_unusable_files_as_if_they_were_not_there(tmp_path: Path) -> None:
    files = mixed()
    alone, beside = DataRoot(tmp_path / "alone"), DataRoot(tmp_path / "beside")
    right, plan = _trained(alone, {name: files[name] for name in files if name in GOOD})
    answer, of_all = _trained(beside, files)
    assert "failed" not in right
    failed = answer.pop("failed")
    assert answer == right
    assert sorted(line.partition(":")[0] for line in failed) == sorted(BAD)
    assert all(BAD[line.partition(":")[0]][1] in line and line.isprintable() for line in failed)
    assert of_all.training == plan.training
    view = "producer_123.mixed"
    assert all_below(beside.training_data(view)) == all_below(alone.training_data(view)) != {}
