"""Audio that waits for its set: what there is of it and why, and giving it to an item by hand."""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.errors import UnknownItemError, UnknownLiveSetError
from dawa_assets.intake.inbox import inbox_folders, is_known
from dawa_assets.items.audio import AudioReport, Bounces
from dawa_assets.pipeline.step import artist_step
from dawa_assets.tables import training_items as items
from dawa_assets.tables import uploads as ledger
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.uploads import Kind, RejectedFile, WaitingBounce
from modal_app.errors import ConflictError, UnreadableAudioError
from resources.ports import Ports

_MAX_REJECTED = 200
_MAX_NAMED = 500


@dataclass(frozen=True)
class Unread:
    """An upload in the inbox with files that nobody has looked at yet."""

    upload_id: str
    is_complete: bool
    files: list[str]


@dataclass(frozen=True)
class Arrivals:
    """What came of an artist's and is not, or not yet, in its place."""

    waiting: list[WaitingBounce]
    inbox: list[Unread]
    rejected: list[RejectedFile]


def arrivals(ports: Ports, artist: Artist) -> Arrivals:
    """Return what waits, what nobody has looked at, and what was rejected, the latest first."""
    inbox = list(inbox_folders(ports, artist.slug))
    with ports.database.transaction() as connection:
        known = ledger.known_waiting(connection, artist.id)
        waiting = ledger.waiting_bounces(connection, artist.id)
        rejected = ledger.latest_rejected(connection, artist.id, _MAX_REJECTED)
    unread = []
    for inbox_folder in inbox:
        names = [f"{file.folder}/{file.name}".lstrip("/") for file in inbox_folder.files if not is_known(file, known)]
        if names:
            unread.append(Unread(inbox_folder.upload_id, inbox_folder.complete, names[:_MAX_NAMED]))
    return Arrivals(waiting, unread, rejected)


def item_of_set(ports: Ports, artist: Artist, parse_id: str) -> UUID:
    """Return the item that bounces of this Live Set go to.

    Raises:
        UnknownLiveSetError: the artist has no such set, or no item was made of it yet.
    """
    with ports.database.transaction() as connection:
        summary = ledger.find_summary(connection, artist.id, parse_id)
        item = None if summary is None else items.item_of_summary(connection, summary.id)
    if item is None:
        raise UnknownLiveSetError(
            f"parse {parse_id[:40]!r}: {artist.slug} has no such Live Set, or no item of it yet; look at its Live Sets"
        )
    return item


def pair_by_hand(ports: Ports, artist: Artist, bounce: UUID, item_id: UUID) -> None:
    """Bring a waiting bounce to an item, whatever it is called.

    Raises:
        UnknownItemError: no such bounce waits, or the artist has no such item.
        ConflictError: the item is a saved pair with audio of its own, or the bounce was changed meanwhile.
        UnreadableAudioError: the bounce can't be decoded; it is put aside.
        BusyError: another process is updating this artist's items.
    """
    with artist_step(ports, artist, "items") as step:
        with ports.database.transaction() as connection:
            waiting = ledger.ledger(connection, artist.id, Kind.AUDIO, waiting_only=True)
            item = next((each for each in items.items_of(connection, artist.id) if each.id == item_id), None)
        row = next((each for each in waiting if each.id == bounce), None)
        if row is None:
            raise UnknownItemError(f"bounce {bounce}: none of this id waits (any more); look at what waits now")
        if item is None:
            raise UnknownItemError(f"item {item_id}: {artist.slug} has none of this id; look the id up again")
        if item.is_saved_pair:
            raise ConflictError(f"item {item.name}: was saved with audio of its own; no bounce takes its place")
        report = AudioReport()
        Bounces(step, report).place([(row, item_id)])
    if report.rejected:
        raise UnreadableAudioError(f"{row.name}: {report.rejected[0][1]}")
    if not (report.paired or report.replaced or report.unchanged):
        raise ConflictError(f"{row.name}: is no longer in the inbox as it was; look at what waits now")
