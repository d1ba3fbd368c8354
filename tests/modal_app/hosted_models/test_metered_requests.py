"""Many calls at once: slots, waiting, budgets, and what is left of a round that is broken off."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.errors import RefusedQuestionError, ServiceError, TryLaterError
from modal_app.hosted_models.metered_requests import Limits, PaidCalls, Reply, Service, Usage

_QUICK = Limits(at_once=4, first_wait_seconds=0.01, longest_wait_seconds=1.0)


@dataclass(frozen=True)
class Answer:
    number: int
    state: str
    reason: str = ""


@dataclass
class Script(Service[int, Answer]):
    """A service that does what each question's list of steps says, then answers."""

    steps: dict[int, list[object]] = field(default_factory=dict)
    seconds: float = 0.0
    cost: float = 0.01
    calls: list[int] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    closed: bool = False

    async def ask(self, question: int) -> Reply[int, Answer]:
        self.calls.append(question)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.in_flight -= 1
        step = self.steps[question].pop(0) if self.steps.get(question) else "answer"
        if isinstance(step, Exception):
            raise step
        used = Usage(1, 100, 10, self.cost)
        if step == "again":
            return Reply(used, again=question)
        return Reply(used, [Answer(question, "answered")])

    def failed(self, question: int, reason: str) -> Sequence[Answer]:
        return [Answer(question, "failed", reason)]

    def deferred(self, question: int, reason: str) -> Sequence[Answer]:
        return [Answer(question, "put off", reason)]

    async def close(self) -> None:
        self.closed = True


def _round(script: Script, questions: int, limits: Limits = _QUICK) -> list[Answer]:
    answers = PaidCalls(lambda: script, limits).answers(range(questions))
    return sorted(chain.from_iterable(answers), key=lambda answer: answer.number)


def test_every_question_is_answered_within_the_call_limit() -> None:
    script = Script(seconds=0.01)
    assert _round(script, 50) == [Answer(number, "answered") for number in range(50)]
    assert sorted(script.calls) == list(range(50))
    assert script.most_in_flight == 4
    assert script.closed


def test_a_question_that_must_wait_frees_its_slot() -> None:
    script = Script({0: [TryLaterError("busy", after_seconds=2.0)]})
    started = time.monotonic()
    answers = chain.from_iterable(PaidCalls(lambda: script, Limits(at_once=1)).answers(range(5)))
    assert [answer.number for answer in answers] == [1, 2, 3, 4, 0]
    assert time.monotonic() - started >= 2.0
    assert script.calls == [0, 1, 2, 3, 4, 0]


def test_a_question_never_answered_is_put_off_with_a_reason() -> None:
    script = Script({1: [TryLaterError("HTTP 500")] * 9})
    answers = _round(script, 3)
    assert answers[1] == Answer(1, "put off", "HTTP 500; tried 6 times")
    assert [answer.state for answer in answers] == ["answered", "put off", "answered"]


def test_who_is_told_to_wait_for_hours_is_put_off_at_once() -> None:
    script = Script({0: [TryLaterError("busy", after_seconds=7200)]})
    assert _round(script, 1) == [Answer(0, "put off", "busy; to be tried again in 7200 s")]
    assert script.calls == [0]


def test_a_refused_question_fails_and_the_others_go_on() -> None:
    answers = _round(Script({2: [RefusedQuestionError("too long")]}), 4)
    assert answers[2] == Answer(2, "failed", "too long")
    assert [answer.state for answer in answers].count("answered") == 3


def test_what_is_asked_again_is_counted_again() -> None:
    script = Script({0: ["again", "again"]})
    calls = PaidCalls(lambda: script, _QUICK)
    assert [answer.state for [answer] in calls.answers(range(1))] == ["answered"]
    assert calls.used == Usage(3, 300, 30, pytest.approx(0.03))


def test_when_the_service_fails_answers_in_flight_are_kept() -> None:
    script = Script({3: [ServiceError("no credit")]}, seconds=0.05)
    got: list[Answer] = []

    def collect() -> None:
        for answers in PaidCalls(lambda: script, _QUICK).answers(range(100)):
            got.extend(answers)

    with pytest.raises(ServiceError, match="no credit"):
        collect()
    assert sorted(got, key=lambda answer: answer.number) == [
        *(Answer(number, "answered") for number in range(3)),
        Answer(3, "put off", "no credit"),
    ]
    assert len(script.calls) == 4
    assert script.closed


def test_silence_to_one_call_after_the_other_ends_the_round() -> None:
    script = Script({number: [TryLaterError("timed out")] * 99 for number in range(200)}, seconds=0.01)
    limits = Limits(at_once=4, first_wait_seconds=0.01, silence_seconds=0.2)
    with pytest.raises(ServiceError, match=r"timed out; nothing was answered for \d+ s"):
        list(PaidCalls(lambda: script, limits).answers(range(200)))
    assert len(script.calls) < 200 * limits.tries


@given(at_once=st.integers(1, 8), cost=st.floats(0.01, 0.5), budget=st.floats(0.0, 3.0), again=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_budget_is_exceeded_only_by_calls_in_flight(at_once: int, cost: float, budget: float, again: bool) -> None:
    steps: dict[int, list[object]] = {number: ["again"] for number in range(30)} if again else {}
    script = Script(steps, cost=cost, seconds=0.001)
    calls = PaidCalls(lambda: script, Limits(at_once=at_once, budget_usd=budget))
    answers = list(chain.from_iterable(calls.answers(range(30))))
    assert len({answer.number for answer in answers}) == len(answers) == 30
    assert calls.used.cost_usd <= budget + at_once * cost + 1e-9
    deferred = [answer.reason for answer in answers if answer.state == "put off"]
    assert all("budget" in reason for reason in deferred)
    assert deferred or calls.used.calls == (60 if again else 30)


def test_a_call_without_an_answer_counts_its_possible_cost() -> None:
    script = Script({0: [TryLaterError("timed out", maybe_usd=0.5)]})
    answers = _round(script, 10, Limits(at_once=1, budget_usd=0.4, first_wait_seconds=0.01))
    assert {answer.state for answer in answers} == {"put off"}
    assert script.calls == [0]


def test_the_number_of_calls_is_bounded() -> None:
    script = Script({number: ["again"] * 99 for number in range(5)})
    answers = _round(script, 5, Limits(at_once=2, calls=7))
    assert len(script.calls) == 7
    assert {answer.reason for answer in answers} == {"the limit of 7 calls is used up"}


def test_closing_the_iterator_cancels_calls_in_flight() -> None:
    script = Script(seconds=0.02)
    answers = PaidCalls(lambda: script, _QUICK).answers(range(1000))
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert script.closed
    assert len(script.calls) < 20
    assert not [thread for thread in threading.enumerate() if thread.name == "paid-calls"]


def test_no_slot_runs_ahead_of_answers_that_are_not_yet_stored() -> None:
    script = Script()
    answers = PaidCalls(lambda: script, _QUICK).answers(range(100))
    stored = 0
    while stored < 50:
        given = next(answers)
        time.sleep(0.005)
        assert len(script.calls) <= stored + 4, "what was handed on is not stored before the next is asked for"
        stored += len(given)
    answers.close()  # type: ignore[attr-defined]


def test_an_error_of_the_questions_themselves_is_raised() -> None:
    def questions() -> Iterator[int]:
        yield 1
        raise LookupError("no context")

    with pytest.raises(LookupError, match="no context"):
        list(PaidCalls(Script, _QUICK).answers(questions()))
