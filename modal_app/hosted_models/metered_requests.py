"""Calls that cost money, many at once, to a service that may be busy, slow or gone. What is asked is not known here.

One thread with its own event loop does the asking; answers come out of an ordinary iterator. A slot is used again only
when its last answer was stored, so that a process that dies loses at most as many answers as it has slots. What
has to wait (429, 5xx, a timeout) gives its slot free and comes back when its time has come.
"""

import asyncio
import heapq
import logging
import queue
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from modal_app.errors import RefusedQuestionError, ServiceError, TryLaterError

Q = TypeVar("Q")
A = TypeVar("A")

log = logging.getLogger(__name__)

_JITTER = 0.25


@dataclass(frozen=True)
class Limits:
    """How much may be asked. Money is counted as answers come, so it is passed by no more than the calls in flight."""

    at_once: int = 16
    budget_usd: float = 5.0
    calls: int = 20_000
    tries: int = 6
    """How often one call is tried before its question is put off."""
    first_wait_seconds: float = 0.5
    """Before the second try, where the service names no time; doubled with each further one."""
    longest_wait_seconds: float = 60.0
    """Who is told to wait longer is put off."""
    silence_seconds: float = 120.0
    """After so long without one answer, to one call after the other, the service counts as gone."""


@dataclass(frozen=True)
class Usage:
    """What calls took: how many, tokens in and out, US dollars."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True)
class Reply(Generic[Q, A]):
    """What one call gave: answers to hand on, and what has to be asked again at once."""

    usage: Usage
    answers: Sequence[A] = ()
    again: Q | None = None


class Service(ABC, Generic[Q, A]):
    """One service, as `PaidCalls` needs it."""

    @abstractmethod
    async def ask(self, question: Q) -> Reply[Q, A]:
        """Make one call.

        Raises:
            TryLaterError: it may work later.
            RefusedQuestionError: this question is the trouble.
            ServiceError: no question will be answered (a wrong key, no credit, no such model).
        """

    @abstractmethod
    def failed(self, question: Q, reason: str) -> Sequence[A]:
        """Return the answers that say that there will be none."""

    @abstractmethod
    def deferred(self, question: Q, reason: str) -> Sequence[A]:
        """Return the answers that say that there is none yet, for a reason that passes."""

    @abstractmethod
    async def close(self) -> None:
        """Close connections."""


@dataclass(order=True)
class _Turn(Generic[Q]):
    due: float
    number: int
    question: Q = field(compare=False)
    tries: int = field(default=0, compare=False)
    reason: str = field(default="", compare=False)


class PaidCalls(Generic[Q, A]):
    """Asks all questions of one round and hands on the answers as they come, in any order."""

    def __init__(self, connect: Callable[[], Service[Q, A]], limits: Limits) -> None:
        """`connect` is called in the event loop's thread."""
        self._connect = connect
        self.limits = limits
        self.used = Usage()
        """What was used until now."""
        self._maybe_usd = 0.0
        self._begun = 0
        self._later: list[_Turn[Q]] = []
        self._busy = 0
        self._in_a_row = 0
        self._pause_until = 0.0
        self._stopped = ""
        self._unusable: ServiceError | None = None
        self._error: BaseException | None = None
        self._out: queue.SimpleQueue[tuple[A, asyncio.Future[None]] | None] = queue.SimpleQueue()

    def answers(self, questions: Iterable[Q]) -> Iterator[list[A]]:
        """Answers until every question has one, those together that came together; to be stored before the next.

        Questions are drawn one at a time, when a slot is free, from another thread. Closing the iterator cancels what
        is in flight.

        Raises:
            ServiceError: the service can't be used; what it had answered until then was handed on.
        """
        loop = asyncio.new_event_loop()
        round_ = loop.create_task(self._ask_all(iter(questions)))
        thread = threading.Thread(target=self._run, args=(loop, round_), name="paid-calls", daemon=True)
        thread.start()
        try:
            while given := self._all_that_is_there():
                yield [answer for answer, _ in given]
                loop.call_soon_threadsafe(_settle, [stored for _, stored in given])
            if self._error is not None:
                raise self._error
        finally:
            if thread.is_alive():
                loop.call_soon_threadsafe(round_.cancel)
            thread.join()
            loop.close()

    def _all_that_is_there(self) -> list[tuple[A, "asyncio.Future[None]"]]:
        """Return what waits to be handed on, at least one; empty when the round is over."""
        given = []
        first = self._out.get()
        while first is not None:
            given.append(first)
            try:
                first = self._out.get_nowait()
            except queue.Empty:
                return given
        if given:
            self._out.put(None)  # to be found next time
        return given

    def _run(self, loop: asyncio.AbstractEventLoop, round_: "asyncio.Task[None]") -> None:
        try:
            loop.run_until_complete(round_)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._out.put(None)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())

    async def _ask_all(self, questions: Iterator[Q]) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._questions = enumerate(questions)
        self._last_answer = self._loop.time()
        service = self._connect()
        try:
            try:
                async with asyncio.TaskGroup() as slots:
                    for _ in range(self.limits.at_once):
                        slots.create_task(self._slot(service))
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
            for turn in sorted(self._later):
                await self._hand_on(service.deferred(turn.question, self._stopped or turn.reason))
            if self._unusable is not None:
                raise self._unusable
            for _, question in self._questions:
                await self._hand_on(service.deferred(question, self._stopped))
        finally:
            await service.close()

    async def _slot(self, service: Service[Q, A]) -> None:
        while (turn := await self._next()) is not None:
            self._busy += 1
            try:
                await self._take(service, turn)
            finally:
                self._busy -= 1
                self._changed.set()

    async def _next(self) -> _Turn[Q] | None:
        """Return the next question to ask: one whose time has come, else a fresh one.

        None when there is nothing more.
        """
        while not self._stopped:
            now = self._loop.time()
            if now < self._pause_until:
                wait: float | None = self._pause_until - now
            elif self._later and self._later[0].due <= now:
                return heapq.heappop(self._later)
            elif (fresh := next(self._questions, None)) is not None:
                return _Turn(now, *fresh)
            elif self._later:
                wait = self._later[0].due - now
            elif self._busy:
                wait = None
            else:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return None

    async def _take(self, service: Service[Q, A], turn: _Turn[Q]) -> None:
        question = turn.question
        while not self._is_used_up():
            self._begun += 1
            try:
                reply = await service.ask(question)
            except TryLaterError as error:
                self._maybe_usd += error.maybe_usd
                await self._postpone(service, turn, question, error)
                return
            except RefusedQuestionError as error:
                await self._hand_on(service.failed(question, str(error)))
                return
            except ServiceError as error:  # what is in flight was paid for and is waited for
                self._unusable, self._stopped = error, str(error)
                await self._hand_on(service.deferred(question, str(error)))  # what it has cost so far is told by this
                return
            self.used += reply.usage
            self._in_a_row, self._last_answer = 0, self._loop.time()
            await self._hand_on(reply.answers)
            if reply.again is None:
                return
            question, turn = reply.again, _Turn(turn.due, turn.number, reply.again)
        await self._hand_on(service.deferred(question, self._stopped))

    def _is_used_up(self) -> bool:
        spent = self.used.cost_usd + self._maybe_usd
        if spent >= self.limits.budget_usd:
            self._stopped = f"the budget of ${self.limits.budget_usd:.2f} is used up"
        elif self._begun >= self.limits.calls:
            self._stopped = f"the limit of {self.limits.calls:,} calls is used up"
        return bool(self._stopped)

    async def _postpone(self, service: Service[Q, A], turn: _Turn[Q], question: Q, error: TryLaterError) -> None:
        limits, now = self.limits, self._loop.time()
        self._in_a_row += 1
        if self._in_a_row > limits.at_once and now - self._last_answer > limits.silence_seconds:
            silence = f"{error}; nothing was answered for {now - self._last_answer:.0f} s, try again later"
            self._unusable, self._stopped = ServiceError(silence), silence
            await self._hand_on(service.deferred(question, silence))
            return
        wait = error.after_seconds
        if wait is None:
            wait = min(limits.first_wait_seconds * 2**turn.tries, limits.longest_wait_seconds)
            wait *= random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        if self._in_a_row > limits.at_once:  # not bad luck of one call: everybody has to wait
            self._pause_until = max(self._pause_until, now + min(wait, limits.longest_wait_seconds))
        if wait > limits.longest_wait_seconds or turn.tries + 1 >= limits.tries:
            why = f"tried {turn.tries + 1} times" if turn.tries else f"to be tried again in {wait:.0f} s"
            await self._hand_on(service.deferred(question, f"{error}; {why}"))
            return
        log.debug("%s; again in %.1f s", error, wait)
        heapq.heappush(self._later, _Turn(now + wait, turn.number, question, turn.tries + 1, str(error)))

    async def _hand_on(self, answers: Sequence[A]) -> None:
        for answer in answers:
            stored = self._loop.create_future()
            self._out.put((answer, stored))
            await stored


def _settle(stored: "list[asyncio.Future[None]]") -> None:
    for each in stored:
        if not each.done():  # cancelled meanwhile
            each.set_result(None)
