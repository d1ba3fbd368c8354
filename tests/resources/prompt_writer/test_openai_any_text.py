"""Texts of any kind from the model: none gets past the rules, none breaks the writer."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.prompt_writer.openai import OpenAIWriter
from tests.fakes.model_server.control import ModelServer
from tests.resources.prompt_writer.conftest import request, written

_ODD = [
    "",
    " ",
    "\x00",
    "‮evil",
    "\ud83d",
    "```json\n{}\n```",
    '{"caption": "x"}',
    "BPM: 120",
    "BPM: BPM: 1",
    "a" * 50_000,
]
texts = st.text(st.characters(), max_size=300) | st.sampled_from(_ODD) | st.text("*#`_\"' \n.:BPM0123", max_size=60)


@given(texts)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_becomes_a_valid_prompt_or_a_failure(
    writer: OpenAIWriter, model_server: ModelServer, text: str
) -> None:
    model_server.reset()
    model_server.set(text=text)
    [answer] = written(writer, [request()]).values()
    assert (answer.text is None) == bool(answer.error)
    assert answer.used.calls == len(model_server.log()) <= 3
    assert not answer.deferred


@given(st.text(st.characters(), max_size=200))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_context_is_sent(writer: OpenAIWriter, words: str) -> None:
    context = json.dumps({"tempo_bpm": 120, "track": words}, ensure_ascii=False)
    [answer] = written(writer, [request(context=context, instructions=words)]).values()
    assert answer.text
