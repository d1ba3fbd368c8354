"""Status: what there is of each artist now, what waits or failed and why. Read from the database alone."""

from dataclasses import dataclass, field, fields

from dawa_assets.items.exclusions import trained_on_line
from dawa_assets.tables.artist_status import ArtistFigures, ArtistRow, Notice, artist_figures, notices
from dawa_assets.tables.artists import resolve_artist
from dawa_assets.tables.chosen_items import incomplete_items, superseded_items
from dawa_assets.tables.item_exclusions import excluded_but_trained_on
from dawa_assets.tables.prompt_staleness import ItemPrompt, PromptCounts, item_prompts, prompt_counts
from dawa_assets.tables.training_runs import promoted_among
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
        if slug is not None:
            slug = resolve_artist(connection, slug).slug
            named = item_prompts(connection, slug, *wanted, any_model=any_model)
            stale = [each for each in named if each.state not in ("current", "human")]
        counts = prompt_counts(connection, *wanted, slug, any_model=any_model)
        return [
            _status(connection, found, counts.get(found.slug, PromptCounts()), stale)
            for found in artist_figures(connection, slug)
        ]


def _status(
    connection: Connection, found: ArtistRow, prompts: PromptCounts, stale: list[ItemPrompt] | None
) -> ArtistStatus:
    told = notices(connection, found.id)
    superseded = superseded_items(connection, found.id)
    told += [Notice("superseded item", each.item, each.reason) for each in superseded[:_MAX_NAMED]]
    told += [Notice("item", name, reason) for name, reason in incomplete_items(connection, found.id)[:_MAX_NAMED]]
    told += _trained_on_excluded(connection, found)
    return ArtistStatus(
        items=sum(found.by_status.values()),
        ready=found.by_status.get("ready", 0) + found.by_status.get("exported", 0),
        superseded=len(superseded),
        notices=told,
        prompts=prompts,
        stale_prompts=stale,
        **{each.name: getattr(found, each.name) for each in fields(ArtistFigures)},
    )


def _trained_on_excluded(connection: Connection, found: ArtistRow) -> list[Notice]:
    """Return a notice for each published adapter that was trained on what is excluded by now."""
    excluded = excluded_but_trained_on(connection, found.id)
    way_out = f"`dawa build --artist {found.slug}` trains one without"
    return [
        Notice("published LoRA", run.model_name, f"{trained_on_line(excluded[run.id])}; {way_out}")
        for run in promoted_among(connection, excluded)
    ]
