"""What every prompt writer does, whoever it is."""

import threading
from collections.abc import Callable, Iterator

import pytest

from modal_app.hosted_models.metered_requests import Usage
from resources.prompt_writer.base import PromptRequest, PromptWriter
from resources.prompt_writer.offline import OfflineWriter
from resources.prompt_writer.openai import OpenAIWriter
from tests.resources.prompt_writer.conftest import request, requests, written


@pytest.fixture(params=["offline", "openai"])
def any_writer(request: pytest.FixtureRequest) -> PromptWriter:
    if request.param == "offline":
        return OfflineWriter()
    make: Callable[[], OpenAIWriter] = request.getfixturevalue("make_writer")
    return make()


def test_every_request_gets_one_text_that_meets_the_rules(any_writer: PromptWriter) -> None:
    answers = written(any_writer, requests(30))
    assert all(answer.text for answer in answers.values())
    assert all(answer.error is None and not answer.deferred for answer in answers.values())


def test_nothing_wanted_nothing_done(any_writer: PromptWriter) -> None:
    assert list(any_writer.write([])) == []


def test_a_request_that_cannot_be_met_fails_alone(any_writer: PromptWriter) -> None:
    never = request(0, check=lambda _: ["never: nothing is good enough"])
    answers = written(any_writer, [never, *requests(5)[1:]])
    failed = answers.pop("key 0")
    assert failed.text is None
    assert not failed.deferred
    assert "never: nothing is good enough" in failed.error
    assert all(answer.text for answer in answers.values())


def test_answers_report_the_tokens_and_cost_they_used(any_writer: PromptWriter) -> None:
    answers = written(any_writer, requests(4), budget_usd=1.0)
    total = sum((answer.used for answer in answers.values()), Usage())
    assert total.cost_usd == pytest.approx(any_writer.price.of(total.input_tokens, total.output_tokens))
    assert any_writer.model_name
    assert (total.cost_usd > 0) == (any_writer.price.input_usd > 0)


def test_requests_are_drawn_one_at_a_time(any_writer: PromptWriter) -> None:
    drawn: list[str] = []

    def wanted() -> Iterator[PromptRequest]:
        for each in requests(200):
            drawn.append(each.key)
            yield each

    answers = any_writer.write(wanted())
    assert all(answer.text for answer in next(answers))
    assert len(drawn) < 30
    answers.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "paid-calls"]


def test_it_says_how_it_is(any_writer: PromptWriter) -> None:
    health = any_writer.inspect()
    assert health.model == any_writer.model_name
    assert health.state in ("ok", "warning")
