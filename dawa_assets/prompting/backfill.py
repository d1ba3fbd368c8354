"""Bringing the prompts of many artists up to date: what it would take, and doing it artist by artist.

The dry run shows the plan that a refresh carries out; it spends nothing and writes nothing. A backfill that was stopped
goes on where it stopped: what was written is current then.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dawa_assets.artists.profile import validate_profile
from dawa_assets.prompting.plan import PromptPlan, Question, plan_prompts
from dawa_assets.prompting.refresh import PromptsReport, refresh_prompts
from dawa_assets.prompting.staleness import why_stale
from dawa_assets.tables.artist_profiles import profile_as_stored
from dawa_assets.tables.artists import Artist, resolve_artist
from dawa_assets.tables.prompt_staleness import PromptCounts, prompt_counts, stale_artists
from modal_app.errors import DawaError
from resources.errors import PromptWriterError
from resources.ports import Ports

log = logging.getLogger(__name__)

_BYTES_A_TOKEN = 3.5  # of English and JSON; other scripts have fewer
_TOKENS_AN_ANSWER = 80
_WRITER_GONE_AFTER = 2  # artists in a row that the writer could not be used for


@dataclass(frozen=True)
class StaleItem:
    """An item that would get another prompt: why, and whether that was written before and costs nothing."""

    name: str
    reason: str
    is_free: bool


@dataclass(frozen=True)
class ArtistEstimate:
    """What a refresh would do for one artist, and what it would cost as far as can be told before.

    `to_write` are questions (equal sets are one), `taken_over` items whose text was written before. Tokens are
    estimated from bytes; answers that have to be asked for again are not in.
    """

    slug: str
    name: str
    to_write: int
    taken_over: int
    current: int
    human: int
    stale_because: dict[str, int]
    impossible: list[tuple[str, str]]
    items: list[StaleItem]
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True)
class Estimate:
    """A dry run. `up_to_date` artists have nothing to be looked at; the sums are over `artists`."""

    model: str
    system_prompt_version: str
    artists: list[ArtistEstimate]
    up_to_date: int
    to_write: int
    taken_over: int
    human: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    run_budget_usd: float
    """What one artist's refresh may spend; it stops there, and the next one goes on."""


@dataclass
class Backfill:
    """What was done: reports by slug, and the artists that could not be done, with the reason."""

    done: dict[str, PromptsReport] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    up_to_date: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether nothing waits for another run."""
        return not self.failed and not any(report.deferred or report.overtaken for report in self.done.values())


def estimate(ports: Ports, names: list[str] | None = None) -> Estimate:
    """Return what a backfill would do now, for the named artists or for all.

    Raises:
        UnknownArtistError: one of the names is no artist's.
        SettingsError: there is no system prompt of the version that is set.
    """
    slugs, counts = _to_look_at(ports, names)
    artists = [_estimate(ports, plan_prompts(ports, slug)) for slug in slugs]
    rest = [count for slug, count in counts.items() if slug not in slugs]
    return Estimate(
        model=ports.prompt_writer.model_name,
        system_prompt_version=ports.settings.system_prompt_version,
        artists=artists,
        up_to_date=len(rest),
        to_write=sum(each.to_write for each in artists),
        taken_over=sum(each.taken_over for each in artists),
        human=sum(each.human for each in artists) + sum(each.human for each in rest),
        input_tokens=sum(each.input_tokens for each in artists),
        output_tokens=sum(each.output_tokens for each in artists),
        cost_usd=round(sum(each.cost_usd for each in artists), 6),
        run_budget_usd=ports.settings.prompt_budget_usd,
    )


def estimate_for_profile(ports: Ports, artist: Artist, data: object) -> ArtistEstimate:
    """Return what a refresh would do for an artist if this were their profile; nothing is stored.

    Raises:
        InvalidProfileError: it does not follow the interface.
        SettingsError: there is no system prompt of the version that is set.
    """
    profile = validate_profile(data)
    with ports.database.transaction() as connection:
        observed = profile_as_stored(connection, profile)
    return _estimate(ports, plan_prompts(ports, artist.slug, profile=observed))


def backfill_prompts(
    ports: Ports, names: list[str] | None = None, report: Callable[[str, PromptsReport | str], None] | None = None
) -> Backfill:
    """Refresh the prompts of the named artists, or of all that have something stale.

    An artist that can't be done is left out with the reason, and the others go on, unless the writer can't be used for
    several in a row. `report` is called with each artist's slug and report, or the reason why there is none.

    Raises:
        UnknownArtistError: one of the names is no artist's.
        SettingsError: there is no system prompt of the version that is set.
    """
    slugs, counts = _to_look_at(ports, names)
    result = Backfill(up_to_date=len([slug for slug in counts if slug not in slugs]))
    unusable = 0
    for number, slug in enumerate(slugs, start=1):
        log.info("%s: artist %d of %d", slug, number, len(slugs))
        if unusable >= _WRITER_GONE_AFTER:
            result.failed[slug] = "not looked at: the writer can't be used"
            continue
        try:
            outcome: PromptsReport | str = refresh_prompts(ports, slug)
        except DawaError as error:
            outcome = str(error)
            unusable = unusable + 1 if isinstance(error, PromptWriterError) else 0
        else:
            unusable = 0
        if isinstance(outcome, str):
            result.failed[slug] = outcome
        else:
            result.done[slug] = outcome
        if report is not None:
            report(slug, outcome)
    return result


def _to_look_at(ports: Ports, names: list[str] | None) -> tuple[list[str], dict[str, PromptCounts]]:
    """Slugs of those artists of whom something may be stale, and how the prompts of all that are asked for stand."""
    version, writer = ports.settings.system_prompt_version, ports.prompt_writer
    model, any_model = writer.model_name, writer.takes_any_model
    with ports.database.transaction() as connection:
        counts = prompt_counts(connection, version, model, any_model=any_model)
        if names:
            chosen = [resolve_artist(connection, name).slug for name in names]
            counts = {slug: counts.get(slug, PromptCounts()) for slug in sorted(set(chosen))}
    due = {each.slug for each in stale_artists(ports.database, version, model, any_model=any_model)}
    return sorted(slug for slug, count in counts.items() if count.stale or slug in due), counts


def _estimate(ports: Ports, plan: PromptPlan) -> ArtistEstimate:
    asked = [len(plan.instructions.encode()) + len(each.context.encode()) for each in plan.questions.values()]
    input_tokens = round(sum(asked) / _BYTES_A_TOKEN)
    output_tokens = len(asked) * _TOKENS_AN_ANSWER
    return ArtistEstimate(
        slug=plan.artist.slug,
        name=plan.artist.name,
        to_write=len(plan.questions),
        taken_over=sum(len(question.items) for question, _ in plan.reusable.values()),
        current=len(plan.current),
        human=len(plan.human),
        stale_because=plan.stale_because,
        impossible=[(item.name, reason) for item, reason in plan.impossible],
        items=sorted(_stale_items(plan), key=lambda item: item.name),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=round(ports.prompt_writer.price.of(input_tokens, output_tokens), 6),
    )


def _stale_items(plan: PromptPlan) -> Iterator[StaleItem]:
    def stale_items(question: Question, *, is_free: bool) -> Iterator[StaleItem]:
        for item in question.items:
            yield StaleItem(item.name, why_stale(item, question.fingerprint, plan.wanted) or "", is_free)

    for question in plan.questions.values():
        yield from stale_items(question, is_free=False)
    for question, _ in plan.reusable.values():
        yield from stale_items(question, is_free=True)
