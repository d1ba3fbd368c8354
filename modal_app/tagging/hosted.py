"""Tagging by a hosted model: what was paid for is looked up first, the rest is asked, and each answer kept at once."""

from collections.abc import Callable
from itertools import chain

from modal_app.audio.segment_cache import find_prepared, forget
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import scratch_folder
from modal_app.errors import DamagedSegmentError, DawaError, InputError, ServiceError
from modal_app.hosted_models.metered_requests import Limits, PaidCalls, Usage
from modal_app.protocol.base import Event
from modal_app.protocol.tagging import FailedTags, HostedModel, SegmentTags, SegmentToTag, TagRequest, TagResult
from modal_app.tagging.answer_cache import AnswerCache, CachedAnswer
from modal_app.tagging.gemini.models import price_of
from modal_app.tagging.gemini.question import TAG_PROMPT_VERSION
from modal_app.tagging.gemini.service import (
    GeminiTagger,
    Question,
    SegmentOutcome,
    SegmentQuestion,
    calls_at_once,
    questions,
)
from modal_app.tagging.offline import Tagging, tag_silence
from modal_app.tagging.segment_reader import find_segment, read_wav
from modal_app.tagging.tag_key import hint_of


def tag_hosted(request: TagRequest, root: DataRoot, emit: Callable[[Event], None]) -> TagResult:
    """Describe the request's segments; what is known already, silent or missing costs nothing.

    Raises:
        InputError: no model is named, its price is unknown, or the key is missing.
        ServiceError: the service can't be used, and nothing was answered. Once something was, the result says so.
    """
    if request.model is None:
        raise InputError(f"the tagger {request.tagger!r} needs a model; name one in the request")
    with scratch_folder(root.scratch()) as scratch:
        kept = AnswerCache(root, request.model.name, TAG_PROMPT_VERSION, scratch)
        return _Job(request, request.model, root, kept, emit).run()


class _Job:
    """One request on its way to its result."""

    def __init__(
        self, request: TagRequest, model: HostedModel, root: DataRoot, kept: AnswerCache, emit: Callable[[Event], None]
    ) -> None:
        self._request, self._model, self._root, self._kept, self._emit = request, model, root, kept, emit
        self._wanted = {(part.sha256, hint_of(part.bpm)): part for part in request.segments}
        self._tagged: list[SegmentTags] = []
        self._failed: list[FailedTags] = []
        self._damaged: set[str] = set()
        self._used_by: dict[str, Usage] = {}
        self._tagger: GeminiTagger | None = None

    def run(self) -> TagResult:
        """Answer from what is there, ask for the rest."""
        recovered, items = self._look_up()
        used, stopped = self._ask(items) if items else (Usage(), None)
        for audio_hash in self._damaged:
            forget(self._root, audio_hash, self._request.recipe)
        return TagResult(
            tagged=self._tagged,
            failed=self._failed,
            used=used,
            recovered=recovered,
            used_by=self._used_by,
            stopped=stopped,
        )

    def _look_up(self) -> tuple[Usage, list[SegmentQuestion]]:
        hashes = {part.audio_hash for part in self._wanted.values()}
        entries = {key: find_prepared(self._root, key, self._request.recipe) for key in hashes}
        recovered = Usage()
        items: list[SegmentQuestion] = []
        for (sha256, hint), part in self._wanted.items():
            if (answer := self._kept.find(sha256, hint)) is not None:
                recovered += answer.paid
                self._count(answer.tags.served_model or answer.tags.model, answer.paid)
                self._add(part, answer.tags)
                continue
            try:
                segment = find_segment(part, entries[part.audio_hash])
            except DawaError as error:
                self._fail(part, str(error))
                continue
            if segment.silent:
                self._add(part, self._row(part, tag_silence(), 0.0))
            else:
                items.append(SegmentQuestion(part, segment))
        return recovered, items

    def _count(self, model: str, used: Usage) -> None:
        self._used_by[model] = self._used_by.get(model, Usage()) + used

    def _ask(self, items: list[SegmentQuestion]) -> tuple[Usage, str | None]:
        model = self._model
        price_of(model)
        asked = questions(items)
        limits = Limits(at_once=calls_at_once(asked, model.at_once), budget_usd=model.budget_usd, calls=model.calls)
        calls: PaidCalls[Question, SegmentOutcome] = PaidCalls(self._connect, limits)
        waiting = {(item.part.sha256, hint_of(item.part.bpm)): item.part for item in items}
        try:
            for outcome in chain.from_iterable(calls.answers(asked)):
                del waiting[outcome.item.part.sha256, hint_of(outcome.item.part.bpm)]
                self._take(outcome)
        except ServiceError as error:
            if not calls.used.calls:
                raise
            for part in waiting.values():
                self._fail(part, str(error), deferred=True)
            return calls.used, str(error)
        finally:
            for answered_by, used in (self._tagger.used_by if self._tagger else {}).items():
                self._count(answered_by, used)
        return calls.used, None

    def _connect(self) -> GeminiTagger:
        self._tagger = GeminiTagger(
            self._model, self._request.vocabulary, lambda part: read_wav(part, self._root, self._request.recipe)
        )
        return self._tagger

    def _take(self, outcome: SegmentOutcome) -> None:
        part, paid = outcome.item.part, outcome.item.paid
        if outcome.tagging is not None:
            tags = self._row(part, outcome.tagging, paid.cost_usd, outcome.served_model)
            self._kept.keep(CachedAnswer(tags=tags, paid=paid))
            self._add(part, tags)
            return
        if isinstance(outcome.error, DamagedSegmentError):
            self._damaged.add(part.audio_hash)
        self._fail(part, outcome.reason, deferred=outcome.deferred)

    def _row(
        self, part: SegmentToTag, tagging: Tagging, cost_usd: float, served_model: str | None = None
    ) -> SegmentTags:
        return SegmentTags(
            sha256=part.sha256,
            model=self._model.name,
            tag_prompt_version=TAG_PROMPT_VERSION,
            hint=hint_of(part.bpm),
            text=tagging.text,
            tags=tagging.tags,
            figures=tagging.figures,
            cost_usd=cost_usd,
            served_model=served_model,
        )

    def _add(self, part: SegmentToTag, tags: SegmentTags) -> None:
        self._tagged.append(tags)
        self._report(f"segment {part.index}: {tags.text}")

    def _fail(self, part: SegmentToTag, reason: str, *, deferred: bool = False) -> None:
        self._failed.append(FailedTags(sha256=part.sha256, reason=reason, deferred=deferred))
        self._report(f"segment {part.index}: {reason}")

    def _report(self, message: str) -> None:
        done = len(self._tagged) + len(self._failed)
        self._emit(Event(kind="progress", message=message, done=done, total=len(self._wanted)))
