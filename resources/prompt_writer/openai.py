"""The hosted writer: asks a model of OpenAI's, many prompts at once, by the Responses API.

A text that breaks the rules is mended where that needs no new answer, and asked for again otherwise, at most twice,
with what was wrong in the question. Waiting, money and slots are the engine's
(`modal_app/hosted_models/metered_requests.py`).
"""

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from modal_app.errors import DawaError, RefusedQuestionError, ServiceError, TryLaterError
from modal_app.hosted_models.metered_requests import Limits, PaidCalls, Reply, Service, Usage
from modal_app.protocol.tagging import ModelHealth
from modal_app.service_address import ServiceAddress, service_address, trusted_certificates
from resources.errors import PromptWriterError, SettingsError
from resources.prompt_writer.base import Price, PromptAnswer, PromptRequest, PromptWriter
from resources.prompt_writer.models import Profile, profile_of
from resources.prompt_writer.openai_answers import Answered, Words, read_answer, what_status_means

if TYPE_CHECKING:
    from openai import APIError

_ADDRESS = "https://api.openai.com/v1"
_ANSWERS_A_PROMPT = 3
_SHOWN_AGAIN = 1_000  # characters of a bad answer
_CONNECT_SECONDS = 10.0
_INSPECT_SECONDS = 10.0
_WARN_DAYS = 60


class OpenAIWriter(PromptWriter):
    """Writes by a model of OpenAI's, or of a gateway that speaks its API."""

    def __init__(
        self,
        api_key: SecretStr,
        *,
        model: str,
        base_url: str | None = None,
        price: Price | None = None,
        takes_any_model: bool = False,
        limits: Limits | None = None,
        timeout_seconds: float = 45.0,
    ) -> None:
        """Reach nothing yet.

        Args:
            api_key: shown to the service and to nobody else.
            model: as OpenAI names it.
            base_url: a gateway instead of OpenAI itself, with its `/v1`; plain http to this machine only.
            price: goes before what is known of the model's.
            takes_any_model: nobody chose this model; see `PromptWriter`.
            limits: for each call of `write`.
            timeout_seconds: for one call, from beginning to end.

        Raises:
            SettingsError: the key or the address can't be used, or nobody knows what the model costs.
        """
        self._profile = profile_of(model)
        known = price or self._profile.price
        if known is None:
            raise SettingsError(
                f"DAWA_OPENAI_PRICE: what {model!r} costs is not known; "
                "set its dollars per million tokens in and out, as in 0.15/0.60"
            )
        self.model_name = model
        self.price = known
        self.takes_any_model = takes_any_model
        self._key = _checked_key(api_key)
        self._address = _checked_address(base_url or _ADDRESS)
        self._words = Words(self._key.get_secret_value(), model, self._address.shown, is_gateway=base_url is not None)
        self._limits = limits or Limits()
        self._timeout_seconds = timeout_seconds

    def write(self, requests: Iterable[PromptRequest], budget_usd: float | None = None) -> Iterator[list[PromptAnswer]]:
        """Answers as they come; what no call was made for any more is put off.

        Raises:
            PromptWriterError: the key, the credit or the model is no good, or nothing answers.
        """
        limits = self._limits
        if budget_usd is not None:
            limits = replace(limits, budget_usd=min(limits.budget_usd, budget_usd))
        calls = PaidCalls(self._connect, limits)
        try:
            yield from calls.answers(_Question(request) for request in requests)
        except ServiceError as error:
            trouble = str(error)
        else:
            return
        # Outside of the handler: an exception must not drag along what a service said.
        raise PromptWriterError(trouble)

    def _connect(self) -> Service["_Question", PromptAnswer]:
        return _Asking(self._key, self._address, self._words, self._profile, self.price, self._timeout_seconds)

    def inspect(self) -> ModelHealth:
        """Return whether key and model are good, and for how long. Asks the list of models, which costs nothing."""
        found, trouble = self._look_up()
        if isinstance(trouble, ServiceError):
            return self._health("error", str(trouble))
        if trouble is not None:
            return self._health("warning", f"{trouble}; whether the key and the model are good is not known")
        announced = _day(found.get("shutdown_date"))
        ends_on = announced or self._profile.ends_on
        if ends_on is None:
            return self._health("ok", "the key is good and the model is there")
        left = (ends_on - datetime.now(UTC).date()).days
        successor = self._profile.successor
        way_out = f"set DAWA_OPENAI_MODEL to {successor if successor else 'a newer model'}"
        if left <= 0:
            state = "error" if announced else "warning"  # it is there, though this project knew better
            return self._health(state, f"the model was to be shut down on {ends_on}; {way_out}", ends_on)
        if left < _WARN_DAYS:
            return self._health("warning", f"the model is shut down in {left} days, on {ends_on}; {way_out}", ends_on)
        return self._health("ok", f"the key is good; the model is there until {ends_on}", ends_on)

    def _health(self, state: Any, detail: str, ends_on: date | None = None) -> ModelHealth:
        return ModelHealth(service="openai", model=self.model_name, state=state, detail=detail, ends_on=ends_on)

    def _look_up(self) -> tuple[dict[str, Any], DawaError | None]:
        """Return what the service says of the model, and what is wrong."""
        import httpx2
        from openai import APIConnectionError, APIError, OpenAI

        with (
            httpx2.Client(
                follow_redirects=False, trust_env=not self._address.is_here, verify=trusted_certificates()
            ) as http,
            OpenAI(
                api_key=self._key.get_secret_value(),
                base_url=self._address.url,
                max_retries=1,
                timeout=_INSPECT_SECONDS,
                http_client=http,
            ) as client,
        ):
            client.organization = client.project = None
            try:
                found = client.models.with_raw_response.retrieve(self.model_name).http_response.json()
            except APIConnectionError:
                way_out = (
                    "look at DAWA_OPENAI_BASE_URL and the network" if self._words.is_gateway else "try again later"
                )
                return {}, ServiceError(f"OpenAI: {self._words.host} can't be reached or does not answer; {way_out}")
            except APIError as error:
                return {}, _what_it_means(error, self._words, _INSPECT_SECONDS, 0.0)
            except (ValueError, RecursionError):
                found = None
        if not isinstance(found, dict) or not isinstance(found.get("id"), str):
            return {}, TryLaterError(f"{self._words.host} answers, but not as OpenAI does")
        return found, None


@dataclass
class _Question:
    """A request on its way. `bad` is its last answer that could not be used, and why."""

    request: PromptRequest
    used: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    judged: int = 0
    """How many answers were judged; `used.calls` has also those that were none."""
    bad: tuple[str, Sequence[str]] | None = None
    served_model: str | None = None
    """Who gave the last answer, where that is another model than was asked."""

    def messages(self) -> list[dict[str, str]]:
        """Return what is said to the model, beside its instructions."""
        messages = [{"role": "user", "content": _sendable(self.request.context)}]
        if self.bad is None:
            return messages
        text, reasons = self.bad
        if text.strip():
            messages.append({"role": "assistant", "content": _sendable(text[:_SHOWN_AGAIN])})
        why = _sendable("\n".join(f"- {reason}" for reason in reasons))
        again = f"That answer can't be used:\n{why}\nWrite the caption again, by all the rules, and nothing else."
        return [*messages, {"role": "user", "content": again}]

    def without_text(self, reason: str, *, deferred: bool) -> PromptAnswer:
        return PromptAnswer(
            key=self.request.key,
            text=None,
            error=reason,
            used=self.used,
            duration_ms=round(self.seconds * 1000),
            deferred=deferred,
            served_model=self.served_model,
        )


class _Asking(Service[_Question, PromptAnswer]):
    """OpenAI, as the engine calls it: lives in the engine's event loop."""

    def __init__(
        self,
        key: SecretStr,
        address: ServiceAddress,
        words: Words,
        profile: Profile,
        price: Price,
        timeout_seconds: float,
    ) -> None:
        import httpx2
        from openai import AsyncOpenAI

        timeout = httpx2.Timeout(timeout_seconds, connect=min(timeout_seconds, _CONNECT_SECONDS))
        self._client = AsyncOpenAI(
            api_key=key.get_secret_value(),
            base_url=address.url,
            max_retries=0,
            timeout=timeout,
            http_client=httpx2.AsyncClient(
                timeout=timeout,
                follow_redirects=False,
                trust_env=not address.is_here,
                verify=trusted_certificates(),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=30),
            ),
        )
        self._client.organization = self._client.project = None  # from the environment, which is the settings' to read
        self._words = words
        self._price = price
        self._timeout_seconds = timeout_seconds
        self._most_output_tokens = profile.most_output_tokens
        self._asked: dict[str, Any] = {
            "model": words.model,
            "max_output_tokens": profile.most_output_tokens,
            "store": False,
        }
        if profile.temperature is not None:
            self._asked["temperature"] = profile.temperature
        if profile.effort is not None:
            self._asked["reasoning"] = {"effort": profile.effort}

    async def ask(self, question: _Question) -> Reply[_Question, PromptAnswer]:
        """Make one call and judge its text."""
        started = time.perf_counter()
        messages = question.messages()
        guessed = self._guess(question, messages)
        try:
            body = await self._body(question, messages, guessed.cost_usd)
        finally:
            question.seconds += time.perf_counter() - started
        try:
            answered = read_answer(body, self._price, self._words)
        except TryLaterError:
            question.used += Usage(calls=1)
            raise
        if answered is None:
            question.used += guessed
            raise TryLaterError(
                f"{self._words.host} answered with something that is no answer", maybe_usd=guessed.cost_usd
            )
        used = answered.usage or guessed
        question.used += used
        question.served_model = None if answered.answered_by == self._words.model else answered.answered_by
        return self._judged(question, answered, used)

    def _judged(self, question: _Question, answered: Answered, used: Usage) -> Reply[_Question, PromptAnswer]:
        request = question.request
        question.judged += 1
        text = request.fix(answered.text) if answered.text.strip() else ""
        reasons = [answered.trouble] if answered.trouble else request.check(text)
        if not reasons:
            answer = PromptAnswer(
                key=request.key,
                text=text,
                error=None,
                used=question.used,
                duration_ms=round(question.seconds * 1000),
                provenance={
                    "response_id": answered.response_id,
                    "served_model": answered.served_model,
                    "calls": question.used.calls,
                    "mended": int(text != answered.text),
                },
                served_model=question.served_model,
            )
            return Reply(used, [answer])
        if question.judged < _ANSWERS_A_PROMPT:
            question.bad = answered.text, reasons
            return Reply(used, again=question)
        reason = f"no answer of {_ANSWERS_A_PROMPT} can be used; the last one: {self._words.clean(reasons[0])}"
        return Reply(used, [question.without_text(reason, deferred=False)])

    async def _body(self, question: _Question, messages: list[dict[str, str]], maybe_usd: float) -> bytes:
        """Return the body of an answer with status 200."""
        import httpx2
        from openai import APIError

        asked = {**self._asked, "instructions": _sendable(question.request.instructions), "input": messages}
        trouble: DawaError
        try:
            async with asyncio.timeout(self._timeout_seconds):
                # `responses.create` looks through all types that a request may have: a quarter of a call's work.
                response = await self._client.post("/responses", cast_to=httpx2.Response, body=asked)
                return response.content
        except TimeoutError:
            trouble = _no_answer(self._timeout_seconds, maybe_usd)
        except APIError as error:
            trouble = _what_it_means(error, self._words, self._timeout_seconds, maybe_usd)
        # Outside of the handlers, so that it drags along nothing that has seen the key.
        raise trouble

    def _guess(self, question: _Question, messages: list[dict[str, str]]) -> Usage:
        """Return what a call takes at most, where the service doesn't say."""
        letters = len(question.request.instructions.encode("utf-8", "replace"))
        letters += sum(len(message["content"].encode()) for message in messages)
        into = math.ceil(letters / 3)
        return Usage(1, into, self._most_output_tokens, self._price.of(into, self._most_output_tokens))

    def failed(self, question: _Question, reason: str) -> Sequence[PromptAnswer]:
        """Return one answer without a text."""
        return [question.without_text(reason, deferred=False)]

    def deferred(self, question: _Question, reason: str) -> Sequence[PromptAnswer]:
        """Return one answer without a text, which nobody is to blame for."""
        return [question.without_text(reason, deferred=True)]

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


def _what_it_means(error: "APIError", words: Words, seconds: float, maybe_usd: float) -> DawaError:
    """Our error for one of the client's. `maybe_usd`: what a call may have cost of which only the answer is lost."""
    import httpx2
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, APIStatusError):
        return what_status_means(error.status_code, error.response.headers, _body_of(error.response), words)
    if isinstance(error, APIConnectionError):
        if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return TryLaterError(f"{words.host} can't be reached")
        if isinstance(error, APITimeoutError):
            return _no_answer(seconds, maybe_usd)
        return TryLaterError(f"the connection to {words.host} was cut", maybe_usd=maybe_usd)
    return RefusedQuestionError(f"OpenAI: {words.clean(str(error))}")


def _body_of(response: Any) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _no_answer(seconds: float, maybe_usd: float) -> TryLaterError:
    return TryLaterError(f"OpenAI did not answer within {seconds:g} s", maybe_usd=maybe_usd)


def _sendable(text: str) -> str:
    """Return the text without what has no UTF-8: half characters."""
    return text.encode("utf-8", "replace").decode()


def _day(given: Any) -> date | None:
    try:
        return date.fromisoformat(given[:10]) if isinstance(given, str) else None
    except ValueError:
        return None


def _checked_key(key: SecretStr) -> SecretStr:
    """Return the key as it can stand in a header: an illegal one would be named in the error of whoever refuses it."""
    plain = key.get_secret_value().strip()
    if not plain or not plain.isascii() or not plain.isprintable() or " " in plain:
        raise SettingsError("OPENAI_API_KEY: not a key; put the whole key there, without quotes or spaces in it")
    return SecretStr(plain)


def _checked_address(url: str) -> ServiceAddress:
    try:
        return service_address(url, setting="DAWA_OPENAI_BASE_URL", example="https://gateway.example/v1")
    except ValueError as error:
        raise SettingsError(str(error)) from None
