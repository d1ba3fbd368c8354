"""What the hosted writer says of itself: key, model, and how long the model will be there. It costs nothing."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import SecretStr

from resources.prompt_writer.base import Price
from resources.prompt_writer.models import profile_of
from resources.prompt_writer.openai import OpenAIWriter
from tests.fakes.model_server.control import ModelServer

Make = Callable[..., OpenAIWriter]


def day(days: int) -> date:
    return datetime.now(UTC).date() + timedelta(days)


def test_a_good_key_and_a_model_without_an_end(make_writer: Make, model_server: ModelServer) -> None:
    health = make_writer(model="gpt-6-luna").inspect()
    assert (health.service, health.model, health.state, health.ends_on) == ("openai", "gpt-6-luna", "ok", None)
    assert health.detail == "the key is good and the model is there"
    assert not model_server.log()


@pytest.mark.parametrize(("days", "state"), [(400, "ok"), (60, "ok"), (59, "warning"), (1, "warning"), (0, "error"), (-9, "error")])  # fmt: skip  # noqa: E501
def test_the_end_that_the_service_announces(
    make_writer: Make, model_server: ModelServer, days: int, state: str
) -> None:
    model_server.set(models={"gpt-4o-mini": day(days).isoformat()})
    health = make_writer().inspect()
    assert (health.state, health.ends_on) == (state, day(days))
    assert str(day(days)) in health.detail
    assert (state == "ok") != ("set DAWA_OPENAI_MODEL to gpt-6-luna" in health.detail)


def test_the_end_that_is_known_where_the_service_announces_none(make_writer: Make, model_server: ModelServer) -> None:
    known = profile_of("gpt-4o-mini").ends_on
    assert known == date(2027, 1, 14)
    model_server.set(models={"gpt-4o-mini": None, "gpt-3.5-turbo": None, "o1": None})
    assert make_writer().inspect().ends_on == known
    gone = make_writer(model="o1", price=Price(1, 1)).inspect()
    assert gone.state == "warning", "it was to end in October 2026 but the service has it"
    assert "2026-10-23" in gone.detail


@pytest.mark.parametrize("announced", ["2031-05-06T00:00:00Z", "some day", "", "2031-02-31"])
def test_dates_of_other_shapes(make_writer: Make, model_server: ModelServer, announced: str) -> None:
    model_server.set(models={"gpt-6-luna": announced})
    expected = date(2031, 5, 6) if "T" in announced else None
    assert make_writer(model="gpt-6-luna").inspect().ends_on == expected


def test_what_is_wrong_and_the_way_out(make_writer: Make) -> None:
    wrong_key = make_writer(api_key=SecretStr("sk-another-key-0123456789")).inspect()
    no_model = make_writer(model="gpt-9", price=Price(1, 1)).inspect()
    nobody = make_writer(base_url="http://127.0.0.1:9/v1").inspect()
    assert {wrong_key.state, no_model.state, nobody.state} == {"error"}
    assert "put a good one into OPENAI_API_KEY" in wrong_key.detail
    assert "has no model 'gpt-9'" in no_model.detail
    assert "127.0.0.1:9 can't be reached" in nobody.detail
    assert "another-key" not in f"{wrong_key} {no_model} {nobody}"


def test_a_gateway_that_is_none(make_writer: Make, model_server: ModelServer) -> None:
    health = make_writer(base_url=f"{model_server.url}/control/state/v1").inspect()
    assert health.state == "error"
    assert "mend DAWA_OPENAI_BASE_URL" in health.detail


def test_it_does_not_wait_long(make_writer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr("resources.prompt_writer.openai._INSPECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        writer = make_writer(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        assert writer.inspect().state == "error"
