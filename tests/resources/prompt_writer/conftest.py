"""Requests with the real rules and the real mending, and a writer that asks the server on loopback."""

import json
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import pytest
from pydantic import SecretStr

from dawa_assets.prompting.phrase_matching import no_go_phrases
from dawa_assets.prompting.repair import fixed
from dawa_assets.prompting.rules import PromptRules
from modal_app.hosted_models.metered_requests import Limits
from resources.prompt_writer.base import PromptAnswer, PromptRequest
from resources.prompt_writer.openai import OpenAIWriter
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.fixtures import model_server, model_server_process
from tests.fakes.model_server.openai_api import KEY

__all__ = ["model_server", "model_server_process"]

NO_GO = "Airhorn samples"


def request(number: int = 0, tempo: float = 120.0, **more: Any) -> PromptRequest:
    """One prompt that is wanted; each number is another track."""
    context = {"tempo_bpm": tempo, "track": {"number": number}, "no_go_zones": [NO_GO]}
    rules = PromptRules(tempo=tempo, no_go=tuple(no_go_phrases([NO_GO])))
    given: dict[str, Any] = {
        "key": f"key {number}",
        "instructions": "Write the caption.",
        "context": json.dumps(context),
        "check": rules.broken,
        "fix": lambda text: fixed(text, tempo),
    }
    return PromptRequest(**{**given, **more})


def requests(number: int) -> list[PromptRequest]:
    """So many different ones."""
    return [request(each, tempo=60 + each % 120) for each in range(number)]


def written(writer: OpenAIWriter, wanted: Iterable[PromptRequest], budget_usd: float | None = None) -> Any:
    """All answers, by key; exactly one for each request."""
    wanted = list(wanted)
    answers = list(chain.from_iterable(writer.write(wanted, budget_usd)))
    by_key: dict[str, PromptAnswer] = {answer.key: answer for answer in answers}
    assert len(answers) == len(wanted)
    assert by_key.keys() == {each.key for each in wanted}
    for each in wanted:
        text = by_key[each.key].text
        assert text is None or each.check(text) == []
    return by_key


@pytest.fixture
def make_writer(model_server: ModelServer) -> Callable[..., OpenAIWriter]:
    """A function that makes a writer for the server; what waits, waits shortly."""

    def make(**more: Any) -> OpenAIWriter:
        limits = Limits(
            **{"at_once": 8, "first_wait_seconds": 0.01, "longest_wait_seconds": 5.0, **more.pop("limits", {})}
        )
        given: dict[str, Any] = {
            "api_key": SecretStr(KEY),
            "model": "gpt-4o-mini",
            "base_url": model_server.openai_url,
            "limits": limits,
            "timeout_seconds": 5.0,
        }
        return OpenAIWriter(**{**given, **more})

    return make


@pytest.fixture
def writer(make_writer: Callable[..., OpenAIWriter]) -> OpenAIWriter:
    """A writer by `gpt-4o-mini`."""
    return make_writer()
