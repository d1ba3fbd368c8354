"""The inbox: `inbox/{slug}/{upload-id}/…` in the bucket. Uploads go in here, and here is told what is pending.

It holds pending work and nothing else, so nobody needs a cursor. What becomes of the files is in `live_sets.py`
and in `dawa_assets/items`.
"""

import hashlib
import logging
import secrets
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from dawa_assets.intake.file_selection import SelectedFile, select_files
from dawa_assets.intake.inbox_folders import InboxFolder
from dawa_assets.intake.kinds import kind_of
from dawa_assets.intake.projects import closing_note
from dawa_assets.tables.artists import Artist, ensure_artist, require_staying, slugs_among
from dawa_assets.tables.uploads import InboxFile, Known, known_waiting
from modal_app.errors import InputError
from resources.bucket.base import Bucket, StoredObject
from resources.bucket.keys import FOREIGN, plain_name
from resources.errors import BucketError, InvalidKeyError
from resources.ports import Ports

log = logging.getLogger(__name__)

_COMPLETE = "_complete"
LOOSE = "loose"
"""The upload id of what another program dropped straight into an artist's inbox."""

_MAX_NAME = 200
_OUT = "`dawa upload --artist NAME` makes an artist, `dawa inbox remove` takes it out"


@dataclass(frozen=True)
class UploadReceipt:
    """What was uploaded; `skipped` has (name, reason) of what was left out."""

    artist_name: str
    slug: str
    upload_id: str
    files: list[str]
    skipped: list[tuple[str, str]]
    size_bytes: int
    seconds: float


@dataclass(frozen=True)
class PendingUploads:
    """Uploads of one artist that nobody has looked at yet.

    `state` names what is to be looked at: other programs drop new files under the upload ids of earlier ones.
    """

    slug: str
    upload_ids: list[str]
    state: str = field(default="", compare=False)


def upload(ports: Ports, artist: Artist | str, paths: Sequence[Path]) -> UploadReceipt:
    """Copy Live Sets and audio into the artist's inbox, closed by `_complete` when all of it is there.

    An artist given by a name that nobody has yet is made. An upload that fails or is stopped on the way is taken
    back; one that is killed stays without `_complete`.

    Raises:
        InputError: the name can't be an artist's, a path leads to nothing, or nothing in it can be used.
    """
    started = time.monotonic()
    name = check_artist_name(artist) if isinstance(artist, str) else artist.name
    gathered = select_files(paths)
    if not gathered.files:
        raise InputError(_nothing_usable(paths, gathered.skipped))
    if isinstance(artist, str):
        with ports.database.transaction() as connection:
            artist = ensure_artist(connection, name)
    upload_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"
    folder = f"inbox/{artist.slug}/{upload_id}"
    files: list[str] = []
    skipped = list(gathered.skipped)
    size = 0
    try:
        for number, file in enumerate(gathered.files, 1):
            log.info("uploading %s (%d of %d)", file.name, number, len(gathered.files))
            copied = _put(ports.bucket, f"{folder}/{file.name}", file)
            if isinstance(copied, str):
                skipped.append((file.name, copied))
            else:
                files.append(file.name)
                size += copied
        if not files:
            raise InputError(_nothing_usable(paths, skipped))
        with ports.database.transaction() as connection:
            require_staying(connection, artist)
        projects = {file.name: file.project for file in gathered.files}
        ports.bucket.put(complete_key(artist.slug, upload_id), closing_note(projects, files))
    except BaseException:  # Ctrl-C too: what is left here counts as a whole upload once it has been quiet
        _take_back(ports.bucket, [f"{folder}/{file}" for file in files])
        raise
    return UploadReceipt(artist.name, artist.slug, upload_id, files, skipped, size, time.monotonic() - started)


def pending_uploads(ports: Ports) -> list[PendingUploads]:
    """Return the artists with complete uploads that hold something nobody has looked at yet, by slug.

    One listing of the inbox, and two queries for what lies in it, whatever else there is. What waits for something
    else to arrive (the ledger says so) is not pending.
    """
    listed = list(inbox_folders(ports))
    if not listed:
        return []
    with ports.database.transaction() as connection:
        slugs = slugs_among(connection, {inbox_folder.slug for inbox_folder in listed})
        known = known_waiting(connection)
    pending: dict[str, dict[str, list[StoredObject]]] = {}
    for inbox_folder in listed:
        if inbox_folder.slug not in slugs:
            log.warning("inbox/%s/: no artist has this slug; `dawa upload --artist NAME` makes one", inbox_folder.slug)
        elif inbox_folder.complete and (
            unknown := [file.stored for file in inbox_folder.files if not is_known(file, known)]
        ):
            pending.setdefault(inbox_folder.slug, {}).setdefault(inbox_folder.upload_id, []).extend(unknown)
    return [PendingUploads(slug, list(uploads), _state(uploads)) for slug, uploads in pending.items()]


def _state(uploads: dict[str, list[StoredObject]]) -> str:
    lines = (f"{one.modified.isoformat()} {one.size} {one.key}" for files in uploads.values() for one in files)
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Unclaimed:
    """What lies in the inbox and is nobody's: a folder, or a file that lies straight in it, and why."""

    place: str
    files: int
    size_bytes: int
    reason: str


def unclaimed_uploads(ports: Ports) -> list[Unclaimed]:
    """Return what lies in the inbox and no build of any artist will ever look at; one listing, one query."""
    found: dict[str, list[StoredObject]] = {}
    for stored in ports.bucket.list("inbox"):
        owner, _ = _owner_and_upload(stored)
        found.setdefault(f"inbox/{owner}/" if owner else stored.key, []).append(stored)
    owners = {place: place.split("/")[1] for place in found if place.endswith("/")}
    with ports.database.transaction() as connection:
        taken = slugs_among(connection, {slug for slug in owners.values() if FOREIGN not in slug})
    return [
        Unclaimed(
            plain_name(place),
            len(stored),
            sum(one.size for one in stored),
            f"no artist has this slug; {_OUT}" if place in owners else f"lies in no artist's folder; {_OUT}",
        )
        for place, stored in found.items()
        if owners.get(place) not in taken
    ]


def remove_from_inbox(ports: Ports, place: str) -> list[str]:
    """Remove a file of the inbox, or all below a folder of it, as `unclaimed_uploads` and people call it; what went.

    Raises:
        InputError: nothing lies there.
    """
    found = [
        stored.key
        for stored in ports.bucket.list("inbox")
        if plain_name(stored.key) == place or plain_name(stored.key).startswith(f"{place.rstrip('/')}/")
    ]
    if not place.startswith("inbox/") or not place.strip("/").partition("/")[2] or not found:
        raise InputError(f"{place}: there is no such file or folder in the inbox; `dawa inbox list` names them")
    ports.bucket.delete(found)
    return [plain_name(key) for key in found]


def inbox_folders(ports: Ports, slug: str | None = None) -> Iterator[InboxFolder]:
    """Yield every folder of the inbox, or of one artist's, in key order: ours sort by the time of the upload."""
    quiet_since = datetime.now(UTC) - timedelta(seconds=ports.settings.quiet_seconds)
    prefix = "inbox" if slug is None else f"inbox/{slug}"
    for (owner, upload_id), group in groupby(ports.bucket.list(prefix), key=_owner_and_upload):
        stored = list(group)
        marker = complete_key(owner, upload_id)
        files = [_inbox_file(owner, upload_id, one) for one in stored if one.key != marker]
        closing = next((one for one in stored if one.key == marker), None)
        complete = closing is not None or max(one.modified for one in stored) <= quiet_since
        if owner:
            yield InboxFolder(owner, upload_id, files, complete, closing)


def complete_key(slug: str, upload_id: str) -> str:
    """Return the key of the object that says that all of an upload is there, and sometimes more (`projects.py`)."""
    return f"inbox/{slug}/{upload_id}/{_COMPLETE}"


def is_known(file: InboxFile, known: dict[str, Known]) -> bool:
    """Return whether the ledger has this very object as waiting: looked at, and not written again since."""
    seen = known.get(file.stored.key)
    return seen is not None and seen.size_bytes == file.stored.size and file.stored.modified <= seen.looked_at


def remove_taken(bucket: Bucket, file: InboxFile) -> None:
    """Delete a file that has found its place, unless its key holds another one by now."""
    current = bucket.stat(file.stored.key)
    if current == file.stored:
        bucket.delete([file.stored.key])
    elif current is not None:
        log.info("%s: uploaded again meanwhile; the new one is taken in next time", file.stored.key)


def close(bucket: Bucket, inbox_folder: InboxFolder) -> None:
    """Remove the `_complete` of an upload of which nothing else is left."""
    marker = complete_key(inbox_folder.slug, inbox_folder.upload_id)
    if [stored.key for stored in bucket.list(marker.rpartition("/")[0])] == [marker]:
        bucket.delete([marker])


def check_artist_name(name: str) -> str:
    """Return the name without blanks around it.

    Raises:
        InputError: it is empty, too long, or can't be printed.
    """
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise InputError(f"artist {name[:40]!r}: a name has 1 to {_MAX_NAME} printable characters; give another")
    return name


def _put(bucket: Bucket, key: str, file: SelectedFile) -> int | str:
    """Return its size, or why it was not uploaded."""
    try:
        with file.path.open("rb") as stream:
            before = file.path.stat()
            bucket.put(key, stream)
            after = file.path.stat()
    except OSError as error:
        return f"can't be read: {error.strerror}"
    except InvalidKeyError:
        return "the name, with its folders, is too long; rename it"
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        bucket.delete([key])
        return "it was being written to; upload it again when that is done"
    return after.st_size


def _take_back(bucket: Bucket, keys: list[str]) -> None:
    """Remove what was uploaded; where that can't be done, say so: why it is taken back goes on to be told."""
    try:
        bucket.delete(keys)
    except BucketError as error:
        log.warning("%d uploaded files can't be taken back: %s; `dawa inbox list` names them", len(keys), error)


def _owner_and_upload(stored: StoredObject) -> tuple[str, str]:
    """Return whose inbox an object is in, and its upload; no owner for what lies straight in `inbox/`."""
    _, owner, *rest = stored.key.split("/", 3)
    if not rest:
        return "", LOOSE
    return owner, rest[0] if len(rest) > 1 else LOOSE


def _inbox_file(slug: str, upload_id: str, stored: StoredObject) -> InboxFile:
    below = stored.key.removeprefix(f"inbox/{slug}/").removeprefix(f"{upload_id}/")
    relative = unicodedata.normalize("NFC", plain_name(below))
    folder, _, name = relative.rpartition("/")
    return InboxFile(stored, upload_id, folder, name, kind_of(name))


def _nothing_usable(paths: Sequence[Path], skipped: list[tuple[str, str]]) -> str:
    given = str(paths[0]) if len(paths) == 1 else f"{len(paths)} paths"
    why = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3]) or "empty"
    return f"{given}: nothing to upload ({why}); give Live Sets (.als) or audio (.mp3, .wav, .flac …)"
