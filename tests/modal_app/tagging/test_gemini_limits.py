"""What tagging by Gemini costs at most, in time and money, when service or worker fail; and who sees the key."""

import subprocess
import threading
from typing import Any

import pytest
from pydantic import SecretStr

from modal_app.errors import DawaError, InputError, JobError, ServiceError
from modal_app.protocol.tagging import InspectRequest, ModelHealth, TagRequest
from resources.compute.local import LocalCompute
from resources.compute.prefork_client import start_preforked
from tests.fakes.model_server.gemini_api import KEY, NO_AUDIO_MODEL
from tests.modal_app.tagging.gemini_worker import MODEL, N, Worker, worker_process

NO_KEY = "GEMINI_API_KEY is not set, and the tagger `gemini` needs it; set it, or DAWA_TAGGER=offline"


def request(worker: Worker, **model: object) -> TagRequest:
    return TagRequest(tagger="gemini", model=worker.model(**model), segments=worker.segments)


def test_faults_that_pass_are_waited_for_and_cost_no_answer(worker: Worker) -> None:
    faults = {"busy": 0.2, "server_error": 0.1, "overloaded": 0.1, "cut": 0.05, "cut_in_body": 0.1}
    faults |= {"half_json": 0.05, "no_json": 0.05, "other_json": 0.05, "no_usage": 0.1}
    worker.server.set(
        seed=5, latency_seconds=0.05, latency_spread=0.9, shares=faults, retry_after={"retry-after": "0.2"}
    )
    result = worker.tag()
    assert (len(result.tagged), result.failed) == (N, [])
    outcomes = worker.server.state()["outcomes"]
    assert sum(outcomes.values()) > outcomes["good"]


@pytest.mark.slow
def test_a_call_that_hangs_is_given_up_in_time(worker: Worker) -> None:
    worker.server.set(first=["hang", "hang"])
    result = worker.tag(worker.segments[:8], timeout_seconds=0.5)
    assert (len(result.tagged), result.failed) == (8, [])
    assert worker.server.state()["outcomes"] == {"hang": 2, "good": 1}


def test_a_wait_that_is_too_long_puts_off(worker: Worker) -> None:
    worker.server.set(shares={"busy": 1.0}, retry_after={"retry-after": "3600"})
    result = worker.tag(worker.segments[:8])
    assert all(failure.deferred and "the service is busy (429)" in failure.reason for failure in result.failed)
    assert len(result.failed) == 8
    assert (result.used.calls, result.tagged) == (0, [])


def test_the_budget_is_exceeded_only_by_calls_in_flight(worker: Worker) -> None:
    worker.server.set(latency_seconds=0.1)
    one = worker.tag(worker.segments[:8]).used.cost_usd
    result = worker.tag(at_once=2, budget_usd=2.5 * one)
    assert result.used.cost_usd <= (2.5 + 2) * one * 1.1
    assert result.used.calls in (3, 4)
    assert {failure.reason for failure in result.failed} == {f"the budget of ${2.5 * one:.2f} is used up"}
    assert all(failure.deferred for failure in result.failed)
    assert len(result.tagged) + len(result.failed) == N
    assert worker.tag(budget_usd=0).used.calls == 0


@pytest.mark.parametrize(
    ("key", "model", "faults", "line"),
    [
        ("AIzaWrong", MODEL, {}, "the key in GEMINI_API_KEY was refused"),
        (KEY, "gemini-3.5-flash-lite-999", {}, "there is no such model"),
        (KEY, MODEL, {"shares": {"forbidden": 1.0}}, "the key in GEMINI_API_KEY was refused"),
        (None, MODEL, {}, NO_KEY),
        ("two words", MODEL, {}, "GEMINI_API_KEY holds characters that no key has; copy it again"),
        (KEY, "gemini-42", {}, "gemini-42: no price is known of this model"),
    ],
)
def test_what_can_not_be_helped_is_one_line_without_the_key(
    worker: Worker, key: str | None, model: str, faults: dict[str, object], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.key = key
    worker.server.set(**faults)
    with pytest.raises(DawaError) as caught:
        worker.here(request(worker, name=model), monkeypatch)
    assert line in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, InputError) == (
        line == NO_KEY or any(word in line for word in ("characters", "price", "name"))
    )


@pytest.mark.parametrize("name", ["../other", "gemini/../../other", "gemini?key=1", "gemini\nx", ""])
def test_what_is_no_models_name_is_not_asked(worker: Worker, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is no model's name"):
        worker.here(request(worker, name=name, input_usd=1, output_usd=1), monkeypatch)
    assert worker.server.log() == []


def test_only_the_key_that_was_passed_in_is_used(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)  # what lies around in the shell is not used
    worker.key = None
    with pytest.raises(InputError, match="GEMINI_API_KEY is not set"):
        worker.tag(own_process=True)
    worker.key = "AIzaWrong"
    with pytest.raises(JobError) as caught:
        worker.tag(own_process=True)
    assert "AIzaWrong" not in str(caught.value)
    assert str(caught.value).startswith(f"{MODEL}: the key in GEMINI_API_KEY was refused (400: API key not valid: …)")


def test_what_was_answered_before_the_service_was_lost_is_given(worker: Worker) -> None:
    worker.server.set(first=["good", "good", *["forbidden"] * 50])
    result = worker.tag(at_once=1)
    assert len(result.tagged) == 16
    assert "was refused" in (result.stopped or "")
    assert len(result.failed) == N - 16
    assert all(failure.deferred for failure in result.failed)
    assert KEY not in result.model_dump_json()


def test_one_refused_segment_fails_alone(worker: Worker) -> None:
    worker.server.set(first=["bad_request", "good", "bad_request", "good"])
    result = worker.tag(worker.segments[:4], at_once=1)
    assert [len(call) for call in worker.asked()] == [4, 1, 1, 1, 1]
    assert [failure.sha256 for failure in result.failed] == [worker.segments[1].sha256]
    assert result.failed[0].reason.startswith("the service refused it (400: ")
    assert KEY not in result.failed[0].reason


def test_who_refuses_everything_is_not_asked_for_ever(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.server.set(shares={"bad_request": 1.0})
    with pytest.raises(ServiceError, match="every segment is refused"):
        worker.here(request(worker), monkeypatch)
    assert not worker.server.paid()


def test_a_killed_worker_costs_at_most_the_calls_in_flight(worker: Worker) -> None:
    in_flight = 2
    worker.server.set(latency_seconds=0.2)

    def kill() -> None:
        worker.server.wait_until(lambda state: state["paid"] >= 3)
        worker_process().kill()

    for _ in range(2):
        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(JobError, match="SIGKILL"):
            worker.tag(at_once=in_flight, own_process=True)
        killer.join()
        worker.server.wait_until(lambda state: state["in_flight"] == 0)
        if len(worker.kept()) >= 40:
            break
    result = worker.tag(at_once=in_flight, own_process=True)
    assert (len(result.tagged), result.failed) == (N, [])
    assert sum(worker.paid_segments().values()) <= N + 2 * 8 * in_flight
    assert result.recovered.cost_usd > 0
    calls = len(worker.server.log())
    assert worker.tag().used.calls == 0
    assert len(worker.server.log()) == calls


@pytest.mark.parametrize(
    ("key", "name", "state", "detail"),
    [
        (KEY, MODEL, "ok", "the key and the model are good, at $0.3/$2.5 per million tokens"),
        (KEY, "gemini-9-flash", "warning", "DAWA_GEMINI_PRICE"),
        (KEY, NO_AUDIO_MODEL, "error", "can't answer questions"),
        (KEY, "gemini-none", "error", "there is no such model"),
        ("AIzaWrong", MODEL, "error", "the key in GEMINI_API_KEY was refused"),
        (None, MODEL, "error", "GEMINI_API_KEY is not set"),
    ],
)
def test_inspecting_spends_nothing_and_says_how_things_stand(
    worker: Worker, key: str | None, name: str, state: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.key = key
    health = worker.here(InspectRequest(tagger="gemini", model=worker.model(name=name)), monkeypatch)
    assert isinstance(health, ModelHealth)
    assert (health.service, health.model, health.state) == ("gemini", name, state)
    assert detail in health.detail
    assert KEY not in health.detail
    assert worker.server.log() == []


@pytest.mark.parametrize("several_jobs", [True, False])
def test_only_a_job_that_asks_gemini_has_the_key(
    worker: Worker, several_jobs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str | None] = []
    start, fork = subprocess.Popen, start_preforked

    def starting(command: list[str], **how: Any) -> Any:
        if "modal_app.worker.process" in command:
            given.append(how["env"].get("GEMINI_API_KEY"))
        assert KEY not in str(how.get("env")) or "modal_app.worker.process" in command
        return start(command, **how)

    def forking(*what: Any) -> Any:
        *_, environment, extra, _ = what
        assert KEY not in environment.values()
        given.append(extra.get("GEMINI_API_KEY"))
        return fork(*what)

    monkeypatch.setattr("subprocess.Popen", starting)
    monkeypatch.setattr("resources.compute.local.start_preforked", forking)
    compute = LocalCompute(worker.root, gemini_api_key=SecretStr(KEY), several_jobs=several_jobs)
    compute.run(InspectRequest(), worker.events.append)
    assert compute.run(request(worker), worker.events.append).used.calls
    assert given == [None, KEY]


def test_inspecting_in_a_process_of_its_own(worker: Worker) -> None:
    good = worker.compute.run(InspectRequest(tagger="gemini", model=worker.model()), worker.events.append)
    assert good.state == "ok"
    gone = worker.model(base_url="http://127.0.0.1:9")
    health = worker.compute.run(InspectRequest(tagger="gemini", model=gone), worker.events.append)
    assert (health.state, health.detail) == ("error", "not to be had now: no connection to 127.0.0.1; try again later")


def test_the_offline_tagger_can_always_be_used(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    health = worker.here(InspectRequest(), monkeypatch)
    assert isinstance(health, ModelHealth)
    assert (health.service, health.state) == ("offline", "ok")
