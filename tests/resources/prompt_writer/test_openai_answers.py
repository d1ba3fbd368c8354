"""Bodies of any shape: what the service answers never breaks the reader."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.errors import RefusedQuestionError, ServiceError, TryLaterError
from modal_app.hosted_models.metered_requests import Usage
from resources.prompt_writer.base import Price
from resources.prompt_writer.openai_answers import Answered, Words, read_answer, wait_asked_for, what_status_means

KEY = "sk-proj-abcdefghijklmnop"
WORDS = Words(KEY, "gpt-4o-mini", "gateway.example", is_gateway=True)
PRICE = Price(1.0, 2.0)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([KEY, "message", "refusal"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["output", "content", "type", "text", "refusal", "status", "error", "code", "message", "usage", "id",
             "model", "input_tokens", "output_tokens", "input_tokens_details", "cache_write_tokens",
             "incomplete_details", "reason"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=250, deadline=None)
def test_any_body_is_read_or_refused(body: bytes) -> None:
    read: Answered | TryLaterError | None
    try:
        read = read_answer(body, PRICE, WORDS)
    except TryLaterError as error:
        read = error
    assert KEY not in repr(read)


@given(
    st.dictionaries(st.sampled_from(["output", "status", "error", "usage", "id", "model"]), anything, max_size=3),
    anything,
)
@settings(max_examples=150, deadline=None)
def test_any_answer_with_an_output_has_a_text_or_a_trouble(fields: dict[str, Any], content: Any) -> None:
    output = [{"type": "message", "content": content}, content]
    try:
        answered = read_answer(json.dumps({**fields, "output": output}).encode(), PRICE, WORDS)
    except TryLaterError:
        return
    assert answered is not None
    assert answered.trouble or answered.text.strip()
    assert answered.usage is None or answered.usage.cost_usd >= 0


@given(st.integers(201, 599), st.none() | anything, st.dictionaries(st.sampled_from(["retry-after"]), st.text()))
@settings(max_examples=300, deadline=None)
def test_any_refusal_has_one_line_without_the_key(status: int, body: Any, headers: dict[str, str]) -> None:
    error = what_status_means(status, headers, {"error": body}, WORDS)
    assert isinstance(error, TryLaterError | RefusedQuestionError | ServiceError)
    assert KEY not in str(error)
    assert len(str(error).splitlines()) == 1
    if isinstance(error, TryLaterError):
        assert error.after_seconds is None or error.after_seconds >= 0


@given(st.text(max_size=40) | st.floats().map(str) | st.integers().map(str))
def test_any_wait_is_seconds_or_nothing(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        seconds = wait_asked_for({name: value})
        assert seconds is None or (seconds >= 0 and not math.isnan(seconds))


def test_writing_into_the_service_s_cache_is_counted() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 10, "input_tokens_details": {"cache_write_tokens": 400}}
    output = [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}]
    answered = read_answer(json.dumps({"output": output, "usage": usage}).encode(), PRICE, WORDS)
    assert answered is not None
    assert answered.usage == Usage(1, 1000, 10, pytest.approx(1100e-6 + 20e-6))


def test_keys_are_taken_out_of_what_is_reported() -> None:
    said = WORDS.clean(f"Incorrect API key provided: {KEY}.\nAlso sk-proj-****mnop and\x1b[31m sk-1234567…")
    assert said == "Incorrect API key provided: (the key). Also (a key) and [31m (a key)"
    assert len(WORDS.clean("word " * 1000)) == 200
    assert KEY not in repr(WORDS)
