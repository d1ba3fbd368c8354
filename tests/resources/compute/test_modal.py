"""The life of a call as its asker sees it: started, followed, cancelled, taken up again. Containers are processes."""

import hashlib
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from modal_app.errors import InputError, JobCancelledError, JobError, UnreachableError
from modal_app.modal_runtime.claim_store import FolderClaimStore, claimed
from modal_app.modal_runtime.polling import Pace
from modal_app.protocol.audio import AudioSource, PreparedAudio, PrepareRequest, PublishedSegment, PublishRequest
from modal_app.protocol.base import Event
from modal_app.protocol.training import GenerateRequest
from resources.compute.base import CallRecord
from resources.compute.modal import ModalCompute
from tests.fakes.modal_server.gate import Gate, gate_with
from tests.fakes.modal_server.machine import EXPIRED, FAULT, MachineCalls, Machines, write_whole
from tests.waiting import PATIENCE_SECONDS, until

NOTHING = PublishRequest(producer_id="a", segments=[])
PACE = Pace(first_pause=0.05, longest_pause=0.2, patience=20)


class Record(CallRecord):
    """Keeps a call's id in memory, and can be somebody else's by now."""

    def __init__(self, call_id: str | None = None) -> None:
        self.kept = [call_id]
        self.gpu_seconds: list[float] = []
        self.is_lost = False

    @property
    def call_id(self) -> str | None:
        return self.kept[-1]

    def keep(self, call_id: str | None) -> None:
        if self.is_lost:
            raise JobError("another process took over")
        self.kept.append(call_id)

    def used(self, gpu_seconds: float) -> None:
        self.gpu_seconds.append(gpu_seconds)


class Events(list[Event]):
    """What was said, as its messages."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def messages(self) -> list[str]:
        return [event.message for event in self]


def ignore(event: Event) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> AudioSource:
    path = tmp_path_factory.mktemp("audio") / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(44_100) / 20), 44_100)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return AudioSource(audio_hash=digest, url=path.as_uri(), name="tone.wav")


@pytest.fixture
def gate(tone: AudioSource, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setenv("NO_PROXY", "*")
    with gate_with(Path(tone.url.removeprefix("file://")).read_bytes(), tone.audio_hash) as gate:
        yield gate


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(tmp_path / "machines")
    yield machines
    machines.end_all()


@pytest.fixture
def compute(machines: Machines) -> ModalCompute:
    return ModalCompute(MachineCalls(machines), PACE)


class Asker(threading.Thread):
    """Somebody who waits for a job beside the test."""

    def __init__(self, compute: ModalCompute, request: PrepareRequest, record: Record | None = None) -> None:
        super().__init__(daemon=True)
        self.events, self.record = Events(), record or Record()
        self._compute, self._request = compute, request
        self._outcome: list[list[PreparedAudio] | BaseException] = []
        self.start()

    def run(self) -> None:
        try:
            self._outcome.append(self._compute.run(self._request, self.events, self.record).prepared)
        except BaseException as error:
            self._outcome.append(error)

    def outcome(self) -> list[PreparedAudio] | BaseException:
        self.join(PATIENCE_SECONDS)
        assert not self.is_alive()
        return self._outcome[0]


def test_a_job_gives_its_result_and_its_events_in_order(
    compute: ModalCompute, tone: AudioSource, machines: Machines
) -> None:
    events, record = Events(), Record()

    result = compute.run(PrepareRequest(sources=[tone]), events, record)

    assert [part.audio_hash for part in result.prepared] == [tone.audio_hash]
    assert [(event.done, event.total) for event in events if event.kind == "progress"] == [(1, 1)]
    assert machines.calls() == record.kept[1:]
    assert machines.asked(machines.calls()[0])["function"] == "prepare"
    assert record.gpu_seconds == [0.0]


def test_a_failing_job_raises_the_workers_line_as_what_it_is(compute: ModalCompute) -> None:
    uncached = PublishedSegment(audio_hash="0" * 64, index=3, sha256="0" * 64)
    with pytest.raises(JobError) as caught:
        compute.run(PublishRequest(producer_id="a", segments=[uncached]), ignore)
    assert str(caught.value) == "segment 3 of audio 000000000000 is not in the cache; prepare it again"

    request = GenerateRequest(job_id="a", prompt="x", lora_id="no-colon", duration_seconds=1)
    with pytest.raises(InputError, match="'no-colon': is no LoRA's name"):
        compute.run(request, ignore)


def test_whoever_is_interrupted_cancels_their_call(compute: ModalCompute, machines: Machines, gate: Gate) -> None:
    class Interrupt(BaseException):
        """As Dagster's and Ctrl-C's: no `Exception`."""

    second = AudioSource(audio_hash="0" * 64, url="missing:", name="missing")

    def interrupt(_event: Event) -> None:
        raise Interrupt

    record = Record()
    with pytest.raises(Interrupt):
        compute.run(PrepareRequest(sources=[second, gate.source]), interrupt, record)

    (call_id,) = machines.calls()
    assert machines.state(call_id).name == "cancelled"
    assert machines.process(call_id) is None
    assert record.call_id is None


def test_a_call_that_somebody_took_over_is_left_to_him(compute: ModalCompute, machines: Machines, gate: Gate) -> None:
    record = Record()
    second = AudioSource(audio_hash="0" * 64, url="missing:", name="missing")

    def lose_and_end(_event: Event) -> None:
        record.is_lost = True
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute.run(PrepareRequest(sources=[second, gate.source]), lose_and_end, record)

    (call_id,) = machines.calls()
    assert machines.state(call_id).name == "running"


def test_a_call_that_could_not_be_kept_is_cancelled_at_once(compute: ModalCompute, machines: Machines) -> None:
    record = Record()
    record.is_lost = True

    with pytest.raises(JobError, match="took over"):
        compute.run(NOTHING, ignore, record)

    (call_id,) = machines.calls()
    assert machines.process(call_id) is None


def test_a_call_outlives_a_killed_asker_and_is_taken_up_again(
    compute: ModalCompute, machines: Machines, gate: Gate
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from modal_app.protocol.audio import PrepareRequest\n"
        "from resources.compute.base import CallRecord\n"
        "from resources.compute.modal import ModalCompute\n"
        "from tests.fakes.modal_server.machine import MachineCalls, Machines\n"
        "class Record(CallRecord):\n"
        "    call_id = None\n"
        "    def keep(self, call_id): print(call_id, flush=True)\n"
        "request = PrepareRequest.model_validate_json(sys.argv[2])\n"
        "ModalCompute(MachineCalls(Machines(Path(sys.argv[1])))).run(request, print, Record())\n"
    )
    request = PrepareRequest(sources=[gate.source])
    command = [sys.executable, "-c", script, str(machines.root), request.model_dump_json()]
    repository = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=repository) as asker:
        assert asker.stdout
        call_id = asker.stdout.readline().decode().strip()
        assert gate.asked.wait(PATIENCE_SECONDS)
        asker.kill()
    assert machines.state(call_id).name == "running"

    second = Asker(compute, request, Record(call_id))
    gate.opened.set()

    assert [part.audio_hash for part in second.outcome()] == [gate.source.audio_hash]  # type: ignore[union-attr]
    assert machines.calls() == [call_id]
    assert [event.done for event in second.events if event.kind == "progress"] == [1]


def test_an_expired_result_is_read_from_what_was_written(compute: ModalCompute, machines: Machines) -> None:
    first = Record()
    expected = compute.run(NOTHING, ignore, first)
    (call_id,) = machines.calls()
    (machines.call(call_id) / EXPIRED).touch()

    assert compute.run(NOTHING, ignore, Record(call_id)) == expected
    assert machines.calls() == [call_id]


@pytest.mark.parametrize("left", ["expired and gone", "cancelled", "unknown"])
def test_a_recorded_call_that_left_nothing_is_replaced(compute: ModalCompute, machines: Machines, left: str) -> None:
    call_id = "fc-unknown"
    if left != "unknown":
        call_id = machines.start("cpu_task", NOTHING.model_dump_json(), None)
        machines.cancel(call_id)
        if left == "expired and gone":
            (machines.call(call_id) / EXPIRED).touch()
    record = Record(call_id)

    assert compute.run(NOTHING, ignore, record).segments == 0
    assert record.call_id == machines.calls()[-1] != call_id


@pytest.mark.slow
def test_who_follows_a_call_that_others_cancel_is_reported(
    compute: ModalCompute, machines: Machines, gate: Gate
) -> None:
    asker = Asker(compute, PrepareRequest(sources=[gate.source]))
    assert gate.asked.wait(PATIENCE_SECONDS)
    compute.cancel(machines.calls()[0])

    outcome = asker.outcome()
    assert isinstance(outcome, JobCancelledError)
    assert "run it again" in str(outcome)


@pytest.mark.slow
def test_a_call_whose_container_is_taken_away_goes_on_in_another(
    compute: ModalCompute, machines: Machines, gate: Gate, tone: AudioSource
) -> None:
    asker = Asker(compute, PrepareRequest(sources=[gate.source]))
    assert gate.asked.wait(PATIENCE_SECONDS)
    (call_id,) = machines.calls()
    process = machines.process(call_id)
    assert process is not None
    write_whole(machines.call(call_id) / "pid", str(psutil.Process().pid))  # as if it had never been away
    process.kill()
    process.wait(240)
    machines.start_container(call_id)
    gate.opened.set()

    assert [part.audio_hash for part in asker.outcome()] == [tone.audio_hash]  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_container_that_dies_for_good_is_reported_in_one_line(
    compute: ModalCompute, machines: Machines, gate: Gate
) -> None:
    asker = Asker(compute, PrepareRequest(sources=[gate.source]))
    assert gate.asked.wait(PATIENCE_SECONDS)
    process = machines.process(machines.calls()[0])
    assert process is not None
    process.kill()

    outcome = asker.outcome()
    assert isinstance(outcome, JobError)
    assert "container died" in str(outcome)
    assert "\n" not in str(outcome)


@pytest.mark.slow
def test_without_an_answer_it_waits_and_goes_on(compute: ModalCompute, machines: Machines, gate: Gate) -> None:
    asker = Asker(compute, PrepareRequest(sources=[gate.source]))
    assert gate.asked.wait(PATIENCE_SECONDS)
    (machines.root / FAULT).write_text("unreachable")
    gate.opened.set()
    until(lambda: machines.state(machines.calls()[0]).name == "ended")
    (machines.root / FAULT).unlink()

    assert len(asker.outcome()) == 1  # type: ignore[arg-type]
    assert len(machines.calls()) == 1


@pytest.mark.slow
def test_a_call_without_an_answer_stays_on_record(machines: Machines, gate: Gate) -> None:
    impatient = ModalCompute(MachineCalls(machines), Pace(0.05, 0.1, patience=0.3))
    asker = Asker(impatient, PrepareRequest(sources=[gate.source]))
    assert gate.asked.wait(PATIENCE_SECONDS)
    (machines.root / FAULT).write_text("unreachable")

    assert isinstance(asker.outcome(), UnreachableError)
    (machines.root / FAULT).unlink()
    assert machines.state(machines.calls()[0]).name == "running"
    assert asker.record.call_id == machines.calls()[0]


@pytest.mark.slow
def test_an_answer_that_is_lost_is_reported(compute: ModalCompute, machines: Machines) -> None:
    compute.run(NOTHING, ignore)
    (call_id,) = machines.calls()
    (machines.volume / "calls" / call_id / "result.json").unlink()
    record = Record(call_id)

    assert compute.run(NOTHING, ignore, record).segments == 0  # on record: another one is started
    assert len(machines.calls()) == 2


def test_an_ended_call_that_still_holds_its_job_is_waited_for(
    compute: ModalCompute, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.compute.modal.key_of", lambda _request: "train/x")
    ended = machines.start("cpu_task", "nothing", None)
    machines.cancel(ended)
    let_go = threading.Event()

    def hold() -> None:
        with claimed(FolderClaimStore(machines.claim_store), "train/x", ended):
            held.set()
            let_go.wait(240)

    held = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(240)

    def asked_again() -> bool:
        with suppress(OSError, ValueError):  # looked at while a call is being written
            return len(machines.calls()) > 2
        return False

    threading.Thread(target=lambda: (until(asked_again), let_go.set())).start()

    assert compute.run(NOTHING, ignore, Record()).segments == 0
    holder.join()
    assert len(machines.calls()) > 2


def test_files_come_and_go_whole(compute: ModalCompute, tmp_path: Path) -> None:
    compute.store("runs/r-1/card.json", io.BytesIO(b"one"))
    compute.store("runs/r-1/card.json", io.BytesIO(b"two"))

    compute.fetch("runs/r-1/card.json", tmp_path / "new folder" / "card.json")

    assert (tmp_path / "new folder" / "card.json").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["card.json"]
    with pytest.raises(JobError, match="no such file"):
        compute.fetch("runs/r-2/card.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a\0b"])
def test_a_path_that_leads_out_of_the_data_root_is_refused(compute: ModalCompute, tmp_path: Path, path: str) -> None:
    with pytest.raises(JobError):
        compute.fetch(path, tmp_path / "out")
    with pytest.raises(JobError):
        compute.store(path, io.BytesIO(b"mine"))
