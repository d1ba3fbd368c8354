"""The desk: one job for one key, whoever asks and however often; records that outlive the process."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from modal_app.config import BackendKind
from modal_app.errors import (
    ConflictError,
    FileTakenError,
    JobCancelledError,
    JobError,
    QueueFullError,
    RefusedJobError,
    ReplayedJobError,
    UnknownJobError,
    UnreachableError,
)
from modal_app.protocol.base import JobRequest
from modal_app.protocol.producer import ProducerFile, ProducerTrainRequest, ProducerTrainResult
from modal_app.protocol.training import GenerateRequest, GenerateResult
from modal_app.web.job_queue import JobQueue
from resources.compute.local import LocalCompute
from resources.job_queue.local import LocalJobQueue
from tests.modal_app.web.conftest import OPTIONS, PARAMETERS, SlowCompute, client_of, train_result
from tests.waiting import until

KEY = "train_producer/p/j"
TRAIN = {"producer_id": "p", "upload_paths": ["/data/uploads/p/j/a.wav"], "job_id": "j"}


def request(job_id: str = "j", **changes: object) -> ProducerTrainRequest:
    plain = ProducerTrainRequest(
        job_id=job_id,
        producer_id="p",
        model_name="m",
        backend=BackendKind.ACE_STEP,
        base="tiny",
        parameters=PARAMETERS,
        files=[ProducerFile(path="uploads/p/j/a.wav")],
    )
    return plain.model_copy(update=changes)


@pytest.fixture
def compute(tmp_path: Path) -> SlowCompute:
    return SlowCompute(tmp_path / "data", train_result)


@pytest.fixture
def job_queue(compute: SlowCompute, tmp_path: Path) -> Iterator[LocalJobQueue]:
    job_queue = LocalJobQueue(compute, tmp_path / "jobs", most_waiting=3)
    yield job_queue
    job_queue.close()


def test_a_job_is_handed_in_waited_for_and_kept(job_queue: LocalJobQueue, compute: SlowCompute) -> None:
    call = job_queue.submit(KEY, request())
    assert call.status in ("queued", "running")
    until(lambda: job_queue.wait(KEY, 0).status == "running")
    compute.go.set()

    done = job_queue.wait(KEY, 60)

    assert (done.call_id, done.status, done.result) == (call.call_id, "done", train_result(request()))
    assert job_queue.submit(KEY, request()) == done
    assert compute.started == 1


def test_one_job_id_from_eight_clients_at_once_is_one_job(job_queue: LocalJobQueue, compute: SlowCompute) -> None:
    start = threading.Barrier(8)

    def ask(client: httpx.Client) -> httpx.Response:
        start.wait()
        return client.post("/train", json=TRAIN)

    with client_of(job_queue) as client, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, client) for _ in range(8)]
        until(lambda: compute.started > 0)
        compute.go.set()
        answers = [job.result() for job in asked]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert compute.started == 1


def test_two_job_queues_on_one_folder_run_a_job_once(
    job_queue: LocalJobQueue, compute: SlowCompute, tmp_path: Path
) -> None:
    second = LocalJobQueue(compute, tmp_path / "jobs")
    job_queue.submit(KEY, request())
    until(lambda: compute.started == 1)

    assert second.submit(KEY, request()).status == "running"
    compute.go.set()

    assert second.wait(KEY, 60).result == job_queue.wait(KEY, 60).result == train_result(request())
    assert compute.started == 1


def test_a_job_that_outlasts_the_wait_is_asked_for_again(job_queue: LocalJobQueue, compute: SlowCompute) -> None:
    options = OPTIONS.__class__(training=PARAMETERS, wait_seconds=0.05)
    with client_of(job_queue, options) as client:
        first = client.post("/train", json=TRAIN)
        assert first.status_code == 202
        assert first.json()["job_id"] == "j"
        assert sorted(first.json()) == ["call_id", "job_id", "status"]
        assert first.headers["retry-after"] == "2"
        again, looked = client.post("/train", json=TRAIN), client.get(first.headers["location"])
        assert (again.status_code, looked.status_code) == (202, 202)
        assert again.json()["call_id"] == looked.json()["call_id"] == first.json()["call_id"]
        compute.go.set()
        job_queue.wait(KEY, 60)
        assert client.post("/train", json=TRAIN).json() == client.get(first.headers["location"]).json()
        assert client.get(first.headers["location"]).json()["lora_path"] == "/data/loras/p_m.safetensors"
    assert compute.started == 1


def test_without_a_job_id_one_is_made_up(job_queue: LocalJobQueue, compute: SlowCompute) -> None:
    compute.go.set()
    body = {name: value for name, value in TRAIN.items() if name != "job_id"}
    with client_of(job_queue) as client:
        made_up = client.post("/train", json=body).json()["job_id"]
        asked = {"job_id": made_up, "producer_id": "p"}
        assert client.get("/train", params=asked).json()["job_id"] == made_up


def test_who_waits_holds_no_thread_of_the_others(job_queue: LocalJobQueue, compute: SlowCompute) -> None:
    with client_of(job_queue) as client, ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(client.post, "/train", json=TRAIN) for _ in range(40)]
        until(lambda: compute.started == 1)
        assert client.get("/train", params={"job_id": "x", "producer_id": "p"}).status_code == 404
        compute.go.set()
        assert {answer.result().status_code for answer in waiting} == {200}


def test_no_more_than_so_many_jobs_wait(job_queue: LocalJobQueue, compute: SlowCompute) -> None:
    job_queue.submit("train_producer/p/0", request("0"))
    until(lambda: compute.started == 1)
    for number in range(1, 4):
        job_queue.submit(f"train_producer/p/{number}", request(str(number)))

    with pytest.raises(QueueFullError):
        job_queue.submit("train_producer/p/4", request("4"))
    with client_of(job_queue) as client:
        refused = client.post("/train", json=TRAIN)
        assert (refused.status_code, list(refused.json())) == (503, ["error"])
        assert int(refused.headers["retry-after"]) > 0
    with pytest.raises(UnknownJobError):
        job_queue.wait("train_producer/p/4", 0)
    compute.go.set()
    assert all(job_queue.wait(f"train_producer/p/{number}", 60).status == "done" for number in range(4))
    assert job_queue.submit("train_producer/p/4", request("4")).status != "done"


def test_records_are_for_nobody_else_to_read(job_queue: LocalJobQueue, tmp_path: Path) -> None:
    job_queue.submit(KEY, request())

    assert (tmp_path / "jobs").stat().st_mode & 0o077 == 0


def test_a_key_belongs_to_its_first_request(job_queue: LocalJobQueue) -> None:
    job_queue.submit(KEY, request())

    with pytest.raises(ReplayedJobError, match="another job_id"):
        job_queue.submit(KEY, request(model_name="other"))


@pytest.mark.parametrize(
    ("error", "told", "line"),
    [
        (JobError("it broke"), JobError, "it broke"),
        (RefusedJobError("it can't be"), RefusedJobError, "it can't be"),
        (ConflictError("it is there"), ConflictError, "it is there"),
        (RuntimeError("s3cret"), JobError, "the job failed (RuntimeError); the server's log says how"),
    ],
)
def test_a_job_that_failed_stays_failed(tmp_path: Path, error: Exception, told: type[Exception], line: str) -> None:
    def fail(_: JobRequest[Any]) -> ProducerTrainResult:
        raise error

    compute = SlowCompute(tmp_path / "data", fail)
    compute.go.set()
    job_queue = LocalJobQueue(compute, tmp_path / "jobs", data_root=tmp_path / "data")

    for ask in (
        lambda: job_queue.submit(KEY, request()) and job_queue.wait(KEY, 60),
        lambda: job_queue.submit(KEY, request()),
    ):
        with pytest.raises(told) as caught:
            ask()
        assert str(caught.value) == line
    assert compute.started == 1
    job_queue.close()


def test_clients_are_not_told_where_the_data_root_lies(tmp_path: Path) -> None:
    def fail(_: JobRequest[Any]) -> ProducerTrainResult:
        raise JobError(f"{tmp_path / 'data'}/loras/x.safetensors: is damaged")

    compute = SlowCompute(tmp_path / "data", fail)
    compute.go.set()
    job_queue = LocalJobQueue(compute, tmp_path / "jobs", data_root=tmp_path / "data")

    with client_of(job_queue) as client:
        answer = client.post("/train", json=TRAIN)
    assert (answer.status_code, answer.json()) == (500, {"error": "/data/loras/x.safetensors: is damaged"})
    job_queue.close()


@pytest.mark.parametrize("why", [JobCancelledError("told to stop"), UnreachableError("no answer from its machine")])
def test_an_interrupted_job_starts_again_when_asked_for(tmp_path: Path, why: Exception) -> None:
    interrupted = threading.Event()

    def once(asked: JobRequest[Any]) -> ProducerTrainResult:
        if not interrupted.is_set():
            interrupted.set()
            raise why
        return train_result(asked)

    compute = SlowCompute(tmp_path / "data", once)
    compute.go.set()
    job_queue = LocalJobQueue(compute, tmp_path / "jobs")

    job_queue.submit(KEY, request())

    assert job_queue.wait(KEY, 60).result == train_result(request())
    assert compute.started == 2
    job_queue.close()


def test_a_job_stopped_by_a_closing_queue_is_taken_up_again(
    job_queue: LocalJobQueue, compute: SlowCompute, tmp_path: Path
) -> None:
    job_queue.submit(KEY, request())
    until(lambda: compute.started == 1)
    job_queue.close()
    with pytest.raises(QueueFullError):
        job_queue.wait(KEY, 0)
    compute.go.set()
    later = LocalJobQueue(compute, tmp_path / "jobs")

    assert later.wait(KEY, 60).result == train_result(request())
    assert compute.started == 2
    later.close()


CHILD = """
import sys
from pathlib import Path
from tests.modal_app.web.test_job_queue import KEY, LocalJobQueue, SlowCompute, request, train_result

folder = Path(sys.argv[1])
compute = SlowCompute(folder / "data", train_result)
jobs = LocalJobQueue(compute, folder / "jobs")
jobs.submit(KEY, request())
while compute.started == 0:
    jobs.wait(KEY, 0.05)
print("at it", flush=True)
jobs.wait(KEY, 600)
"""


def test_a_job_of_a_process_that_was_killed_starts_again(tmp_path: Path, compute: SlowCompute) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, env=environment, cwd=tmp_path
    )
    job_queue = LocalJobQueue(compute, tmp_path / "jobs")
    try:
        assert child.stdout
        assert child.stdout.readline() == b"at it\n"
        assert job_queue.wait(KEY, 0).status == "running"
        assert compute.started == 0
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout and child.stdout.close()
    compute.go.set()

    assert job_queue.wait(KEY, 60).result == train_result(request())
    assert compute.started == 1
    job_queue.close()


def rendered(asked: JobRequest[Any]) -> GenerateResult:
    assert isinstance(asked, GenerateRequest)
    path = f"outputs/{asked.job_id}.wav"
    return GenerateResult(path=path, sample_rate=48_000, samples=1, peak_dbfs=None, lora=None)


def test_what_ended_long_ago_is_dropped(tmp_path: Path) -> None:
    compute = SlowCompute(tmp_path / "data", rendered)
    compute.go.set()
    (tmp_path / "data" / "outputs").mkdir(parents=True)
    audio = tmp_path / "data" / "outputs" / "http-1.wav"
    audio.write_bytes(b"audio")
    job_queue = LocalJobQueue(compute, tmp_path / "jobs", data_root=tmp_path / "data", kept_days=1)
    job_queue.submit("generate/-/old", GenerateRequest(job_id="http-1", prompt="x", duration_seconds=1))
    job_queue.wait("generate/-/old", 60)
    for record in (tmp_path / "jobs" / "records").iterdir():
        long_ago = time.time() - 2 * 86_400
        os.utime(record / "result.json", (long_ago, long_ago))

    later = LocalJobQueue(compute, tmp_path / "jobs", data_root=tmp_path / "data", kept_days=1)
    later.submit("generate/-/new", GenerateRequest(job_id="http-2", prompt="x", duration_seconds=1))

    with pytest.raises(UnknownJobError, match="job old: is not known"):
        later.wait("generate/-/old", 0)
    assert not audio.exists()
    assert later.wait("generate/-/new", 60).status == "done"
    later.close()
    job_queue.close()


def test_nothing_is_kept_in_memory_of_what_ended(
    compute: SlowCompute, job_queue: LocalJobQueue, tmp_path: Path
) -> None:
    compute.go.set()
    for number in range(20):
        job_queue.submit(f"train_producer/p/{number}", request(str(number)))
        assert job_queue.wait(f"train_producer/p/{number}", 60).status == "done"

    until(lambda: not job_queue._mine)
    assert job_queue._queue.empty()
    assert not list((tmp_path / "jobs" / "scratch").iterdir())


def test_a_file_is_written_once_whoever_writes(tmp_path: Path) -> None:
    """Eight at once, half of them with other bytes: one content wins, those who brought it succeed."""
    job_queues: list[JobQueue] = [LocalJobQueue(LocalCompute(tmp_path / "data"), tmp_path / "jobs") for _ in range(2)]
    start = threading.Barrier(8)

    def store(number: int) -> bool:
        source = tmp_path / f"{number}"
        source.write_bytes(b"even" if number % 2 == 0 else b"odd!")
        start.wait()
        with source.open("rb") as file:
            try:
                job_queues[number // 4].store_once("uploads/p/j/a.wav", file)
            except FileTakenError:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(store, range(8)))

    winner = 0 if (tmp_path / "data/uploads/p/j/a.wav").read_bytes() == b"even" else 1
    assert stored == [number % 2 == winner for number in range(8)]
