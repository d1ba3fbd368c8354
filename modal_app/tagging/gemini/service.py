"""Gemini as a paid service: several segments a call, each answer checked, what is unusable asked again. No files here.

A call's cost is shared by the segments that were in it; a segment that is asked again carries its share along, so the
rows add up to the bill.
"""

import asyncio
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from modal_app.errors import DawaError, InputError, RefusedQuestionError, ServiceError
from modal_app.hosted_models.metered_requests import Reply, Service, Usage
from modal_app.hosted_models.prices import who_answered
from modal_app.protocol.audio import Segment
from modal_app.protocol.tagging import HostedModel, SegmentToTag
from modal_app.service_address import service_address, trusted_certificates
from modal_app.tagging.gemini.answer import read_answer, tagging_of
from modal_app.tagging.gemini.failures import trouble
from modal_app.tagging.gemini.models import AUDIO_TOKENS_PER_SECOND, answering_model, price_of, thinking_of
from modal_app.tagging.gemini.question import INSTRUCTION, SegmentAnswer, announce, style_facts
from modal_app.tagging.offline import Tagging

if TYPE_CHECKING:
    from google.genai import Client
    from google.genai.types import GenerateContentConfig, GenerateContentResponse

KEY = "GEMINI_API_KEY"
BASE_URL = "https://generativelanguage.googleapis.com"

MAX_SEGMENTS, MAX_BYTES = 8, 12 << 20
MAX_BYTES_IN_FLIGHT = 64 << 20  # of wav; a call takes up to five times its own in memory
_MODEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_/-]|\.(?!\.)){0,127}")
_MAX_QUESTIONS = 3
_MAX_REFUSED = 16
_TOKENS_OUT = 160  # of one segment's answer, to estimate what a call without an answer may have cost
_MAX_TOKENS_OUT = 600
_TOKENS_BESIDE = 900

LoadWav = Callable[[SegmentToTag], bytes]


@dataclass(frozen=True)
class SegmentQuestion:
    """A segment that is to be tagged, with what was spent on it until now."""

    part: SegmentToTag
    segment: Segment
    asked: int = 0
    paid: Usage = field(default_factory=Usage)
    complaint: str = ""


@dataclass(frozen=True)
class Question:
    """Segments that are asked for one after the other, at most so many in one call."""

    items: tuple[SegmentQuestion, ...]
    at_most: int = MAX_SEGMENTS


@dataclass(frozen=True)
class SegmentOutcome:
    """What became of one segment: a tagging, or the reason why there is none."""

    item: SegmentQuestion
    tagging: Tagging | None = None
    reason: str = ""
    deferred: bool = False
    error: DawaError | None = None
    """The reason where the trouble is the segment's own."""
    served_model: str | None = None
    """The model that answered, where that is another one than was asked."""


def questions(items: Sequence[SegmentQuestion]) -> list[Question]:
    """Return the items in calls that are bounded in number and bytes, in their order."""
    found: list[Question] = []
    batch: list[SegmentQuestion] = []
    size = 0
    for item in items:
        weight = 2 * item.segment.samples
        if batch and (len(batch) == MAX_SEGMENTS or size + weight > MAX_BYTES):
            found.append(Question(tuple(batch)))
            batch, size = [], 0
        batch.append(item)
        size += weight
    return [*found, Question(tuple(batch))] if batch else found


def calls_at_once(asked: Sequence[Question], at_most: int) -> int:
    """Return how many of these calls may be in flight, so that memory stays bounded."""
    largest = max((sum(2 * item.segment.samples for item in question.items) for question in asked), default=1)
    return max(1, min(at_most, MAX_BYTES_IN_FLIGHT // largest))


def api_key() -> str:
    """Return the key from this process's environment.

    Raises:
        InputError: there is none, or one that can't be a key.
    """
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise InputError(f"{KEY} is not set, and the tagger `gemini` needs it; set it, or DAWA_TAGGER=offline")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"{KEY} holds characters that no key has; copy it again")
    return key


def connect(model: HostedModel) -> "Client":
    """Return a client that asks once, waits as long as it is told, and follows no redirect with the key.

    Raises:
        InputError: no key, a model or a base URL that is none, or google-genai is not installed.
    """
    key = api_key()
    try:
        address = service_address(
            model.base_url or BASE_URL, setting="DAWA_GEMINI_BASE_URL", example="https://gateway.example"
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    if not _MODEL_NAME.fullmatch(model.name):
        raise InputError(f"DAWA_GEMINI_MODEL: {model.name[:80]!r} is no model's name; set one like gemini-2.5-flash")
    try:
        import httpx
        from google import genai
        from google.genai.types import HttpOptions
    except ImportError:
        raise InputError("the tagger `gemini` needs google-genai; install dawa-assets[hosted]") from None
    limits = httpx.Limits(max_connections=model.at_once, max_keepalive_connections=model.at_once)
    return genai.Client(
        vertexai=False,
        api_key=key,
        http_options=HttpOptions(
            base_url=address.url,
            api_version="v1beta",
            timeout=round(model.timeout_seconds * 1000),
            httpx_async_client=httpx.AsyncClient(
                limits=limits,
                timeout=model.timeout_seconds,
                follow_redirects=False,
                trust_env=not address.is_here,
                verify=trusted_certificates(),
            ),
        ),
    )


class GeminiTagger(Service[Question, SegmentOutcome]):
    """Asks one Gemini model about segments of one artist."""

    def __init__(
        self, model: HostedModel, vocabulary: Sequence[str], load: LoadWav, *, day: date | None = None
    ) -> None:
        """Reach nothing yet.

        Args:
            model: what to ask.
            vocabulary: the artist's words for their style.
            load: gives a segment's wav and raises a `DawaError` where it can't; it is called in other threads.
            day: today (UTC), which decides who answers for a model that was replaced.
        """
        self._model, self._load = model, load
        self.used_by: dict[str, Usage] = {}
        """What was used until now, by the model that answered."""
        self._answered_by = answering_model(model.name, day or datetime.now(UTC).date())
        self._price = price_of(model, self._answered_by)
        self._style = style_facts(vocabulary)
        self._client = connect(model)
        self._config = _config(self._answered_by)
        self._answered = False
        self._refused = 0

    async def ask(self, question: Question) -> Reply[Question, SegmentOutcome]:
        """Make one call for the question's first segments; see `Service.ask`."""
        batch, rest = question.items[: question.at_most], question.items[question.at_most :]
        loaded, unreadable = await asyncio.to_thread(self._load_all, batch)
        if not loaded:
            return Reply(Usage(), unreadable, _again(rest, question.at_most))
        try:
            response = await self._call(loaded)
        except RefusedQuestionError as refusal:
            return self._refuse([item for item, _ in loaded], rest, unreadable, str(refusal))
        self._answered = True
        self._follow(response.model_version)
        used = self._usage(response, loaded)
        self.used_by[self._answered_by] = self.used_by.get(self._answered_by, Usage()) + used
        shares = share(used, len(loaded))
        items = [
            replace(item, asked=item.asked + 1, paid=item.paid + paid)
            for (item, _), paid in zip(loaded, shares, strict=True)
        ]
        served = None if self._answered_by == self._model.name else self._answered_by
        answers, unusable = _sorted_out(items, response, served)
        again = [item for item in unusable if item.asked < _MAX_QUESTIONS]
        answers += [
            SegmentOutcome(item, reason=f"no usable answer in {item.asked} calls: {item.complaint}")
            for item in unusable
            if item.asked >= _MAX_QUESTIONS
        ]
        at_most = question.at_most if len(again) < len(items) else max(1, question.at_most // 2)
        return Reply(used, [*unreadable, *answers], _again([*rest, *again], at_most))

    def failed(self, question: Question, reason: str) -> Sequence[SegmentOutcome]:
        """Return None of these will get an answer."""
        return [SegmentOutcome(item, reason=reason) for item in question.items]

    def deferred(self, question: Question, reason: str) -> Sequence[SegmentOutcome]:
        """Return None of these has an answer yet."""
        return [SegmentOutcome(item, reason=reason, deferred=True) for item in question.items]

    async def close(self) -> None:
        """Close connections."""
        await self._client.aio.aclose()

    def _load_all(
        self, batch: Sequence[SegmentQuestion]
    ) -> tuple[list[tuple[SegmentQuestion, bytes]], list[SegmentOutcome]]:
        loaded: list[tuple[SegmentQuestion, bytes]] = []
        unreadable: list[SegmentOutcome] = []
        for item in batch:
            try:
                loaded.append((item, flac(self._load(item.part))))
            except DawaError as error:
                unreadable.append(SegmentOutcome(item, reason=str(error), error=error))
        return loaded, unreadable

    async def _call(self, loaded: list[tuple[SegmentQuestion, bytes]]) -> "GenerateContentResponse":
        from google.genai.types import Content, Part

        parts = [Part.from_text(text=self._style)]
        for number, (item, audio) in enumerate(loaded, 1):
            parts.append(Part.from_text(text=announce(f"s{number}", item.part.bpm, item.complaint)))
            parts.append(Part.from_bytes(data=audio, mime_type="audio/flac"))
        try:
            async with asyncio.timeout(self._model.timeout_seconds):
                return await self._client.aio.models.generate_content(
                    model=self._model.name, contents=[Content(role="user", parts=parts)], config=self._config
                )
        except Exception as error:
            raise trouble(error, self._model, maybe_usd=self._estimate(loaded)) from None

    def _refuse(
        self,
        items: list[SegmentQuestion],
        rest: Sequence[SegmentQuestion],
        unreadable: list[SegmentOutcome],
        reason: str,
    ) -> Reply[Question, SegmentOutcome]:
        """Return a refused call is not paid for. One segment may be the trouble of all in the call: ask one by one."""
        if len(items) > 1:
            return Reply(Usage(), unreadable, Question((*items, *rest), 1))
        self._refused += 1
        if not self._answered and self._refused >= _MAX_REFUSED:
            raise ServiceError(
                f"{self._model.name}: every segment is refused ({reason}); set another DAWA_GEMINI_MODEL"
            )
        return Reply(Usage(), [*unreadable, SegmentOutcome(items[0], reason=reason)], _again(rest, 1))

    def _follow(self, served: str | None) -> None:
        """Go by the price and the rules of the model that really answers."""
        if not served or (answered := who_answered(self._model.name, served)) == self._answered_by:
            return
        self._answered_by = answered
        self._price, self._config = price_of(self._model, answered), _config(answered)

    def _usage(self, response: "GenerateContentResponse", loaded: list[tuple[SegmentQuestion, bytes]]) -> Usage:
        """Return what the service says that the call took; where it says nothing, what it must have cost."""
        usage = response.usage_metadata
        if usage is None:
            return Usage(1, 0, 0, self._estimate(loaded))
        tokens_in = max(0, usage.prompt_token_count or 0)
        tokens_out = max(0, usage.candidates_token_count or 0) + max(0, usage.thoughts_token_count or 0)
        return Usage(1, tokens_in, tokens_out, self._price.of(tokens_in, tokens_out))

    def _estimate(self, loaded: list[tuple[SegmentQuestion, bytes]]) -> float:
        seconds = sum(item.segment.samples for item, _ in loaded) / 44_100
        tokens = round(seconds * AUDIO_TOKENS_PER_SECOND) + _TOKENS_BESIDE
        return self._price.of(tokens, _TOKENS_OUT * len(loaded))


def flac(wav: bytes) -> bytes:
    """Return the same samples as FLAC."""
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(wav), dtype="int16")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def share(used: Usage, parts: int) -> list[Usage]:
    """Return a call's usage in equal parts that add up to it; the call itself is counted in the first."""
    tokens_in, tokens_out = divmod(used.input_tokens, parts), divmod(used.output_tokens, parts)
    return [
        Usage(
            used.calls if number == 0 else 0,
            tokens_in[0] + (number < tokens_in[1]),
            tokens_out[0] + (number < tokens_out[1]),
            used.cost_usd / parts,
        )
        for number in range(parts)
    ]


def _again(items: Sequence[SegmentQuestion], at_most: int) -> Question | None:
    return Question(tuple(items), at_most) if items else None


def _sorted_out(
    items: list[SegmentQuestion], response: "GenerateContentResponse", served: str | None
) -> tuple[list[SegmentOutcome], list[SegmentQuestion]]:
    """Return the usable answers, and the items that have none, each with its complaint."""
    entries, missing = read_answer(_text_of(response), [f"s{number}" for number in range(1, len(items) + 1)])
    answers: list[SegmentOutcome] = []
    unusable: list[SegmentQuestion] = []
    for number, item in enumerate(items, 1):
        entry = entries.get(f"s{number}")
        tagging = missing if entry is None else tagging_of(entry, item.part.bpm)
        if isinstance(tagging, Tagging):
            answers.append(SegmentOutcome(item, tagging, served_model=served))
        else:
            unusable.append(replace(item, complaint=tagging))
    return answers, unusable


def _text_of(response: "GenerateContentResponse") -> str | None:
    """Return the text of the first candidate; None where it was blocked or cut off."""
    candidate = next(iter(response.candidates or []), None)
    if (
        candidate is None
        or candidate.content is None
        or str(candidate.finish_reason or "STOP").split(".")[-1] != "STOP"
    ):
        return None
    return "".join(part.text or "" for part in candidate.content.parts or [] if not part.thought)


def _config(name: str) -> "GenerateContentConfig":
    """Return what a call is made with that this model answers."""
    from google.genai.types import GenerateContentConfig, ThinkingConfig, ThinkingLevel

    thinking = {
        "no budget": ThinkingConfig(thinking_budget=0),
        "minimal": ThinkingConfig(thinking_level=ThinkingLevel.MINIMAL),
    }.get(thinking_of(name))
    return GenerateContentConfig(
        system_instruction=INSTRUCTION,
        response_mime_type="application/json",
        response_schema=list[SegmentAnswer],
        max_output_tokens=MAX_SEGMENTS * _MAX_TOKENS_OUT + (0 if thinking else 4_096),
        thinking_config=thinking,
    )
