"""A batch of good files with one of each kind that is refused, and jobs that are stopped before their training."""

from pathlib import Path

import pytest

from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.producer.train_producer import Plan, run_id_of, train_producer
from modal_app.protocol.base import Event
from modal_app.protocol.producer import ProducerFile, ProducerTrainRequest
from modal_app.protocol.training import AskedTraining
from tests.modal_app.audio.odd_files import RATE, chirps, unreadable, wav

GOOD = {f"good{number}.wav": wav(chirps(RATE + number) * 0.9) for number in range(10)}
BAD = {f"{name}.wav": found for name, found in unreadable().items()}


class ReadyToTrainError(BaseException):
    """Stands for SIGKILL where the training would begin."""


def mixed() -> dict[str, bytes]:
    """The good files with a bad one before, between and behind them."""
    bad = {name: data for name, (data, _) in BAD.items()}
    return dict(sorted((GOOD | bad).items(), key=lambda file: file[0][::-1]))


def upload(root: DataRoot, files: dict[str, bytes]) -> list[str]:
    """Put files among the producer's uploads; their paths below the data root."""
    folder = root.uploads("producer_123") / "job_abc"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [f"uploads/producer_123/job_abc/{name}" for name in files]


def request(paths: list[str], **changes: object) -> ProducerTrainRequest:
    """A training on uploads."""
    plain = ProducerTrainRequest(
        job_id="job_abc",
        producer_id="producer_123",
        model_name="nawfside_lora",
        backend=BackendKind.ACE_STEP,
        base="tiny",
        parameters=AskedTraining(steps=2, batch_size=1, learning_rate=1e-3, rank=2, alpha=4, seed=0),
        files=[ProducerFile(path=path) for path in paths],
    )
    return plain.model_copy(update=changes)


def until_the_training(root: DataRoot, asked: ProducerTrainRequest) -> tuple[Plan, list[Event]]:
    """Run a job as far as that: what was decided, and its events."""
    events: list[Event] = []

    def stop(*_: object) -> None:
        raise ReadyToTrainError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modal_app.producer.train_producer.train", stop)
        with pytest.raises(ReadyToTrainError):
            train_producer(asked, root, events.append)
    plan = root.producer_job(run_id_of(asked.producer_id, asked.job_id)) / "plan.json"
    return Plan.model_validate_json(plan.read_bytes()), events


def all_below(folder: Path) -> dict[str, bytes | None]:
    """Files with their bytes, and folders."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
