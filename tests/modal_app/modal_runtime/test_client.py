"""The real SDK against a service on loopback that speaks its protocol: calls, files, the register, and its errors."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from dawa_assets.observability.doctor import examine
from modal_app.errors import JobError, UnreachableError
from modal_app.modal_runtime.claim_store import claimed
from modal_app.modal_runtime.client import ModalCalls, ModalClaimStore
from modal_app.modal_runtime.job_queue import ModalJobQueue
from modal_app.modal_runtime.polling import Pace
from modal_app.protocol.audio import PublishedSegment, PublishRequest
from modal_app.protocol.base import Event
from resources.compute.modal import ModalCompute
from resources.errors import SettingsError
from resources.ports import open_compute
from resources.settings import Settings
from tests.fakes.modal_server.__main__ import TOKEN_SECRET
from tests.fakes.modal_server.fixtures import modal_service, sdk_at
from tests.fakes.modal_server.machine import EXPIRED, Machines

APP = "nawfside-music"
NOTHING = PublishRequest(producer_id="a", segments=[])
Service = tuple[Machines, dict[str, str]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with modal_service(tmp_path_factory.mktemp("modal")) as service:
        yield service


@pytest.fixture
def machines(service: Service) -> Iterator[Machines]:
    machines, environment = service
    with sdk_at(environment):
        yield machines


@pytest.fixture
def compute(machines: Machines) -> ModalCompute:  # noqa: ARG001 - it must be there
    return ModalCompute(ModalCalls(APP), Pace(0.05, 0.2))


def ignore(event: Event) -> None:
    """Nobody listens."""


def test_a_job_goes_out_and_its_result_and_events_come_back(compute: ModalCompute, machines: Machines) -> None:
    before, events = len(machines.calls()), list[Event]()

    assert compute.run(NOTHING, events.append).view == "training_data/a"
    assert [event.message for event in events] == ["a: 0 segments published"]
    (call_id,) = machines.calls()[before:]

    calls = ModalCalls(APP)
    assert calls.poll(call_id, 0).name == "ended"
    compute.cancel(call_id)  # it has ended: nothing happens
    (machines.call(call_id) / EXPIRED).touch()
    assert calls.poll(call_id, 0).name == "gone"
    assert calls.poll("fc-nobody", 0).name == "gone"
    compute.cancel("fc-nobody")


def test_a_large_request_and_large_files_go_out_and_come_back(compute: ModalCompute, tmp_path: Path) -> None:
    uncached = [PublishedSegment(audio_hash=f"{n:064x}", index=n, sha256="0" * 64, text="x" * 90) for n in range(200)]
    with pytest.raises(JobError, match="not in the cache"):
        compute.run(PublishRequest(producer_id="b", segments=uncached), ignore)

    content = bytes(range(256)) * 4096 * 9  # more than a block
    compute.store("runs/r/adapter.safetensors", io.BytesIO(content))
    compute.store("runs/r/empty", io.BytesIO(b""))
    compute.fetch("runs/r/adapter.safetensors", tmp_path / "adapter")
    compute.fetch("runs/r/empty", tmp_path / "empty")
    assert (tmp_path / "adapter").read_bytes() == content
    assert (tmp_path / "empty").read_bytes() == b""
    with pytest.raises(JobError, match="no such file"):
        compute.fetch("runs/r/other", tmp_path / "other")


@pytest.mark.usefixtures("machines")
def test_a_broken_connection_says_nothing_about_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    import modal
    from grpclib.exceptions import StreamTerminatedError

    def break_off(*_given: object, **_named: object) -> None:
        raise StreamTerminatedError("Connection lost")

    monkeypatch.setattr(modal.FunctionCall, "from_id", break_off)
    monkeypatch.setattr(modal.Function, "from_name", break_off)
    with pytest.raises(UnreachableError, match="Connection lost"):
        ModalCalls(APP).poll("fc-1", 0)
    with pytest.raises(UnreachableError, match="Connection lost"):
        ModalCalls(APP).spawn("cpu_task", "{}", None)


@pytest.mark.usefixtures("machines")
def test_a_cancelled_call_is_told_as_such() -> None:
    calls = ModalCalls(APP)
    call_id = calls.spawn("cpu_task", NOTHING.model_dump_json(), None)
    calls.cancel(call_id)

    assert calls.poll(call_id, 0).name in ("cancelled", "ended")


@pytest.mark.usefixtures("machines")
def test_the_register_keeps_claims_and_the_job_queues_calls() -> None:
    import modal

    claim_store = ModalClaimStore(modal.Dict.from_name("r", create_if_missing=True))
    assert claim_store.get("k") is None
    assert claim_store.put_new("k", "1")
    assert not claim_store.put_new("k", "2")
    claim_store.put("k", "3")
    assert claim_store.get("k") == "3"
    with claimed(claim_store, "train/x", "fc-1") as first, claimed(claim_store, "train/x", "fc-2") as second:
        assert (first, second) == (None, "fc-1")

    job_queue = ModalJobQueue(ModalCalls(APP), claim_store)
    call = job_queue.submit("publish/a/1", NOTHING)
    assert job_queue.submit("publish/a/1", NOTHING).call_id == call.call_id
    while (found := job_queue.wait("publish/a/1", 20)).status != "done":
        pass
    assert found.result is not None


def test_modals_errors_are_one_line_with_a_fix_and_no_secret(service: Service) -> None:
    _, environment = service
    wrong = {**environment, "MODAL_TOKEN_SECRET": "as-AnotherSecretEntirely01"}
    none = {name: value for name, value in environment.items() if "TOKEN" not in name}
    for settings, app, function, expected in (
        (environment, APP, "no_such", "has no function no_such"),
        (environment, "other-app", "cpu_task", "modal deploy"),
        (wrong, APP, "cpu_task", "modal setup"),
        (none, APP, "cpu_task", "modal setup"),
    ):
        with sdk_at(settings), pytest.raises(JobError, match=expected) as caught:
            ModalCalls(app).spawn(function, NOTHING.model_dump_json(), None)
        message = str(caught.value)
        assert "\n" not in message
        assert TOKEN_SECRET not in message
        assert "as-Another" not in message


def test_without_a_token_nothing_is_read_or_written(service: Service, tmp_path: Path) -> None:
    _, environment = service
    (tmp_path / "x").write_text("x")
    with sdk_at({name: value for name, value in environment.items() if "TOKEN" not in name}):
        for ask in (
            lambda: ModalCalls(APP).read("x", io.BytesIO()),
            lambda: ModalCalls(APP).write("x", tmp_path / "x"),
            lambda: ModalCalls(APP).poll("fc-1", 0),
            lambda: ModalCalls(APP).cancel("fc-1"),
        ):
            with pytest.raises(JobError, match="modal setup"):
                ask()


def test_the_doctor_reports_whether_the_app_is_deployed(service: Service, tmp_path: Path) -> None:
    machines, environment = service
    before = machines.calls()
    found = []
    for app in (APP, "other-app"):
        settings = Settings(
            home=tmp_path,
            database="supabase",
            bucket="supabase",
            compute="modal",
            modal_app=app,
        )
        with sdk_at(environment):
            found.append(next(finding for finding in examine(settings) if finding.part == "compute"))

    assert [finding.state for finding in found] == ["ok", "error"]
    assert "nawfside-music is deployed" in found[0].detail
    assert "modal deploy" in found[1].detail
    assert machines.calls() == before


def test_a_bucket_that_is_a_folder_of_this_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DAWA_BUCKET=supabase"):
        open_compute(Settings(home=tmp_path, bucket="folder", compute="modal"))


@pytest.mark.slow  # the SDK itself tries for a minute
def test_a_service_that_is_not_there_is_no_answer(service: Service) -> None:
    _, environment = service
    with sdk_at({**environment, "MODAL_SERVER_URL": "http://127.0.0.1:9"}), pytest.raises(UnreachableError):
        ModalCalls(APP).poll("fc-1", 0)
