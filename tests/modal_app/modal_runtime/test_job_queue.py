"""The web endpoints' desk over calls: one call for one key, whoever asks and however often."""

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from modal_app.errors import InterruptedJobError, JobError, ReplayedJobError, UnknownJobError
from modal_app.modal_runtime.claim_store import FolderClaimStore
from modal_app.modal_runtime.job_queue import ModalJobQueue
from modal_app.modal_runtime.remote_calls import Calls, CallState, Taken, call_folder
from modal_app.protocol.audio import PublishRequest, PublishResult
from modal_app.protocol.base import JobRequest
from modal_app.worker.process import JobFailure, failure_of

RESULT = PublishResult(view="training_data/a", segments=0, changed=True)


class Told(Calls):
    """Calls whose fate the test tells; what they leave is a folder of files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.states: dict[str, CallState] = {}
        self.cancelled: list[str] = []
        self.at_spawn: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def spawn(self, function: str, request: str, key: str | None) -> str:
        with self._lock:
            call_id = f"fc-{len(self.states)}"
            self.states[call_id] = CallState("running")
        self.at_spawn()
        return call_id

    def poll(self, call_id: str, seconds: float) -> CallState:
        return self.states[call_id]

    def cancel(self, call_id: str) -> None:
        self.cancelled.append(call_id)

    def read(self, path: str, target: BinaryIO) -> None:
        target.write((self.root / path).read_bytes())

    def write(self, path: str, source: Path) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(source.read_bytes())

    def end(self, call_id: str, state: str = "ended", **left: Any) -> None:
        folder = self.root / call_folder(call_id)
        folder.mkdir(parents=True)
        for name, message in left.items():
            (folder / f"{name}.json").write_text(message.model_dump_json())
        self.states[call_id] = CallState(state)  # type: ignore[arg-type]


@pytest.fixture
def calls(tmp_path: Path) -> Told:
    return Told(tmp_path / "data")


@pytest.fixture
def job_queue(calls: Told, tmp_path: Path) -> ModalJobQueue:
    return ModalJobQueue(calls, FolderClaimStore(tmp_path / "register"))


def request_of(producer: str = "a") -> JobRequest[Any]:
    return PublishRequest(producer_id=producer, segments=[])


def test_the_same_again_is_the_same_call_until_its_result(job_queue: ModalJobQueue, calls: Told) -> None:
    first = job_queue.submit("k", request_of())
    assert (first.status, job_queue.submit("k", request_of()).status) == ("queued", "running")
    calls.end(first.call_id, result=RESULT)

    for call in (job_queue.submit("k", request_of()), job_queue.wait("k", 0)):
        assert (call.call_id, call.status, call.result) == (first.call_id, "done", RESULT)
    assert len(calls.states) == 1


def test_another_request_under_a_used_key_is_refused(job_queue: ModalJobQueue, calls: Told) -> None:
    job_queue.submit("k", request_of("a"))
    with pytest.raises(ReplayedJobError, match="use another job_id"):
        job_queue.submit("k", request_of("b"))
    assert len(calls.states) == 1


def test_what_was_never_handed_in_is_not_known(job_queue: ModalJobQueue) -> None:
    with pytest.raises(UnknownJobError):
        job_queue.wait("k", 0)


@pytest.mark.parametrize("state", ["cancelled", "failed", "ended", "gone"])
def test_submitting_an_interrupted_job_starts_it_again(job_queue: ModalJobQueue, calls: Told, state: str) -> None:
    first = job_queue.submit("k", request_of())
    calls.end(first.call_id, state)
    with pytest.raises(UnknownJobError if state == "gone" else InterruptedJobError):
        job_queue.wait("k", 0)

    second = job_queue.submit("k", request_of())
    calls.end(second.call_id, result=RESULT)
    assert second.call_id != first.call_id
    assert job_queue.wait("k", 0).result == RESULT


def test_a_job_that_failed_by_what_passes_is_started_again(job_queue: ModalJobQueue, calls: Told) -> None:
    first = job_queue.submit("k", request_of())
    calls.end(first.call_id, error=failure_of(OSError(28, "no space left on device")))
    with pytest.raises(InterruptedJobError, match="no space left on device"):
        job_queue.wait("k", 0)
    assert job_queue.submit("k", request_of()).call_id != first.call_id


def test_a_job_that_failed_is_not_started_again(job_queue: ModalJobQueue, calls: Told) -> None:
    first = job_queue.submit("k", request_of())
    calls.end(first.call_id, error=JobFailure(line="no such base; set another", expected=True))

    for ask in (lambda: job_queue.submit("k", request_of()), lambda: job_queue.wait("k", 0)):
        with pytest.raises(JobError, match="no such base; set another"):
            ask()
    assert len(calls.states) == 1


def test_a_call_that_found_its_job_taken_stands_for_the_other(job_queue: ModalJobQueue, calls: Told) -> None:
    first = job_queue.submit("k", request_of())
    calls.end(first.call_id, taken=Taken(call_id="fc-other"))
    calls.states["fc-other"] = CallState("running")
    assert job_queue.wait("k", 0).status == "running"
    calls.end("fc-other", result=RESULT)
    assert job_queue.wait("k", 0).result == RESULT


def test_two_submits_at_once_leave_one_call_running(job_queue: ModalJobQueue, calls: Told) -> None:
    barrier = threading.Barrier(2)
    calls.at_spawn = lambda: barrier.wait(240) and None
    found: list[str] = []
    askers = [
        threading.Thread(target=lambda: found.append(job_queue.submit("k", request_of()).call_id)) for _ in range(2)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert len(set(found)) == 1
    assert {*calls.cancelled, *found} == set(calls.states)


def test_files_are_stored_once_and_read_back(job_queue: ModalJobQueue) -> None:
    assert job_queue.store_once("uploads/a/j/x.wav", io.BytesIO(b"audio"))
    assert not job_queue.store_once("uploads/a/j/x.wav", io.BytesIO(b"audio"))
    with job_queue.open("uploads/a/j/x.wav") as file:
        assert file.read() == b"audio"
    with pytest.raises(JobError, match="no such file"):
        job_queue.open("uploads/a/j/y.wav")
    with pytest.raises(JobError):
        job_queue.open("../x")
