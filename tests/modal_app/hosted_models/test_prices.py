"""What hosted models cost, and whose answer an answer is."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.errors import InputError
from modal_app.hosted_models.prices import _SUPPLEMENT, Price, _from_library, known_price, price_of_answer, who_answered
from modal_app.protocol.tagging import HostedModel, ModelHealth
from modal_app.tagging.gemini.models import answering_model, price_of
from modal_app.tagging.gemini.service import _config
from modal_app.tagging.inspect import _with_its_end

BEFORE, SINCE = date(2026, 11, 30), date(2026, 12, 1)


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("openai", "gpt-6-luna", (0.10, 0.50)),
        ("openai", "gpt-6-luna-2026-09-01", (0.10, 0.50)),
        ("openai", "gpt-4o-mini", (0.15, 0.60)),
        ("openai", "openai/gpt-4o-mini", (0.15, 0.60)),
        ("google", "gemini-3.5-flash-lite", (0.30, 2.50)),
        ("google", "models/gemini-3.5-flash-lite-001", (0.30, 2.50)),
        ("google", "gemini-2.5-flash", (1.00, 2.50)),  # of audio, which is dearer there than text
        ("google", "gemini-3-flash-002", (1.00, 3.00)),  # by the supplement
        ("openai", "gpt-4o-mini-2031-01-01", (0.15, 0.60)),
    ],
)
def test_prices(provider: "str", model: str, price: tuple[float, float]) -> None:
    found = known_price(provider, model)  # type: ignore[arg-type]
    assert found is not None
    assert (found.input_usd, found.output_usd) == pytest.approx(price)


def test_a_price_is_that_of_the_day() -> None:
    before, since = (known_price("google", "gemini-3.8-flash", day) for day in (BEFORE, date(2027, 1, 2)))
    assert before is not None
    assert since is not None
    assert since.input_usd > before.input_usd


@pytest.mark.parametrize(
    "model",
    [
        "gpt-9",
        "gemini-3.5-flash-live",
        "whisper-1",
        "ft:gpt-4o-mini-2024-07-18:us::x",
        "gpt-6-luna-tts",
        "",
        "x" * 5_000,
        "a\nb",
        "gpt-6-luna/",
    ],
)
def test_nobody_knows_these(model: str) -> None:
    assert known_price("openai", model) is None


def test_the_supplement_has_only_what_the_library_lacks() -> None:
    for provider, models in _SUPPLEMENT.items():
        for model in models:
            assert _from_library(provider, model, None) is None, f"genai-prices knows {model} by now; take ours out"


@pytest.mark.parametrize(
    ("asked", "served", "recorded"),
    [
        ("gpt-6-luna", "gpt-6-luna-2026-09-01", "gpt-6-luna"),
        ("gpt-6-luna-2026-09-01", "gpt-6-luna", "gpt-6-luna-2026-09-01"),
        ("gpt-6-luna", "openai/gpt-6-luna", "gpt-6-luna"),
        ("models/gemini-3.5-flash-lite", "gemini-3.5-flash-lite-001", "models/gemini-3.5-flash-lite"),
        ("gemini-2.5-flash", "gemini-3.5-flash-lite", "gemini-3.5-flash-lite"),
        ("gemini-2.5-flash-lite", "gemini-2.5-flash", "gemini-2.5-flash"),
        ("gpt-4o", "gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o", None, "gpt-4o"),
        ("gpt-4o", "", "gpt-4o"),
    ],
)
def test_whose_answer_it_is(asked: str, served: str | None, recorded: str) -> None:
    assert who_answered(asked, served) == recorded


@given(st.text(max_size=40), st.text(max_size=40) | st.none())
def test_any_names_give_one_of_the_two(asked: str, served: str | None) -> None:
    assert who_answered(asked, served) in (asked, (served or "").strip().rpartition("/")[2])
    assert who_answered(asked, asked) == asked


def test_an_answer_costs_what_its_own_model_does() -> None:
    own = Price(7, 8)
    assert price_of_answer("openai", "gpt-6-luna", "gpt-6-luna", own) == own
    assert price_of_answer("openai", "gpt-6-luna", "gpt-5.6-luna", own) == known_price("openai", "gpt-5.6-luna")
    assert price_of_answer("openai", "gpt-6-luna", "someone-elses-7b", own) == own, "nobody knows better"
    assert price_of_answer("openai", "our-deployment", "gpt-4o-mini", own) == own, "it is what its owner says"


@pytest.mark.parametrize(
    ("asked", "day", "answers", "thinking"),
    [
        ("gemini-2.5-flash", BEFORE, "gemini-2.5-flash", {"thinking_budget": 0}),
        ("gemini-2.5-flash", SINCE, "gemini-3.5-flash-lite", {"thinking_level": "MINIMAL"}),
        ("models/gemini-2.5-flash", SINCE, "gemini-3.5-flash-lite", {"thinking_level": "MINIMAL"}),
        ("gemini-2.5-pro", BEFORE, "gemini-2.5-pro", None),
        ("gemini-2.5-pro", SINCE, "gemini-3.8-flash", {"thinking_level": "MINIMAL"}),
        ("gemini-2.5-flash-lite", SINCE, "gemini-2.5-flash-lite", {"thinking_budget": 0}),
        ("gemini-3.5-flash-lite", SINCE, "gemini-3.5-flash-lite", {"thinking_level": "MINIMAL"}),
    ],
)
def test_who_answers_on_a_day_and_how_it_is_told_not_to_think(
    asked: str, day: date, answers: str, thinking: dict[str, object] | None
) -> None:
    assert answering_model(asked, day) == answers
    config = _config(answers).thinking_config
    assert (config and config.model_dump(exclude_none=True, mode="json")) == thinking
    assert price_of(HostedModel(name=asked), answers) == known_price("google", answers)


def test_a_stated_price_is_of_the_model_that_is_asked() -> None:
    stated = {"input_usd": 3.0, "output_usd": 4.0}
    assert price_of(HostedModel(name="gemini-2.5-flash", **stated)) == Price(3, 4)
    replaced = price_of(HostedModel(name="gemini-2.5-flash", **stated), "gemini-3.5-flash-lite")
    assert replaced == known_price("google", "gemini-3.5-flash-lite")
    with pytest.raises(InputError, match="DAWA_GEMINI_PRICE"):
        price_of(HostedModel(name="gemini-9-flash"))


@pytest.mark.parametrize(
    ("model", "day", "state", "said"),
    [
        ("gemini-2.5-flash", BEFORE, "warning", "will, from 2026-12-01 on, be answered by gemini-3.5-flash-lite"),
        ("gemini-2.5-flash", SINCE, "warning", "are answered by gemini-3.5-flash-lite; set DAWA_GEMINI_MODEL"),
        ("gemini-2.5-pro", SINCE, "warning", "are answered by gemini-3.8-flash"),
        ("gemini-3.1-flash-lite", BEFORE, "ok", "it is there until 2027-05-07"),
        ("gemini-3.1-flash-lite", date(2027, 4, 1), "warning", "is shut down in 36 days, on 2027-05-07"),
        ("gemini-3.1-flash-lite", date(2027, 6, 1), "warning", "was to be shut down on 2027-05-07"),
        ("gemini-3.5-flash-lite", SINCE, "ok", "good"),
    ],
)
def test_what_is_said_of_a_taggers_end(model: str, day: date, state: str, said: str) -> None:
    health = _with_its_end(ModelHealth(service="gemini", model=model, state="ok", detail="good"), day)
    assert health.state == state
    assert said in health.detail
