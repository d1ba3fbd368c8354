"""Brings an artist's prompts up to date: finds the stale ones, takes over what was written before, asks for the rest.

Each answer is stored when it arrives, with its item's move, so that a crash costs at most the answers in flight. What
a person wrote is left alone. One prompt that can't be written fails its item and nothing else.
"""

import json
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from dawa_assets.artists.profile import ObservedProfile, observed_profile, validate_profile
from dawa_assets.artists.store import Artist, get_artist
from dawa_assets.errors import InvalidProfileError
from dawa_assets.leases import Lease, lease
from dawa_assets.prompting import store
from dawa_assets.prompting.context import build_context
from dawa_assets.prompting.fingerprint import human_fingerprint, prompt_fingerprint
from dawa_assets.prompting.rules import PromptRules, rules_for
from dawa_assets.prompting.staleness import Wanted, is_human, why_stale
from dawa_assets.prompting.system_prompt import system_prompt
from dawa_assets.prompting.track import tempo_of
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer, PromptRequest

T = TypeVar("T")

log = logging.getLogger(__name__)

_SUMMARIES_AT_ONCE = 8  # a large set's summary has 5 MB
_EXAMPLES = 5
_MOST_NOTES = 50


@dataclass(frozen=True)
class PromptExample:
    """A prompt before and after this run; `before` is empty where there was none."""

    item: str
    before: str
    after: str


@dataclass(frozen=True)
class PromptsReport:
    """What became of an artist's prompts. Items are counted, `failed` has (name, reason).

    `written` were asked for, `reused` had been written before for the same inputs, `unchanged` are current, `human`
    are people's texts, `overtaken` were changed by somebody else meanwhile and are looked at again.
    """

    written: int
    reused: int
    unchanged: int
    human: int
    overtaken: int
    failed: list[tuple[str, str]]
    stale_because: dict[str, int]
    notes: list[str]
    tokens: int
    cost_usd: float
    examples: list[PromptExample]
    seconds: float

    @property
    def headline(self) -> str:
        """The report on one line."""
        counts = {
            "written": self.written,
            "taken over": self.reused,
            "current": self.unchanged,
            "by people": self.human,
            "overtaken": self.overtaken,
            "failed": len(self.failed),
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no set to write a prompt for"


def refresh_prompts(ports: Ports, slug: str) -> PromptsReport:
    """Bring the artist's prompts up to date with profile, summaries, system prompt and writer.

    Raises:
        UnknownArtistError: no artist has this slug.
        SettingsError: there is no system prompt of the version that is set.
        BusyError: another process is writing this artist's prompts.
        PromptWriterError: the writer can't be used at all; what it wrote until then is stored.
    """
    started = time.monotonic()
    instructions = system_prompt(ports.settings.system_prompt_version)
    with ports.database.transaction() as connection:
        artist = get_artist(connection, slug)
    settings = ports.settings
    with lease(
        ports.database, artist.id, "prompts", seconds=settings.lease_seconds, wait_seconds=settings.lease_wait_seconds
    ) as held:
        refresh = _Refresh(ports, artist, held, instructions)
        refresh.run()
    return refresh.tally.report(time.monotonic() - started)


@dataclass
class _Tally:
    written: int = 0
    reused: int = 0
    unchanged: int = 0
    human: int = 0
    overtaken: int = 0
    open: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    stale_because: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tokens: int = 0
    cost_usd: float = 0.0
    examples: list[PromptExample] = field(default_factory=list)

    def report(self, seconds: float) -> PromptsReport:
        return PromptsReport(
            written=self.written,
            reused=self.reused,
            unchanged=self.unchanged,
            human=self.human,
            overtaken=self.overtaken,
            failed=self.failed,
            stale_because=self.stale_because,
            notes=self.notes,
            tokens=self.tokens,
            cost_usd=round(self.cost_usd, 6),
            examples=self.examples,
            seconds=round(seconds, 3),
        )


@dataclass
class _Question:
    """What one fingerprint asks, and the items (of equal sets, perhaps several) that wait for the answer."""

    context: str
    rules: PromptRules
    items: list[store.Item]


class _Refresh:
    """One run: plan everything, then take over, then ask. Nothing is kept in memory but the questions."""

    def __init__(self, ports: Ports, artist: Artist, held: Lease, instructions: str) -> None:
        self.ports = ports
        self.artist = artist
        self.held = held
        self.instructions = instructions
        self.tally = _Tally()
        self.questions: dict[str, _Question] = {}

    def run(self) -> None:
        with self.ports.database.transaction() as connection:
            self.profile = observed_profile(connection, self.artist.id)
            items = store.items_with_prompts(connection, self.artist.id)
        self.wanted = Wanted(
            schema_version=self.profile.schema_version,
            profile_hash=self.profile.content_hash,
            system_prompt_version=self.ports.settings.system_prompt_version,
            model_name=self.ports.prompt_writer.model_name,
        )
        self.tally.notes += _notes(self.profile)
        human = [item for item in items if is_human(item)]
        self._keep_human(human)
        self._judge_human(human)
        self._plan([item for item in items if not is_human(item) and item.als_summary_id is not None])
        self._take_over()
        self._ask()
        if not self.tally.open and not self.tally.overtaken:
            with self.ports.database.transaction() as connection:
                self.held.check(connection)
                store.complete(
                    connection,
                    self.artist.id,
                    profile_hash=self.wanted.profile_hash,
                    schema_version=self.wanted.schema_version,
                    version=self.wanted.system_prompt_version,
                    model_name=self.wanted.model_name,
                )

    def _keep_human(self, items: list[store.Item]) -> None:
        for item in items:
            self.tally.human += 1
            linked = item.origin == "human" and item.text == item.prompt_text
            if linked and not _is_unsettled(item):
                continue
            fingerprint = human_fingerprint(item.id, item.prompt_text or "")
            with self.ports.database.transaction() as connection:
                self.held.check(connection)
                kept = (
                    store.settle(connection, item)
                    if linked
                    else store.keep_human_text(connection, self.artist.id, item, fingerprint)
                )
            self.tally.overtaken += not kept

    def _judge_human(self, items: list[store.Item]) -> None:
        """Say which rules people's texts break. They stay as they are: it is the artist's own word."""
        with self.ports.database.transaction() as connection:
            ids = [item.als_summary_id for item in items if item.als_summary_id is not None]
            tempos = store.tempos(connection, self.artist.id, ids) if ids else {}
        for item in items:
            summary = {"overview": {"tempo": tempos.get(item.als_summary_id) if item.als_summary_id else None}}
            if tempo_of(summary) is None or len(self.tally.notes) >= _MOST_NOTES:
                continue
            rules = rules_for(self.profile.master_schema, summary, artist_name=self.artist.name)
            if broken := rules.broken(item.prompt_text or ""):
                self.tally.notes.append(f"{item.name}: a person's text, left as it is, breaks {broken[0]}")

    def _plan(self, items: list[store.Item]) -> None:
        for batch in _batches(items, _SUMMARIES_AT_ONCE):
            ids = [item.als_summary_id for item in batch if item.als_summary_id is not None]
            with self.ports.database.transaction() as connection:
                texts = store.summary_texts(connection, self.artist.id, ids)
            for item in batch:
                self._plan_one(item, texts.get(_summary_id(item)))

    def _plan_one(self, item: store.Item, summary_text: str | None) -> None:
        if summary_text is None:
            self._fail([item], "its summary is not one of this artist's; upload the set again", for_good=True)
            return
        summary = _json(summary_text)
        if tempo_of(summary) is None:
            self._fail([item], "its summary has no tempo that a set can have; upload the set again", for_good=True)
            return
        profile, name = self.profile.master_schema, self.artist.name
        context = build_context(
            profile, summary, artist_name=name, summary_ids={item.parse_id, str(item.als_summary_id)}
        )
        fingerprint = prompt_fingerprint(
            instructions=self.instructions,
            context=context,
            model_name=self.wanted.model_name,
            system_prompt_version=self.wanted.system_prompt_version,
            schema_version=self.wanted.schema_version,
        )
        reason = why_stale(item, fingerprint, self.wanted)
        if reason is None:
            self._keep_current(item)
            return
        self.tally.stale_because[reason] = self.tally.stale_because.get(reason, 0) + 1
        question = self.questions.get(fingerprint)
        if question is None:
            rules = rules_for(profile, summary, artist_name=name, context=context)
            self.questions[fingerprint] = question = _Question(context, rules, [])
        question.items.append(item)

    def _keep_current(self, item: store.Item) -> None:
        self.tally.unchanged += 1
        if not _is_unsettled(item):
            return
        with self.ports.database.transaction() as connection:
            self.held.check(connection)
            self.tally.overtaken += not store.settle(connection, item)

    def _take_over(self) -> None:
        for batch in _batches(list(self.questions), 500):
            with self.ports.database.transaction() as connection:
                known = store.prompts_of(connection, self.artist.id, batch)
            for fingerprint, prompt in known.items():
                question = self.questions.pop(fingerprint)
                with self.ports.database.transaction() as connection:
                    self.held.check(connection)
                    given = [item for item in question.items if store.give_prompt(connection, item, prompt)]
                self.tally.reused += len(given)
                self._note(question.items, given, prompt)

    def _ask(self) -> None:
        asked = len(self.questions)
        if asked:
            log.info("%s: %d prompts to write by %s", self.artist.slug, asked, self.wanted.model_name)
        for answer in self.ports.prompt_writer.write(self._requests()):
            question = self.questions.pop(answer.key, None)
            if question is None:
                log.warning("%s: an answer to a question that was not asked, or twice; left out", self.artist.slug)
                continue
            self._store(question, answer)
            if (done := asked - len(self.questions)) % 50 == 0:
                log.info("%s: %d of %d prompts", self.artist.slug, done, asked)
        for question in self.questions.values():
            for item in question.items:
                self.tally.open += 1
                self.tally.failed.append((item.name, "not asked for in this run; the next one goes on"))

    def _requests(self) -> Iterator[PromptRequest]:
        for fingerprint, question in list(self.questions.items()):
            yield PromptRequest(
                key=fingerprint,
                instructions=self.instructions,
                context=question.context,
                check=question.rules.broken,
            )

    def _store(self, question: _Question, answer: PromptAnswer) -> None:
        self.tally.tokens += answer.used.input_tokens + answer.used.output_tokens
        self.tally.cost_usd += answer.used.cost_usd
        if answer.text is None:
            self._fail(question.items, answer.error or "the writer gave no text and no reason", for_good=False)
            return
        broken = question.rules.broken(answer.text)
        if broken:
            self._fail(question.items, f"the writer's text breaks a rule: {broken[0]}", for_good=False)
            return
        with self.ports.database.transaction() as connection:
            self.held.check(connection)
            prompt = store.save_prompt(connection, self._new_prompt(question, answer, answer.text))
            given = [item for item in question.items if store.give_prompt(connection, item, prompt)]
        self.tally.written += len(given)
        self._note(question.items, given, prompt)

    def _new_prompt(self, question: _Question, answer: PromptAnswer, text: str) -> store.NewPrompt:
        return store.NewPrompt(
            artist_id=self.artist.id,
            als_summary_id=_summary_id(question.items[0]),
            fingerprint=answer.key,
            text=text,
            system_prompt_version=self.wanted.system_prompt_version,
            schema_version=self.wanted.schema_version,
            profile_hash=self.wanted.profile_hash,
            model_name=self.wanted.model_name,
            used=answer.used,
            duration_ms=answer.duration_ms,
            provenance=answer.provenance,
        )

    def _note(self, items: list[store.Item], given: list[store.Item], prompt: store.Prompt) -> None:
        self.tally.overtaken += len(items) - len(given)
        for item in given[: _EXAMPLES - len(self.tally.examples)]:
            self.tally.examples.append(PromptExample(item.name, item.prompt_text or "", prompt.text))

    def _fail(self, items: list[store.Item], reason: str, *, for_good: bool) -> None:
        for item in items:
            self.tally.failed.append((item.name, reason))
            self.tally.open += not for_good
            if item.error == store.PROMPT_ERROR + reason and item.status != "needs_prompt":
                settled = item.prompt_summary_id == item.als_summary_id
                if settled or not for_good:
                    continue
            with self.ports.database.transaction() as connection:
                self.held.check(connection)
                store.fail(connection, item, reason, for_good=for_good)


def _batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(things)
    while batch := list(islice(left, size)):
        yield batch


def _is_unsettled(item: store.Item) -> bool:
    """Whether an item with the right prompt still has to be told so."""
    mendable = item.status == "needs_prompt" or (item.error or "").startswith(store.PROMPT_ERROR)
    return mendable or item.prompt_summary_id != item.als_summary_id


def _summary_id(item: store.Item) -> UUID:
    assert item.als_summary_id is not None  # noqa: S101 - only items with a summary are planned
    return item.als_summary_id


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # nested or numbered beyond what Python reads
        return None


def _notes(profile: ObservedProfile) -> list[str]:
    """What is wrong with a profile that somebody else stored."""
    try:
        validate_profile(profile.master_schema)
    except InvalidProfileError as error:
        return [f"the profile does not follow the interface: {error}; prompts use what is usable of it"]
    return []
