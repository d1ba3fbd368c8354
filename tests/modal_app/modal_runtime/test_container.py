"""A call in its container: what it leaves, what it says meanwhile, and that two calls never do one job at once."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from modal_app.data_root.layout import DataRoot
from modal_app.errors import InputError
from modal_app.modal_runtime.claim_store import ClaimStore, FolderClaimStore, claimed
from modal_app.modal_runtime.container import Container, Job, Storage, run_call
from modal_app.modal_runtime.remote_calls import Taken, Used
from modal_app.protocol.audio import PublishRequest, PublishResult
from modal_app.protocol.base import Event
from modal_app.protocol.requests import AnyRequest

ASKED = PublishRequest(producer_id="a", segments=[]).model_dump_json()
RESULT = PublishResult(view="training_data/a", segments=0, changed=True)
CALL = "fc-1"

Emit = Callable[[Event], None]


class Ledger(Storage):
    """Counts commits, and keeps what was there at each."""

    def __init__(self, root: Path) -> None:
        self.root, self.refreshed = root, 0
        self.commits: list[set[str]] = []

    def refresh(self) -> None:
        self.refreshed += 1

    def commit(self) -> None:
        self.commits.append({str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()})


@pytest.fixture
def container(tmp_path: Path) -> Container:
    root = tmp_path / "data"
    return Container(root, Ledger(root), FolderClaimStore(tmp_path / "register"), commit_seconds=0.05)


def left(container: Container, name: str, call_id: str = CALL) -> str:
    return (container.root / "calls" / call_id / name).read_text()


def events(container: Container) -> list[str]:
    parts = sorted((container.root / "calls" / CALL).glob("events-*.jsonl"))
    return [json.loads(line)["message"] for part in parts for line in part.read_text().splitlines()]


def saying(*messages: str, error: BaseException | None = None) -> Job:
    def job(_request: AnyRequest, _root: DataRoot, emit: Emit) -> PublishResult:
        for message in messages:
            emit(Event(kind="log", message=message))
        if error:
            raise error
        return RESULT

    return job


def test_a_call_leaves_its_result_and_its_events_committed(container: Container) -> None:
    assert run_call(ASKED, None, CALL, container, saying("one", "two")) == "result.json"

    assert PublishResult.model_validate_json(left(container, "result.json")) == RESULT
    assert events(container) == ["one", "two"]
    assert isinstance(container.storage, Ledger)
    assert container.storage.refreshed == 1
    assert f"calls/{CALL}/result.json" in container.storage.commits[-1]


def test_what_is_said_is_committed_while_it_goes_on(container: Container) -> None:
    ledger = container.storage
    assert isinstance(ledger, Ledger)

    def job(_request: AnyRequest, _root: DataRoot, emit: Emit) -> PublishResult:
        emit(Event(kind="log", message="early"))
        end = threading.Event()
        for _ in range(600):
            if any(f"calls/{CALL}/events-000000.jsonl" in commit for commit in ledger.commits):
                break
            end.wait(0.05)
        emit(Event(kind="log", message="late"))
        return RESULT

    run_call(ASKED, None, CALL, container, job)

    early = next(commit for commit in ledger.commits if f"calls/{CALL}/events-000000.jsonl" in commit)
    assert f"calls/{CALL}/result.json" not in early
    assert events(container) == ["early", "late"]


def test_an_error_is_an_answer_and_tells_what_the_user_can_fix(container: Container) -> None:
    assert run_call(ASKED, None, CALL, container, saying(error=InputError("no such thing\nmore"))) == "error.json"
    failure = json.loads(left(container, "error.json"))
    assert (failure["line"], failure["expected"], failure["user_fixable"]) == ("no such thing", True, True)

    assert run_call("not json", None, "fc-2", container) == "error.json"
    assert json.loads(left(container, "error.json", "fc-2"))["expected"] is False


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupted_container_commits_before_it_ends(container: Container, error: BaseException) -> None:
    with pytest.raises(type(error)):
        run_call(ASKED, "train/x", CALL, container, saying("first attempt", error=error))
    assert events(container) == ["first attempt"]
    assert isinstance(container.storage, Ledger)
    assert f"calls/{CALL}/events-000000.jsonl" in container.storage.commits[-1]

    assert run_call(ASKED, "train/x", CALL, container, saying("second attempt")) == "result.json"
    assert events(container) == ["first attempt", "second attempt"]


def test_a_checkpoint_written_on_the_way_out_is_committed(container: Container) -> None:
    def job(_request: AnyRequest, root: DataRoot, _emit: Emit) -> PublishResult:
        try:
            raise KeyboardInterrupt
        finally:
            root.run("r").mkdir(parents=True)
            (root.run("r") / "state").touch()

    with pytest.raises(KeyboardInterrupt):
        run_call(ASKED, "train/r", CALL, container, job)

    assert isinstance(container.storage, Ledger)
    assert "runs/r/state" in container.storage.commits[-1]


def test_an_attempt_after_the_result_does_nothing(container: Container) -> None:
    run_call(ASKED, None, CALL, container, saying("once"))

    assert run_call(ASKED, None, CALL, container, saying("twice")) == "result.json"
    assert events(container) == ["once"]


def test_gpu_seconds_add_up_over_attempts(container: Container) -> None:
    run_call(ASKED, None, CALL, container, saying())
    assert Used.model_validate_json(left(container, "used.json")).gpu_seconds == 0

    with_gpu = Container(container.root, container.storage, container.claim_store, has_gpu=True, commit_seconds=9)
    folder = container.root / "calls" / "fc-2"
    folder.mkdir()
    (folder / "used.json").write_text(Used(seconds=100, gpu_seconds=90).model_dump_json())
    run_call(ASKED, None, "fc-2", with_gpu, saying())
    used = Used.model_validate_json(left(container, "used.json", "fc-2"))
    assert 90 < used.gpu_seconds < 150
    assert used.seconds - used.gpu_seconds == pytest.approx(10)


def test_worker_logs_become_events_of_their_own_call_only(container: Container) -> None:
    def job(_request: AnyRequest, _root: DataRoot, _emit: Emit) -> PublishResult:
        logging.getLogger("modal_app.audio").warning("said in passing")
        return RESULT

    run_call(ASKED, None, CALL, container, job)
    before = events(container)
    logging.getLogger("modal_app.audio").warning("said afterwards")

    assert before == events(container) == ["said in passing"]


def test_a_second_call_of_a_job_names_the_first(container: Container) -> None:
    going, done = threading.Event(), threading.Event()

    def job(_request: AnyRequest, _root: DataRoot, _emit: Emit) -> PublishResult:
        going.set()
        assert done.wait(240)
        return RESULT

    first = threading.Thread(target=run_call, args=(ASKED, "train/x", CALL, container, job))
    first.start()
    assert going.wait(240)
    try:
        assert run_call(ASKED, "train/x", "fc-2", container, saying("twice")) == "taken.json"
        assert Taken.model_validate_json(left(container, "taken.json", "fc-2")) == Taken(call_id=CALL)
        assert run_call(ASKED, "train/y", "fc-3", container, saying()) == "result.json"
    finally:
        done.set()
        first.join()

    assert run_call(ASKED, "train/x", "fc-4", container, saying("after it")) == "result.json"


def test_work_in_progress_of_one_call_is_not_anothers(container: Container) -> None:
    seen: list[Path] = []

    def job(_request: AnyRequest, root: DataRoot, _emit: Emit) -> PublishResult:
        root.scratch().mkdir(parents=True)
        (root.scratch() / "half").touch()
        seen.append(root.scratch())
        return RESULT

    run_call(ASKED, None, CALL, container, job)
    run_call(ASKED, None, "fc-2", container, job)

    assert len(set(seen)) == 2
    assert not any(folder.exists() for folder in seen)


def test_a_claim_that_nobody_renews_is_followed_by_another_call(tmp_path: Path) -> None:
    claim_store = FolderClaimStore(tmp_path)
    with claimed(claim_store, "train/x", "fc-silent", renew_seconds=600):
        with claimed(claim_store, "train/x", "fc-2") as other:
            assert other == "fc-silent"
        with claimed(claim_store, "train/x", "fc-2", lost_seconds=-1) as other:
            assert other is None
            with claimed(claim_store, "train/x", "fc-3") as third:
                assert third == "fc-2"


def test_of_many_at_once_one_holds_a_job(tmp_path: Path) -> None:
    claim_store = FolderClaimStore(tmp_path)
    barrier = threading.Barrier(8)
    held: list[str | None] = []

    def take(call_id: str) -> None:
        barrier.wait()
        with claimed(claim_store, "train/x", call_id) as other:
            held.append(other)
            barrier.wait()

    threads = [threading.Thread(target=take, args=(f"fc-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert held.count(None) == 1
    assert len({other for other in held if other}) == 1


def test_a_call_that_was_moved_follows_itself_at_once(tmp_path: Path) -> None:
    claim_store: ClaimStore = FolderClaimStore(tmp_path)
    with claimed(claim_store, "train/x", CALL, renew_seconds=600), claimed(claim_store, "train/x", CALL) as other:
        assert other is None
