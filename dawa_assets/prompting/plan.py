"""What is to be done for an artist's prompts: what is current, what people wrote, what would be asked. Reads only.

The same plan is carried out by `refresh.py` and shown by a dry run.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar
from uuid import UUID

from dawa_assets.prompting.context import build_context
from dawa_assets.prompting.fingerprint import prompt_fingerprint
from dawa_assets.prompting.json_access import parsed
from dawa_assets.prompting.profile_facts import ProfileFacts, read_profile
from dawa_assets.prompting.rules import PromptRules, rules_for
from dawa_assets.prompting.staleness import Wanted, is_human, why_stale
from dawa_assets.prompting.summary_facts import SummaryFacts, read_summary
from dawa_assets.prompting.system_prompt import system_prompt
from dawa_assets.tables import prompts
from dawa_assets.tables.artist_profiles import ObservedProfile, observed_profile
from dawa_assets.tables.artists import Artist, get_artist
from resources.database.kept_connections import KeptConnections
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer

T = TypeVar("T")

_SUMMARIES_A_BATCH = 8  # a large set's summary has 5 MB


@dataclass(frozen=True)
class Question:
    """What one fingerprint asks, and the items (of equal sets, perhaps several) that wait for the answer."""

    fingerprint: str
    context: str
    rules: PromptRules
    items: list[prompts.Item] = field(default_factory=list)


@dataclass(frozen=True)
class PromptPlan:
    """Each of the artist's items that can have a prompt, in one of the lists."""

    artist: Artist
    profile: ObservedProfile
    facts: ProfileFacts
    """What the profile says."""
    instructions: str
    wanted: Wanted
    human: list[prompts.Item]
    current: list[prompts.Item]
    impossible: list[tuple[prompts.Item, str]]
    """Items that no prompt can be written for, with the reason."""
    questions: dict[str, Question]
    """By fingerprint: what has to be asked."""
    reusable: dict[str, tuple[Question, prompts.Prompt]]
    """By fingerprint: what was asked and answered before, and is taken over for nothing."""
    stale_because: dict[str, int]
    """How many items of `questions` and `reusable` are stale for which reason."""


def plan_prompts(ports: Ports, slug: str, *, profile: ObservedProfile | None = None) -> PromptPlan:
    """Plan an artist's prompts as they would be written now, or with another profile than the stored one.

    Raises:
        UnknownArtistError: no artist has this slug.
        SettingsError: there is no system prompt of the version that is set.
    """
    settings = ports.settings
    instructions = system_prompt(settings.system_prompt_version)
    with ports.database.transaction() as connection:
        artist = get_artist(connection, slug)
        profile = profile or observed_profile(connection, artist.id)
        items = prompts.items_with_prompts(connection, artist.id)
    wanted = wanted_now(ports, profile)
    human = [item for item in items if is_human(item)]
    people = {item.id for item in human}
    plan = PromptPlan(
        artist, profile, read_profile(profile.master_schema), instructions, wanted, human, [], [], {}, {}, {}
    )
    by_model = [item for item in items if item.id not in people and item.als_summary_id is not None]
    with KeptConnections(ports.database) as database:
        for batch in batches(by_model, _SUMMARIES_A_BATCH):
            ids = [summary_id(item) for item in batch]
            with database.transaction() as connection:
                texts = prompts.summary_texts(connection, artist.id, ids)
            for item in batch:
                _plan_item(plan, item, texts.get(summary_id(item)))
    for fingerprints in batches(list(plan.questions), 500):
        with ports.database.transaction() as connection:
            known = prompts.prompts_of(connection, artist.id, fingerprints)
        plan.reusable.update({key: (plan.questions.pop(key), prompt) for key, prompt in known.items()})
    return plan


def wanted_now(ports: Ports, profile: ObservedProfile) -> Wanted:
    """Return what a prompt written now is recorded with."""
    return Wanted(
        schema_version=profile.schema_version,
        profile_hash=profile.content_hash,
        system_prompt_version=ports.settings.system_prompt_version,
        model_name=ports.prompt_writer.model_name,
        takes_any_model=ports.prompt_writer.takes_any_model,
    )


def asked_of(
    artist: Artist,
    profile: ProfileFacts,
    wanted: Wanted,
    instructions: str,
    summary: SummaryFacts,
    summary_ids: set[str],
    take: int,
) -> tuple[str, str]:
    """Return the context that is sent for one summary, and the fingerprint of the whole question."""
    context = build_context(profile, summary, artist_name=artist.name, summary_ids=summary_ids)
    return context, prompt_fingerprint(
        instructions=instructions,
        context=context,
        model_name=wanted.model_name,
        system_prompt_version=wanted.system_prompt_version,
        schema_version=wanted.schema_version,
        take=take,
    )


def new_prompt(
    artist_id: UUID, summary_id: UUID, fingerprint: str, wanted: Wanted, answer: PromptAnswer, text: str, take: int
) -> prompts.NewPrompt:
    """The row of a text that answers a question, with what the question was made from and what the answer took."""
    return prompts.NewPrompt(
        artist_id=artist_id,
        als_summary_id=summary_id,
        fingerprint=fingerprint,
        text=text,
        system_prompt_version=wanted.system_prompt_version,
        schema_version=wanted.schema_version,
        profile_hash=wanted.profile_hash,
        model_name=wanted.model_name,
        used=answer.used,
        duration_ms=answer.duration_ms,
        provenance=answer.provenance,
        take=take,
        served_model=answer.served_model,
    )


def _plan_item(plan: PromptPlan, item: prompts.Item, summary_text: str | None) -> None:
    if summary_text is None:
        plan.impossible.append((item, "its summary is not one of this artist's; upload the set again"))
        return
    summary = read_summary(parsed(summary_text))
    if summary.tempo is None:
        plan.impossible.append((item, "its summary has no tempo that a set can have; upload the set again"))
        return
    ids = {item.parse_id, str(item.als_summary_id)}
    context, fingerprint = asked_of(
        plan.artist, plan.facts, plan.wanted, plan.instructions, summary, ids, item.prompt_take
    )
    reason = why_stale(item, _as_it_was_asked(plan, item, context, fingerprint), plan.wanted)
    if reason is None:
        plan.current.append(item)
        return
    plan.stale_because[reason] = plan.stale_because.get(reason, 0) + 1
    question = plan.questions.get(fingerprint)
    if question is None:
        rules = rules_for(plan.facts, summary.tempo, artist_name=plan.artist.name, context=context)
        plan.questions[fingerprint] = question = Question(fingerprint, context, rules)
    question.items.append(item)


def _as_it_was_asked(plan: PromptPlan, item: prompts.Item, context: str, fingerprint: str) -> str:
    """Return the question's fingerprint as the model that wrote the item's text was asked, where that one will do."""
    wanted = plan.wanted
    if item.model_name is None or item.model_name == wanted.model_name or not wanted.accepts(item.model_name):
        return fingerprint
    return prompt_fingerprint(
        instructions=plan.instructions,
        context=context,
        model_name=item.model_name,
        system_prompt_version=wanted.system_prompt_version,
        schema_version=wanted.schema_version,
        take=item.prompt_take,
    )


def batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the things in lists of at most `size`."""
    left = iter(things)
    while batch := list(islice(left, size)):
        yield batch


def summary_id(item: prompts.Item) -> UUID:
    """Return the id of a planned item's summary."""
    assert item.als_summary_id is not None  # noqa: S101 - only items with a summary are planned
    return item.als_summary_id
