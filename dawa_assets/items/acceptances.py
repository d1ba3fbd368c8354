"""Accepting what the quality gate found of an item's audio, with a reason, and taking that back."""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.pipeline.one_line import one_line
from dawa_assets.prompting.item_lookup import find_item
from dawa_assets.tables.item_findings import ShownFinding, accept_finding, shown_findings, withdraw_acceptance
from modal_app.errors import InputError
from resources.database.base import Database

_MAX_REASON = 500
_MAX_AUTHOR = 200


@dataclass(frozen=True)
class Acceptance:
    """What became of a finding of an item; `changed` is false where it was so already."""

    item: str
    item_id: UUID
    artist: str
    kind: str
    changed: bool
    findings: list[ShownFinding]
    """All of the item's, as they are now."""

    @property
    def is_blocked(self) -> bool:
        """Whether the item still waits because of another finding."""
        return any(each.blocks for each in self.findings)


def set_accepted(
    database: Database,
    reference: str,
    kind: str,
    *,
    accepted: bool = True,
    reason: str = "",
    author: str,
    artist: str | None = None,
) -> Acceptance:
    """Accept what was found of an item's present audio, or take that back; kept with reason, author and time.

    Args:
        database: where the item is.
        reference: its id, key (project/set) or Live Set's name.
        kind: of the finding, as it is listed.
        accepted: whether it is to count as accepted.
        reason: why, one line; needed to accept.
        author: who says so.
        artist: slug, id or name; only their items are looked at.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: no item, or several, are called so; it has no such finding; reason or author can't be kept.
    """
    author = one_line(author, "author", _MAX_AUTHOR, is_needed=True)
    reason = one_line(reason, "--reason", _MAX_REASON, is_needed=True) if accepted else ""
    with database.transaction() as connection:
        item = find_item(connection, reference, artist)
        kinds = {each.kind for each in shown_findings(connection, items=[item.id])}
        if accepted and kind not in kinds:
            there = f"it has {', '.join(sorted(kinds))}" if kinds else "nothing was found of its audio"
            raise InputError(f"{item.name}: has no finding {kind!r}; {there}")
        if accepted:
            changed = accept_finding(connection, item.id, kind, reason, author)
        else:
            changed = withdraw_acceptance(connection, item.id, kind)
        findings = shown_findings(connection, items=[item.id])
    return Acceptance(item.name, item.id, item.artist.slug, kind, changed, findings)
