"""Status: what there is of each artist now, what waits or failed and why. Read from the database alone."""

from dataclasses import dataclass, field, fields
from uuid import UUID

from dawa_assets.items.exclusions import trained_on_line
from dawa_assets.tables.artist_status import ArtistFigures, ArtistRow, Notice, artist_figures, notices
from dawa_assets.tables.artists import resolve_artist
from dawa_assets.tables.chosen_items import Superseded, incomplete_by_artist, superseded_by_artist
from dawa_assets.tables.item_exclusions import excluded_by_artist
from dawa_assets.tables.prompt_staleness import ItemPrompt, PromptCounts, item_prompts, prompt_counts
from dawa_assets.tables.training_runs import Run, promoted_among
from resources.database.base import Connection
from resources.ports import Ports

_MAX_NAMED = 20


@dataclass(frozen=True)
class ArtistStatus(ArtistFigures):
    """One artist. Items that are in a dataset already count as ready in `ready` of `items`."""

    items: int
    ready: int
    superseded: int
    """Of `ready`, those that are in no dataset because another item has the same audio and the text that counts."""
    notices: list[Notice] = field(default_factory=list)
    prompts: PromptCounts = field(default_factory=PromptCounts)
    stale_prompts: list[ItemPrompt] | None = None
    """Which prompts are stale or impossible, by item; None where every artist was asked for."""


def artist_statuses(ports: Ports, slug: str | None = None) -> list[ArtistStatus]:
    """Return the status of every artist, or of one (slug, id or name).

    Raises:
        UnknownArtistError: there is no such artist.
    """
    wanted = (ports.settings.system_prompt_version, ports.prompt_writer.model_name)
    any_model = ports.prompt_writer.takes_any_model
    stale: list[ItemPrompt] | None = None
    with ports.database.transaction() as connection:
        artist = None if slug is None else resolve_artist(connection, slug)
        if artist is not None:
            named = item_prompts(connection, artist.slug, *wanted, any_model=any_model)
            stale = [each for each in named if each.state not in ("current", "human")]
        of = None if artist is None else artist.slug
        counts = prompt_counts(connection, *wanted, of, any_model=any_model)
        figures = _figures(connection, None if artist is None else artist.id)
        return [
            _status(figures, found, counts.get(found.slug, PromptCounts()), stale)
            for found in artist_figures(connection, of)
        ]


@dataclass(frozen=True)
class _Figures:
    """What there is to say of artists, by their ids: a handful of queries for all of them."""

    notices: dict[UUID, list[Notice]]
    superseded: dict[UUID, list[Superseded]]
    incomplete: dict[UUID, list[tuple[str, str]]]
    excluded: dict[UUID, dict[UUID, list[str]]]
    published: dict[UUID, Run]


def _figures(connection: Connection, artist_id: UUID | None) -> _Figures:
    excluded = excluded_by_artist(connection, artist_id)
    published = promoted_among(connection, [run for runs in excluded.values() for run in runs]) if excluded else []
    return _Figures(
        notices(connection, artist_id),
        superseded_by_artist(connection, artist_id),
        incomplete_by_artist(connection, artist_id),
        excluded,
        {run.id: run for run in published},
    )


def _status(figures: _Figures, found: ArtistRow, prompts: PromptCounts, stale: list[ItemPrompt] | None) -> ArtistStatus:
    superseded = figures.superseded.get(found.id, [])
    shown = list(figures.notices.get(found.id, []))
    shown += [Notice("superseded item", each.item, each.reason) for each in superseded[:_MAX_NAMED]]
    shown += [Notice("item", name, reason) for name, reason in figures.incomplete.get(found.id, [])[:_MAX_NAMED]]
    shown += _trained_on_excluded(figures, found)
    return ArtistStatus(
        items=sum(found.by_status.values()),
        ready=found.by_status.get("ready", 0) + found.by_status.get("exported", 0),
        superseded=len(superseded),
        notices=shown,
        prompts=prompts,
        stale_prompts=stale,
        **{each.name: getattr(found, each.name) for each in fields(ArtistFigures)},
    )


def _trained_on_excluded(figures: _Figures, found: ArtistRow) -> list[Notice]:
    """Return a notice for each published adapter that was trained on what is excluded by now."""
    excluded = figures.excluded.get(found.id, {})
    way_out = f"`dawa build --artist {found.slug}` trains one without"
    runs = sorted(
        (figures.published[run] for run in excluded if run in figures.published), key=lambda run: run.model_name
    )
    return [Notice("published LoRA", run.model_name, f"{trained_on_line(excluded[run.id])}; {way_out}") for run in runs]
