"""What was sent, upload by upload, and what became of each file: on its way, in the inbox, waiting, taken, rejected."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from dawa_assets.intake.inbox import inbox_folders, is_known
from dawa_assets.intake.part_uploads import list_open
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.uploads import known_waiting, latest_outcomes
from resources.ports import Ports

State = Literal["open", "refused", "arrived", "waiting", "taken", "rejected"]

_MAX_FILES = 2_000
_MAX_UPLOADS = 200


@dataclass(frozen=True)
class SentFile:
    """A file of an upload, by its path in it.

    `open`: not there whole; `refused`: as it was announced or sent; `arrived`: in the inbox, and nobody has looked at
    it yet; `waiting`, `taken`, `rejected`: as the ledger has it, with the item or the parse that it became.
    """

    path: str
    size: int
    state: State
    reason: str | None = None
    item_id: UUID | None = None
    parse_id: str | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class SentUpload:
    """One upload; `is_closed`: nothing more is expected of it."""

    id: str
    artist: Artist
    is_closed: bool
    files: list[SentFile] = field(default_factory=list)


def sent_uploads(ports: Ports, artists: Iterable[Artist]) -> list[SentUpload]:
    """Return the uploads of these artists, the latest first.

    Raises:
        BucketError: the bucket does not answer.
    """
    found = [upload for artist in artists for upload in _of(ports, artist)]
    return sorted(found, key=lambda upload: (upload.id, upload.artist.slug), reverse=True)[:_MAX_UPLOADS]


def _of(ports: Ports, artist: Artist) -> Iterable[SentUpload]:
    with ports.database.transaction() as connection:
        outcomes = latest_outcomes(connection, artist.id, _MAX_FILES)
        known = known_waiting(connection, artist.id)
    files: dict[str, dict[str, SentFile]] = {}
    is_open: set[str] = set()
    for one in outcomes:
        path = f"{one.folder}/{one.name}".lstrip("/")
        files.setdefault(one.upload_id, {})[path] = SentFile(
            path=path,
            size=one.size_bytes,
            state=one.state,  # type: ignore[arg-type]  # the table's check holds it to these three
            reason=one.reason,
            item_id=one.training_item_id,
            parse_id=one.parse_id,
            at=one.at,
        )
    for folder in inbox_folders(ports, artist.slug):
        if not folder.complete:
            is_open.add(folder.upload_id)
        for each in folder.files:
            if not is_known(each, known):
                path = f"{each.folder}/{each.name}".lstrip("/")
                there = SentFile(path, each.stored.size, "arrived", at=each.stored.modified)
                files.setdefault(folder.upload_id, {})[path] = there
    for upload in list_open(ports.settings, artist):
        if upload.purpose != "inbox":
            continue
        is_open.add(upload.id)
        of_upload = files.setdefault(upload.id, {})
        for file in upload.files:
            state: State = "open" if file.state == "whole" else file.state
            of_upload.setdefault(file.path, SentFile(file.path, file.size, state, file.reason))
    for upload_id, by_path in files.items():
        ordered = [by_path[path] for path in sorted(by_path)]
        yield SentUpload(upload_id, artist, upload_id not in is_open, ordered)
