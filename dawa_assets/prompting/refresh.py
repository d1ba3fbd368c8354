"""Brings an artist's prompts up to date: finds the stale ones, takes over what was written before, asks for the rest.

Each answer is stored when it arrives, with its item's move and its cost, so that a crash costs at most the answers in
flight. What a person wrote is left alone. One prompt that can't be written fails its item and nothing else.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from dawa_assets.artists.profile import validate_profile
from dawa_assets.errors import InvalidProfileError
from dawa_assets.pipeline.spending import left_to_spend, mismatch
from dawa_assets.pipeline.step import artist_step
from dawa_assets.prompting.fingerprint import human_fingerprint
from dawa_assets.prompting.plan import PromptPlan, Question, new_prompt, plan_prompts, summary_id
from dawa_assets.prompting.prompt_files import import_prompt_files
from dawa_assets.prompting.repair import fixed
from dawa_assets.prompting.rules import rules_for
from dawa_assets.prompting.staleness import why_stale
from dawa_assets.prompting.summary_facts import tempo_of
from dawa_assets.tables import prompts
from dawa_assets.tables.artist_profiles import ObservedProfile
from dawa_assets.tables.leases import Lease, report_progress
from dawa_assets.tables.spending import record_spending
from modal_app.hosted_models.metered_requests import Usage
from resources.database.base import Database
from resources.database.kept_connections import KeptConnections
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer, PromptRequest, used_by

log = logging.getLogger(__name__)

_EXAMPLES = 5
_MAX_NOTES = 50
_TOLD_EVERY = 50
_SAID_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class PromptExample:
    """A prompt before and after this run, and why it was stale; `before` is empty where there was none."""

    item: str
    before: str
    after: str
    because: str


@dataclass(frozen=True)
class PromptsReport:
    """What became of an artist's prompts. Items are counted, `failed` and `deferred` have (name, reason).

    `written` were asked for, `reused` had been written before for the same inputs, `unchanged` are current, `human`
    are people's texts, `overtaken` were changed by somebody else meanwhile and are looked at again. `deferred` stay
    stale for a reason that passes: a budget, an outage. `calls`, `tokens` and `cost_usd` count whatever was paid for.
    """

    written: int
    reused: int
    unchanged: int
    human: int
    overtaken: int
    failed: list[tuple[str, str]]
    deferred: list[tuple[str, str]]
    stale_because: dict[str, int]
    notes: list[str]
    calls: int
    input_tokens: int
    output_tokens: int
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
            "put off": len(self.deferred),
        }
        line = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no set to write a prompt for"
        if self.cost_usd:
            line += f", ${self.cost_usd:.4f}"
        return f"{line} ({self.deferred[0][1]})" if self.deferred else line


def refresh_prompts(ports: Ports, slug: str) -> PromptsReport:
    """Bring the artist's prompts up to date with profile, summaries, system prompt and writer.

    Raises:
        UnknownArtistError: no artist has this slug.
        SettingsError: there is no system prompt of the version that is set.
        BusyError: another process is writing this artist's prompts.
        PromptWriterError: the writer can't be used at all; what it wrote until then is stored.
    """
    started = time.monotonic()
    with artist_step(ports, slug, "prompts") as step:
        import_prompt_files(ports, step.artist, step.held)
        refresh = _Refresh(ports, step.held, plan_prompts(ports, slug))
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
    deferred: list[tuple[str, str]] = field(default_factory=list)
    stale_because: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    used: Usage = field(default_factory=Usage)
    examples: list[PromptExample] = field(default_factory=list)

    def report(self, seconds: float) -> PromptsReport:
        return PromptsReport(
            written=self.written,
            reused=self.reused,
            unchanged=self.unchanged,
            human=self.human,
            overtaken=self.overtaken,
            failed=self.failed,
            deferred=self.deferred,
            stale_because=self.stale_because,
            notes=self.notes,
            calls=self.used.calls,
            input_tokens=self.used.input_tokens,
            output_tokens=self.used.output_tokens,
            cost_usd=round(self.used.cost_usd, 6),
            examples=self.examples,
            seconds=round(seconds, 3),
        )


class _Refresh:
    """One run over a plan: settle what is current, take over, then ask."""

    def __init__(self, ports: Ports, held: Lease, plan: PromptPlan) -> None:
        self.ports = ports
        self.held = held
        self.plan = plan
        self.artist = plan.artist
        self.open = dict(plan.questions)
        self.tally = _Tally(stale_because=plan.stale_because, notes=_notes(plan.profile))

    def run(self) -> None:
        self._keep_human()
        self._judge_human()
        for item in self.plan.current:
            self._keep_current(item)
        for item, reason in self.plan.impossible:
            self._fail([item], reason, for_good=True)
        if self.plan.reusable or self.plan.questions:
            self._record_state(prompts.begin_rewriting)
        for question, prompt in self.plan.reusable.values():
            self._take_over(question, prompt)
        self._ask()
        if not self.tally.open and not self.tally.overtaken:
            self._record_state(prompts.complete)

    def _record_state(self, record: Callable[..., None]) -> None:
        wanted = self.plan.wanted
        with self.ports.database.transaction() as connection:
            self.held.check(connection)
            record(
                connection,
                self.artist.id,
                profile_hash=wanted.profile_hash,
                schema_version=wanted.schema_version,
                version=wanted.system_prompt_version,
                model_name=wanted.complete_for,
            )

    def _keep_human(self) -> None:
        for item in self.plan.human:
            self.tally.human += 1
            linked = item.origin == "human" and item.text == item.prompt_text
            if linked and not _is_unsettled(item):
                continue
            fingerprint = human_fingerprint(item.id, item.prompt_text or "")
            with self.ports.database.transaction() as connection:
                self.held.check(connection)
                kept = (
                    prompts.settle(connection, item)
                    if linked
                    else prompts.keep_human_text(connection, self.artist.id, item, fingerprint)
                )
            self.tally.overtaken += not kept

    def _judge_human(self) -> None:
        """Say which rules people's texts break. They stay as they are: it is the artist's own word."""
        ids = [item.als_summary_id for item in self.plan.human if item.als_summary_id is not None]
        if not ids:
            return
        with self.ports.database.transaction() as connection:
            tempos = prompts.tempos(connection, self.artist.id, ids)
        for item in self.plan.human:
            tempo = tempo_of(tempos.get(item.als_summary_id) if item.als_summary_id else None)
            if tempo is None or len(self.tally.notes) >= _MAX_NOTES:
                continue
            rules = rules_for(self.plan.facts, tempo, artist_name=self.artist.name)
            if broken := rules.broken(item.prompt_text or ""):
                self.tally.notes.append(f"{item.name}: a person's text, left as it is, breaks {broken[0]}")

    def _keep_current(self, item: prompts.Item) -> None:
        self.tally.unchanged += 1
        if not _is_unsettled(item):
            return
        with self.ports.database.transaction() as connection:
            self.held.check(connection)
            self.tally.overtaken += not prompts.settle(connection, item)

    def _take_over(self, question: Question, prompt: prompts.Prompt) -> None:
        with self.ports.database.transaction() as connection:
            self.held.check(connection)
            done = prompts.give_prompts(connection, [(item, prompt) for item in question.items])
        given = [item for item, is_given in zip(question.items, done, strict=True) if is_given]
        self.tally.reused += len(given)
        self._note(question.items, given, prompt)

    def _ask(self) -> None:
        if not (asked := len(self.open)):
            return
        log.info("%s: %d prompts to write by %s", self.artist.slug, asked, self.plan.wanted.model_name)
        with KeptConnections(self.ports.database) as database:
            told, said = 0, time.monotonic()
            for answers in self.ports.prompt_writer.write(self._requests(), self._budget()):
                self._store(database, answers)
                done = asked - len(self.open)
                if done >= told + _TOLD_EVERY:
                    log.info("%s: %d of %d prompts", self.artist.slug, done, asked)
                    told = done
                if time.monotonic() - said >= _SAID_EVERY_SECONDS:
                    said = time.monotonic()
                    report_progress(self.ports.database, self.held, done, asked, f"{done} of {asked} prompts")
        for question in self.open.values():
            self._deferred(question, "not asked for in this run; the next one goes on")

    def _budget(self) -> float:
        settings = self.ports.settings
        with self.ports.database.transaction() as connection:
            return left_to_spend(connection, settings.prompt_budget_usd, settings.monthly_budget_usd)

    def _requests(self) -> Iterator[PromptRequest]:
        for question in self.plan.questions.values():
            rules = question.rules
            yield PromptRequest(
                key=question.fingerprint,
                instructions=self.plan.instructions,
                context=question.context,
                check=rules.broken,
                fix=lambda text, tempo=rules.tempo: fixed(text, tempo),  # type: ignore[misc]
                take=question.items[0].prompt_take,
            )

    def _store(self, database: Database, answers: list[PromptAnswer]) -> None:
        """Store what came together, with its cost, in one transaction."""
        usable: list[tuple[Question, PromptAnswer, str]] = []
        used = Usage()
        for answer in answers:
            used += answer.used
            question = self.open.pop(answer.key, None)
            if question is None:
                log.warning("%s: an answer to a question that was not asked, or twice; left out", self.artist.slug)
            elif answer.text is not None and not (broken := question.rules.broken(answer.text)):
                usable.append((question, answer, answer.text))
            elif answer.deferred:
                self._deferred(question, answer.error or "the writer put it off and gave no reason")
            else:
                reason = answer.error if answer.text is None else f"the writer's text breaks a rule: {broken[0]}"
                self._fail(question.items, reason or "the writer gave no text and no reason", for_good=False)
        self.tally.used += used
        if not usable and not used.calls:
            return
        by_model = used_by(answers, self.plan.wanted.model_name)
        self._note_mismatch(by_model)
        with database.transaction() as connection:
            self.held.check(connection)
            for model, spent in by_model.items():
                record_spending(connection, service="prompts", model=model, artist_id=self.artist.id, used=spent)
            saved = prompts.save_prompts(connection, [self._new_prompt(*each) for each in usable])
            texts = [(question.items, prompt) for (question, _, _), prompt in zip(usable, saved, strict=True)]
            done = iter(prompts.give_prompts(connection, [(item, prompt) for items, prompt in texts for item in items]))
            for items, prompt in texts:
                given = [item for item in items if next(done)]
                self.tally.written += len(given)
                self._note(items, given, prompt)

    def _note_mismatch(self, by_model: Iterable[str]) -> None:
        """Say once a run, of each model that answers in the place of the one that was asked, that it does."""
        for model in by_model:
            note = mismatch(self.plan.wanted.model_name, model)
            if note and note not in self.tally.notes:
                log.warning("%s: %s", self.artist.slug, note)
                self.tally.notes.append(note)

    def _new_prompt(self, question: Question, answer: PromptAnswer, text: str) -> prompts.NewPrompt:
        item = question.items[0]
        return new_prompt(
            self.artist.id, summary_id(item), question.fingerprint, self.plan.wanted, answer, text, item.prompt_take
        )

    def _note(self, items: list[prompts.Item], given: list[prompts.Item], prompt: prompts.Prompt) -> None:
        self.tally.overtaken += len(items) - len(given)
        for item in given[: _EXAMPLES - len(self.tally.examples)]:
            because = why_stale(item, prompt.fingerprint, self.plan.wanted) or "current"
            self.tally.examples.append(PromptExample(item.name, item.prompt_text or "", prompt.text, because))

    def _deferred(self, question: Question, reason: str) -> None:
        """Leave the items as they are: nothing is wrong with them, and the next run asks."""
        for item in question.items:
            self.tally.open += 1
            self.tally.deferred.append((item.name, reason))

    def _fail(self, items: list[prompts.Item], reason: str, *, for_good: bool) -> None:
        for item in items:
            self.tally.failed.append((item.name, reason))
            self.tally.open += not for_good
            if item.error == prompts.PROMPT_ERROR + reason and item.status != "needs_prompt":
                settled = item.prompt_summary_id == item.als_summary_id
                if settled or not for_good:
                    continue
            with self.ports.database.transaction() as connection:
                self.held.check(connection)
                prompts.fail(connection, item, reason, for_good=for_good)


def _is_unsettled(item: prompts.Item) -> bool:
    """Return whether an item with the right prompt still has to be told so."""
    is_open = item.status == "needs_prompt" or (item.error or "").startswith(prompts.PROMPT_ERROR)
    return is_open or item.prompt_summary_id != item.als_summary_id


def _notes(profile: ObservedProfile) -> list[str]:
    """Return what is wrong with a profile that somebody else stored."""
    try:
        validate_profile(profile.master_schema)
    except InvalidProfileError as error:
        return [f"the profile does not follow the interface: {error}; prompts use what is usable of it"]
    return []
