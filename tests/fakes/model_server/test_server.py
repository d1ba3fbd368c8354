"""The server that other tests lean on: as fast as they need it, wrong only where it was told to be."""

import json
from typing import Any

import httpx
import pytest

from tests.fakes.model_server.control import ModelServer, running_server
from tests.fakes.model_server.faults import REFUSALS, RULE_BREAKING, Faults
from tests.fakes.model_server.fixtures import model_server, model_server_process
from tests.fakes.model_server.openai_api import KEY

__all__ = ["model_server", "model_server_process"]

HEADERS = {"authorization": f"Bearer {KEY}"}
CONTEXT = json.dumps({"tempo_bpm": 97.5, "no_go_zones": ["airhorns"]})


def ask(server: ModelServer, question: str = CONTEXT, **more: Any) -> httpx.Response:
    body = {"model": "gpt-4o-mini", "instructions": "Write.", "input": question, **more}
    return httpx.post(f"{server.openai_url}/responses", json=body, headers=HEADERS, timeout=10)


def text(response: httpx.Response) -> str:
    return str(response.json()["output"][-1]["content"][0]["text"])


def test_the_same_question_always_gets_the_same_good_answer(model_server: ModelServer) -> None:
    one, two = ask(model_server), ask(model_server)
    assert text(one) == text(two)
    assert text(one).endswith("BPM: 97.5")
    assert text(ask(model_server, json.dumps({"tempo_bpm": 140}))).endswith("BPM: 140")
    [first, second, _] = model_server.log()
    assert first["outcome"] == "good"
    assert first["paid"]
    assert first["question_hash"] == second["question_hash"]
    assert first["input_tokens"] == one.json()["usage"]["input_tokens"] > 0


def test_the_key_and_the_parameters_are_looked_at(model_server: ModelServer) -> None:
    def error(**changes: Any) -> tuple[int, str]:
        answered = ask(model_server, **changes)
        return answered.status_code, answered.json()["error"]["code"]

    assert error(model="gpt-9") == (404, "model_not_found")
    assert error(model="gpt-6-luna", temperature=1) == (400, "unsupported_parameter")
    assert error(reasoning={"effort": "none"}) == (400, "unsupported_parameter")
    assert error(question="word " * 200_000) == (400, "context_length_exceeded")
    wrong = httpx.get(f"{model_server.openai_url}/models", headers={"authorization": "Bearer no"})
    assert wrong.status_code == 401
    assert not model_server.paid()


@pytest.mark.parametrize("kind", sorted(REFUSALS))
def test_refusals_have_their_status_and_cost_nothing(model_server: ModelServer, kind: str) -> None:
    model_server.set(shares={kind: 1.0})
    assert ask(model_server).status_code == REFUSALS[kind]
    assert not model_server.paid()


@pytest.mark.parametrize("kind", ["cut", "cut_in_body"])
def test_a_connection_is_cut(model_server: ModelServer, kind: str) -> None:
    model_server.set(first=[kind])
    with pytest.raises(httpx.TransportError):
        ask(model_server)
    assert ask(model_server).status_code == 200


def test_a_hanging_call_gives_no_answer(model_server: ModelServer) -> None:
    model_server.set(first=["hang"])
    body = {"model": "gpt-4o-mini", "input": "x"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{model_server.openai_url}/responses", json=body, headers=HEADERS, timeout=0.2)
    assert model_server.state()["in_flight"] == 1


@pytest.mark.parametrize("kind", ["half_json", "no_json"])
def test_bodies_that_are_no_json(model_server: ModelServer, kind: str) -> None:
    model_server.set(each=[kind])
    with pytest.raises(ValueError, match=r"column \d+"):
        ask(model_server).json()
    assert len(model_server.paid()) == 1


def test_each_rule_breaking_answer_is_of_its_kind(model_server: ModelServer) -> None:
    texts = set()
    for kind in RULE_BREAKING:
        model_server.set(shares={kind: 1.0})
        texts.add(text(ask(model_server)))
    assert len(texts) == len(RULE_BREAKING)


def test_a_misspelt_fault_is_no_good_answer(model_server: ModelServer) -> None:
    model_server.set(each=["markdwon"])
    assert ask(model_server).status_code == 418
    assert not model_server.paid()


def test_faults_come_by_question_and_not_by_order() -> None:
    faults, other = (Faults(seed=seed, shares={"busy": 0.05, "markdown": 0.1}) for seed in (7, 8))
    questions = [f"question {number}" for number in range(5000)]
    kinds = [faults.kind(question, 0, 0) for question in questions]
    assert kinds == [faults.kind(question, 9, 0) for question in questions]
    assert kinds != [faults.kind(question, 0, 1) for question in questions]
    assert kinds != [other.kind(question, 0, 0) for question in questions]
    assert 0.04 < kinds.count("busy") / 5000 < 0.06
    assert 0.085 < kinds.count("markdown") / 5000 < 0.115


def test_the_server_ends_with_its_block() -> None:
    with running_server() as server:
        assert server.state()["calls"] == 0
    with pytest.raises(OSError, match="refused"):
        server.state()
