"""One prompt for one Live Set, asked for on the spot: taken over where it was written before, else written and stored.

The same question as the pipeline's, so that neither pays for what the other has an answer to. No item is touched.
"""

from dataclasses import dataclass
from itertools import chain
from uuid import UUID

from dawa_assets.errors import UnknownLiveSetError
from dawa_assets.pipeline.spending import left_to_spend
from dawa_assets.pipeline.step import artist_step
from dawa_assets.prompting.json_access import parsed
from dawa_assets.prompting.plan import asked_of, new_prompt, wanted_now
from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.prompting.repair import fixed
from dawa_assets.prompting.rules import PromptRules, rules_for
from dawa_assets.prompting.staleness import Wanted
from dawa_assets.prompting.summary_facts import read_summary
from dawa_assets.prompting.system_prompt import system_prompt
from dawa_assets.tables import prompts
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.spending import record_spending
from dawa_assets.tables.uploads import find_summary
from modal_app.errors import InputError
from resources.errors import NotNowError, PromptWriterError
from resources.ports import Ports
from resources.prompt_writer.base import PromptRequest, used_by


@dataclass(frozen=True)
class Asked:
    """A prompt, who wrote it, and by which system prompt."""

    text: str
    model_name: str
    system_prompt_version: str


@dataclass(frozen=True)
class _Question:
    summary_id: UUID
    fingerprint: str
    context: str
    instructions: str
    wanted: Wanted
    rules: PromptRules
    take: int


def known_prompt(ports: Ports, artist: Artist, parse_id: str) -> Asked | None:
    """Return the prompt of a set where it was written before, without waiting for anybody.

    Raises as `write_single_prompt`.
    """
    return _known(ports, artist, _question(ports, artist, parse_id))


def prompt_asked_for(ports: Ports, artist: Artist, parse_id: str, take: int) -> prompts.Prompt | None:
    """Return the row of what was written for a set at this take; None where nothing was.

    Raises as `write_single_prompt`.
    """
    fingerprint = _question(ports, artist, parse_id, take).fingerprint
    with ports.database.transaction() as connection:
        return prompts.prompts_of(connection, artist.id, [fingerprint]).get(fingerprint)


def write_single_prompt(ports: Ports, artist: Artist, parse_id: str, *, take: int | None = None) -> Asked:
    """Return the prompt of the artist's set of this parse id, as the pipeline would write it now.

    Without a `take`, it is the one that the set's items are at.

    Raises:
        UnknownLiveSetError: the artist has no such set.
        InputError: no prompt can be written for it.
        BusyError: another process is writing this artist's prompts and did not end in time.
        NotNowError: a budget is used up, or the writer is out of service.
        PromptWriterError: the writer can't be used at all, or gave nothing that meets the rules.
    """
    question = _question(ports, artist, parse_id, take)
    if (known := _known(ports, artist, question)) is not None:
        return known
    with artist_step(ports, artist, "prompts") as step:
        if (known := _known(ports, artist, question)) is not None:  # whoever was waited for wrote it
            return known
        return _write(ports, artist, question, step.held)


def _question(ports: Ports, artist: Artist, parse_id: str, take: int | None = None) -> _Question:
    instructions = system_prompt(ports.settings.system_prompt_version)
    with ports.database.transaction() as connection:
        found = find_summary(connection, artist.id, parse_id)
        if found is None:
            raise UnknownLiveSetError(f"parse {parse_id!r}: {artist.slug} has no such Live Set; upload it first")
        text = prompts.summary_texts(connection, artist.id, [found.id]).get(found.id)
        take = prompts.take_of(connection, artist.id, found.id) if take is None else take
        profile = observed_profile(connection, artist.id)
    if text is None:
        raise UnknownLiveSetError(f"parse {parse_id!r}: its Live Set is gone since a moment ago; upload it again")
    summary = read_summary(parsed(text))
    if summary.tempo is None:
        raise InputError(f"parse {parse_id!r}: its summary has no tempo that a set can have; upload the set again")
    wanted = wanted_now(ports, profile)
    ids = {found.parse_id, str(found.id)}
    facts = read_profile(profile.master_schema)
    context, fingerprint = asked_of(artist, facts, wanted, instructions, summary, ids, take)
    rules = rules_for(facts, summary.tempo, artist_name=artist.name, context=context)
    return _Question(found.id, fingerprint, context, instructions, wanted, rules, take)


def _known(ports: Ports, artist: Artist, question: _Question) -> Asked | None:
    with ports.database.transaction() as connection:
        prompt = prompts.prompts_of(connection, artist.id, [question.fingerprint]).get(question.fingerprint)
    return None if prompt is None else _asked(prompt, question)


def _write(ports: Ports, artist: Artist, question: _Question, held: Lease) -> Asked:
    settings, rules = ports.settings, question.rules
    with ports.database.transaction() as connection:
        budget = left_to_spend(connection, settings.prompt_budget_usd, settings.monthly_budget_usd)
    request = PromptRequest(
        key=question.fingerprint,
        instructions=question.instructions,
        context=question.context,
        check=rules.broken,
        fix=lambda text: fixed(text, rules.tempo),
        take=question.take,
    )
    answers = list(chain.from_iterable(ports.prompt_writer.write([request], budget)))
    answer = next((answer for answer in answers if answer.key == question.fingerprint), None)
    usable = answer is not None and answer.text is not None and not rules.broken(answer.text)
    with ports.database.transaction() as connection:
        held.check(connection)
        for model, used in used_by(answers, question.wanted.model_name).items():
            record_spending(connection, service="prompts", model=model, artist_id=artist.id, used=used)
        if answer is not None and answer.text is not None and usable:
            asked, text = question, answer.text
            new = new_prompt(artist.id, asked.summary_id, asked.fingerprint, asked.wanted, answer, text, asked.take)
            [prompt] = prompts.save_prompts(connection, [new])
            return _asked(prompt, question)
    reason = (answer.error if answer is not None else None) or "the writer gave no text that meets the rules"
    if answer is not None and answer.deferred:
        raise NotNowError(f"no prompt now: {reason}; ask again later")
    raise PromptWriterError(f"no prompt: {reason}; ask again, or write the text yourself")


def _asked(prompt: prompts.Prompt, question: _Question) -> Asked:
    model = prompt.written_by or question.wanted.model_name
    return Asked(prompt.text, model, question.wanted.system_prompt_version)
