"""Leaving training items out of what comes next, and taking them in again; what was trained on them is told.

An excluded item is in no dataset, segment or training from the next build on. Nothing of it is deleted: taken in
again, it brings the earlier dataset back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from dawa_assets.pipeline.one_line import one_line
from dawa_assets.pipeline.wording import counted, first_of
from dawa_assets.prompting.item_lookup import find_item
from dawa_assets.tables import item_exclusions
from dawa_assets.tables.alignments import alignments_of
from dawa_assets.tables.artists import resolve_artist
from dawa_assets.tables.best_saves import best_saves_of
from dawa_assets.tables.chosen_items import superseded_items
from dawa_assets.tables.item_exclusions import ListedItem
from dawa_assets.tables.training_runs import list_runs
from modal_app.errors import InputError
from resources.database.base import Database

_MAX_REASON = 500
_MAX_AUTHOR = 200
_MAX_NAMED = 5


@dataclass(frozen=True)
class Change:
    """What became of one item; `changed` is false where it was out, or in, already."""

    item: str
    item_id: UUID
    artist: str
    changed: bool


@dataclass(frozen=True)
class ExcludedButTrained:
    """An adapter that was trained on items which are out now."""

    artist: str
    run: UUID
    model_name: str
    published: bool
    items: list[str]


def set_excluded(
    database: Database,
    references: Sequence[str],
    *,
    excluded: bool,
    author: str,
    reason: str = "",
    artist: str | None = None,
) -> tuple[list[Change], list[ExcludedButTrained]]:
    """Leave items out, or take them in again: all of them, or none where one can't be found.

    Args:
        database: where the items are.
        references: ids, keys (project/set) or Live Sets' names; one that is named twice counts once.
        excluded: whether they are to be out.
        author: who wants it.
        reason: why, one line; kept with the exclusion.
        artist: slug, id or name; only their items are looked at.

    Returns:
        What became of each item, and those of their artists' adapters that heard items which are out.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: no item, or several, are called so, or reason or author can't be kept.
    """
    reason, author = one_line(reason, "--reason", _MAX_REASON), one_line(author, "author", _MAX_AUTHOR)
    if not author:
        raise InputError("author: is empty; say who wants it")
    if author == item_exclusions.PERMISSIONS:
        raise InputError(f"author: {author!r} is nobody's name here; give another")
    with database.transaction() as connection:
        found = {each.id: each for each in (find_item(connection, name, artist, excluded=True) for name in references)}
        changed = item_exclusions.set_excluded(connection, list(found), excluded=excluded, reason=reason, author=author)
        trained: list[ExcludedButTrained] = []
        for owner in {each.artist.id: each.artist for each in found.values()}.values():
            by_run = item_exclusions.excluded_but_trained_on(connection, owner.id)
            trained += [
                ExcludedButTrained(owner.slug, run.id, run.model_name, run.promoted, by_run[run.id])
                for run in list_runs(connection, owner)
                if run.id in by_run
            ]
    return [Change(each.name, each.id, each.artist.slug, each.id in changed) for each in found.values()], trained


def list_items(database: Database, artist: str) -> list[ListedItem]:
    """Return every item of an artist (slug, id or name), oldest first.

    Raises:
        UnknownArtistError: there is no such artist.
    """
    with database.transaction() as connection:
        of = resolve_artist(connection, artist)
        superseded = {each.id: each for each in superseded_items(connection, of.id)}
        aligned = {each.item_id: each.alignment for each in alignments_of(connection, of.id)}
        best = best_saves_of(connection, of.id)
        listed = [
            replace(each, alignment=aligned.get(each.id), best_save=best.get(each.id))
            for each in item_exclusions.list_items(connection, of.id)
        ]
    return [
        each
        if (one := superseded.get(each.id)) is None
        else replace(each, superseded_by=one.by_id, superseded=one.reason)
        for each in listed
    ]


def trained_on_line(items: Sequence[str]) -> str:
    """Return names of excluded items that were heard, as a clause."""
    return f"heard {counted(len(items), 'excluded item')}: {first_of(items, _MAX_NAMED)}"
