"""A server that is killed, with all below it, at any moment of a training: the next one ends what it began."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modal_app.adapters.publish import resolve_lora
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.producer import ProducerFile, ProducerTrainRequest, ProducerTrainResult
from resources.compute.local import LocalCompute
from resources.job_queue.local import LocalJobQueue
from tests.modal_app.producer.conftest import song
from tests.modal_app.web.conftest import PARAMETERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
KILLS = 5
KEY = "train_producer/producer_123/job_abc"
REQUEST = ProducerTrainRequest(
    job_id="job_abc",
    producer_id="producer_123",
    model_name="nawfside_lora",
    backend=BackendKind.ACE_STEP,
    base="tiny",
    parameters=PARAMETERS.model_copy(update={"steps": 30}),
    files=[ProducerFile(path="uploads/producer_123/job_abc/beat.wav")],
    tagger="offline",
)
CHILD = """
import sys
from pathlib import Path
from tests.modal_app.web.test_killed import KEY, REQUEST, job_queue_of

job_queue = job_queue_of(Path(sys.argv[1]))
job_queue.submit(KEY, REQUEST)
job_queue.wait(KEY, 600)
"""


def job_queue_of(folder: Path) -> LocalJobQueue:
    root = DataRoot(folder / "data")
    upload = root.uploads("producer_123") / "job_abc" / "beat.wav"
    if not upload.is_file():
        upload.parent.mkdir(parents=True)
        upload.write_bytes(song(110.0, 32.0))
    return LocalJobQueue(LocalCompute(root.root), folder / "jobs")


def trained(folder: Path) -> ProducerTrainResult:
    job_queue = job_queue_of(folder)
    job_queue.submit(KEY, REQUEST)
    result = job_queue.wait(KEY, 500).result
    job_queue.close()
    assert isinstance(result, ProducerTrainResult)
    return result


def test_server_kills_do_not_change_the_trained_adapter(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - not for secrets
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    (tmp_path / "killed").mkdir()
    started = time.monotonic()
    whole = trained(tmp_path / "whole")
    span = time.monotonic() - started

    for _ in range(KILLS):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "killed")], env=environment, cwd=tmp_path)
        time.sleep(chance.uniform(0.3, 1.2) * span)
        child.send_signal(signal.SIGKILL)
        child.wait()
    result = trained(tmp_path / "killed")

    root = DataRoot(tmp_path / "killed" / "data")
    weights = {path: digest for path, digest in whole.files.items() if path.endswith(".safetensors")}
    assert weights.items() <= result.files.items()
    assert resolve_lora(root, "producer_123:nawfside_lora").card.run_id == result.run_id
    assert [path.name for path in (root.root / "runs").iterdir()] == [result.run_id]
    assert [path.name for path in (root.root / "training_data").glob("[!.]*")] == ["producer_123.job_abc"]
    assert len(list((root.training_data("producer_123.job_abc") / "audio").iterdir())) == 2
