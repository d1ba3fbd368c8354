"""Uploads that arrive in parts: begun, sent piece by piece, gone on with after a cut, and closed into the inbox.

What has arrived lies in a folder of this machine until the upload is closed; a file's length says how much of it is
there, so nothing has to be remembered and a killed server loses no byte that it took.
"""

import fcntl
import logging
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ValidationError

from dawa_assets.errors import UnknownItemError
from dawa_assets.intake.announced_files import GivenFile, why_refused
from dawa_assets.intake.file_selection import skipped_names
from dawa_assets.intake.inbox import complete_key
from dawa_assets.intake.kinds import kind_of
from dawa_assets.intake.projects import closing_note, projects_by_name
from dawa_assets.pipeline.file_transfer import plain_reason
from dawa_assets.pipeline.local_files import incoming_folder, uploads_folder
from dawa_assets.tables.artists import Artist, require_staying
from dawa_assets.tables.uploads import Kind
from modal_app.data_root.atomic_writes import write_atomic
from modal_app.errors import ConflictError, InputError, UnreadableAudioError
from resources.bucket.base import UploadLink
from resources.errors import NotNowError
from resources.ports import Ports
from resources.settings import Settings

log = logging.getLogger(__name__)

Purpose = Literal["inbox", "pair"]

MAX_FILES = 500
PART_BYTES = 8 * 2**20
"""How many bytes one request brings at most."""

_MAX_OPEN = 100  # uploads of one artist
_MAX_KEPT = 40 * 2**30  # bytes of one artist's open uploads, as they were announced
_KEPT = timedelta(days=7)
_CLOSED_SECONDS = 3600.0
_LINK_AGE = timedelta(hours=1)
_ID = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")
_MANIFEST, _CLOSED = "upload.json", "closed"


class PartFile(BaseModel):
    """One file of an upload. `received` of `size` bytes are here; `reason` says why it is refused."""

    file: int
    path: str
    size: int
    received: int = 0
    state: Literal["open", "whole", "refused"] = "open"
    reason: str | None = None
    link: UploadLink | None = None
    """Where the file is sent instead of here; None: here."""


class PartUpload(BaseModel):
    """An upload as it stands."""

    id: str
    purpose: Purpose
    state: Literal["open", "complete"] = "open"
    created_at: datetime
    expires_at: datetime
    files: list[PartFile]


def begin(ports: Ports, artist: Artist, purpose: Purpose, given: Sequence[GivenFile]) -> PartUpload:
    """Announce files.

    What can't be used is refused by itself, with its reason.

    Raises:
        InputError: nothing of it can be used, or too much is under way.
        ArtistBeingDeletedError: the artist is being deleted.
    """
    with ports.database.transaction() as connection:
        require_staying(connection, artist)
    _sweep(ports.settings)
    now = datetime.now(UTC)
    upload_id = f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"
    files = _files(artist, upload_id, purpose, given)
    if all(file.state == "refused" for file in files):
        why = "; ".join(f"{file.path[:80]}: {file.reason}" for file in files[:3]) or "no file was named"
        raise InputError(f"nothing to upload ({why}); send Live Sets (.als) or audio (.mp3, .wav, .flac …)")
    there = list_open(ports.settings, artist)
    announced = sum(file.size for upload in there for file in upload.files if file.state == "open")
    if len(there) >= _MAX_OPEN or announced + sum(file.size for file in files) > _MAX_KEPT:
        raise InputError("too many uploads are under way; finish or cancel some of them first")
    for file in files:
        if purpose == "inbox" and file.state == "open" and file.size:
            file.link = ports.bucket.upload_link(_inbox_key(artist, upload_id, file.path), file.size)
    upload = PartUpload(id=upload_id, purpose=purpose, created_at=now, expires_at=now + _KEPT, files=files)
    folder = _folder(ports.settings, artist, upload_id)
    folder.mkdir(mode=0o700, parents=True)
    write_atomic(folder / _MANIFEST, upload.model_dump_json())
    for file in files:
        if file.state == "open" and not file.size:
            _refuse(folder, file.file, "the file is empty")
    return find(ports.settings, artist, upload_id)


def list_open(settings: Settings, artist: Artist) -> list[PartUpload]:
    """Return the artist's uploads that are not closed, the newest first."""
    found = []
    with suppress(FileNotFoundError):
        for folder in sorted(uploads_folder(settings, artist.id).iterdir(), reverse=True):
            with suppress(UnknownItemError):
                found.append(find(settings, artist, folder.name))
    return [upload for upload in found if upload.state == "open"]


def find(settings: Settings, artist: Artist, upload_id: str) -> PartUpload:
    """Return an upload of the artist's as it stands now.

    Raises:
        UnknownItemError: there is none of this id (any more).
    """
    folder = _folder(settings, artist, upload_id)
    try:
        upload = PartUpload.model_validate_json((folder / _MANIFEST).read_bytes())
    except (OSError, ValidationError):
        raise unknown(upload_id) from None
    for file in upload.files:
        if file.state == "refused":
            continue
        with suppress(FileNotFoundError):
            file.received = (folder / f"{file.file}.part").stat().st_size
        with suppress(FileNotFoundError):
            file.reason = (folder / f"{file.file}.refused").read_text("utf-8")
            file.state = "refused"
        if file.state == "open" and (folder / f"{file.file}.whole").exists():
            file.state, file.received = "whole", file.size
    if (folder / _CLOSED).exists():
        upload.state = "complete"
    return upload


def artist_of(settings: Settings, upload_id: str) -> UUID:
    """Return whose upload this is.

    Raises:
        UnknownItemError: there is none of this id (any more).
    """
    if _ID.fullmatch(upload_id):
        for folder in incoming_folder(settings).glob(f"*/{upload_id}"):
            with suppress(ValueError):
                return UUID(folder.parent.name)
    raise unknown(upload_id)


def unknown(upload_id: str) -> UnknownItemError:
    """Return what is said of an upload that is not there, or not the caller's."""
    return UnknownItemError(f"upload {upload_id[:40]!r}: is not known (any more); begin it anew")


def look(ports: Ports, artist: Artist, upload_id: str) -> PartUpload:
    """Return an upload as `find` does, and of files that go straight to Storage whether they are there.

    Their links are good for two hours; an upload that is older gets new ones, by which what was begun goes on.

    Raises:
        UnknownItemError: there is none of this id (any more).
        BucketError: the bucket does not answer.
    """
    upload = find(ports.settings, artist, upload_id)
    if upload.state == "complete":
        return upload
    for file in upload.files:
        if file.link is None or file.state != "open":
            continue
        key = _inbox_key(artist, upload_id, file.path)
        stored = ports.bucket.stat(key)
        if stored is not None:
            file.received = stored.size
            file.state = "whole" if stored.size == file.size else "open"
        elif datetime.now(UTC) - upload.created_at > _LINK_AGE:
            file.link = ports.bucket.upload_link(key, file.size)
    return upload


def receive(settings: Settings, artist: Artist, upload_id: str, number: int, offset: int, piece: bytes) -> int:
    """Append a piece to a file; gives how much of it is here then.

    Raises:
        UnknownItemError: there is no such upload or file.
        ConflictError: the file does not end at this offset, or takes nothing more.
        InputError: the file would be longer than it was announced.
        NotNowError: this machine has no room for it.
    """
    file = _open_file(find(settings, artist, upload_id), number)
    if file.state != "open" or file.link is not None:
        raise ConflictError(f"{file.path[:80]}: takes no more bytes here; look at the upload's state")
    if offset + len(piece) > file.size:
        raise InputError(f"{file.path[:80]}: more than the {file.size:,} bytes that were announced; begin it anew")
    target = _folder(settings, artist, upload_id) / f"{number}.part"
    try:
        with target.open("ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            there = os.fstat(stream.fileno()).st_size
            if there != offset:
                raise ConflictError(
                    f"{file.path[:80]}: goes on at byte {there:,}, not at {offset:,}; send it from there"
                )
            stream.write(piece)
            stream.flush()
    except OSError as error:
        raise NotNowError(f"{file.path[:80]}: can't be kept now ({error.strerror}); try again later") from None
    return offset + len(piece)


def settle(settings: Settings, artist: Artist, upload_id: str, number: int) -> PartFile:
    """Look at a file after some of it came: one that is there whole is whole, or refused where it is no audio."""
    file = _open_file(find(settings, artist, upload_id), number)
    if file.state != "open" or file.received < file.size:
        return file
    folder = _folder(settings, artist, upload_id)
    part = folder / f"{number}.part"
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    if kind_of(file.path) is Kind.AUDIO:
        from modal_app.audio.decode import probe

        try:
            probe(part)
        except UnreadableAudioError as error:
            _refuse(folder, number, plain_reason(error, part.name))
            part.unlink(missing_ok=True)
            return _open_file(find(settings, artist, upload_id), number)
    write_atomic(folder / f"{number}.whole", "")
    return _open_file(find(settings, artist, upload_id), number)


def complete(ports: Ports, artist: Artist, upload_id: str) -> PartUpload:
    """Close an upload. Of an inbox's, all that was not refused lies in the inbox then; done twice, it is done once.

    Raises:
        UnknownItemError: there is no such upload.
        ConflictError: a file is not there whole.
        ArtistBeingDeletedError: the artist is being deleted.
    """
    upload = find(ports.settings, artist, upload_id)
    if upload.state == "complete":
        return upload
    folder = _folder(ports.settings, artist, upload_id)
    taken = [file for file in upload.files if file.state != "refused"]
    for file in taken:
        key = _inbox_key(artist, upload_id, file.path)
        if file.link is not None:
            stored = ports.bucket.stat(key)
            if stored is None or stored.size != file.size:
                raise ConflictError(f"{file.path[:80]}: is not in the bucket whole; send the rest of it")
        elif file.state != "whole":
            raise ConflictError(f"{file.path[:80]}: {file.received:,} of {file.size:,} bytes are here; send the rest")
    if not taken:
        raise InputError("all of its files were refused; begin another upload")
    if upload.purpose == "inbox":
        for file in taken:
            if file.link is None:
                ports.bucket.put(_inbox_key(artist, upload_id, file.path), folder / f"{file.file}.part")
        with ports.database.transaction() as connection:
            require_staying(connection, artist)
        projects = projects_by_name([file.path for file in upload.files])
        note = closing_note(projects, [file.path for file in taken])
        ports.bucket.put(complete_key(artist.slug, upload_id), note)
        for file in taken:
            write_atomic(folder / f"{file.file}.whole", "")
    write_atomic(folder / _CLOSED, "")
    if upload.purpose == "inbox":
        for file in taken:
            (folder / f"{file.file}.part").unlink(missing_ok=True)
    return find(ports.settings, artist, upload_id)


def cancel(settings: Settings, artist: Artist, upload_id: str) -> None:
    """Forget an upload and what arrived of it; what was closed stays in the inbox.

    Raises:
        UnknownItemError: there is no such upload.
    """
    find(settings, artist, upload_id)
    _remove(_folder(settings, artist, upload_id))


def whole_file(settings: Settings, artist: Artist, upload_id: str, number: int) -> Path:
    """Return the bytes of a file of a pair's upload.

    Raises:
        UnknownItemError: there is no such upload or file.
        ConflictError: the file is not there whole.
    """
    upload = find(settings, artist, upload_id)
    file = _open_file(upload, number)
    part = _folder(settings, artist, upload_id) / f"{number}.part"
    if upload.purpose != "pair" or file.state != "whole" or not part.is_file():
        raise ConflictError(f"{file.path[:80]}: is not here whole ({file.reason or file.state}); send it first")
    return part


def mark_used(settings: Settings, artist: Artist, upload_id: str) -> None:
    """Let an upload whose file found its place go, in a while: whoever asks again meanwhile finds it."""
    with suppress(OSError):
        write_atomic(_folder(settings, artist, upload_id) / _CLOSED, "")


def _files(artist: Artist, upload_id: str, purpose: Purpose, given: Sequence[GivenFile]) -> list[PartFile]:
    names = [unicodedata.normalize("NFC", file.path).strip("/") for file in given]
    skipped = skipped_names(names)
    files, seen = [], set()
    for number, (name, announced) in enumerate(zip(names, given, strict=True), start=1):
        size = announced.size
        reason = skipped.get(name) or why_refused(_inbox_key(artist, upload_id, name), announced)
        if reason is None and name in seen:
            reason = "the same name twice"
        if reason is None and purpose == "pair" and kind_of(name) is not Kind.AUDIO:
            reason = "is no audio"
        seen.add(name)
        state: Literal["open", "refused"] = "open" if reason is None else "refused"
        files.append(PartFile(file=number, path=name, size=size, state=state, reason=reason))
    return files


def _inbox_key(artist: Artist, upload_id: str, name: str) -> str:
    return f"inbox/{artist.slug}/{upload_id}/{name}"


def _open_file(upload: PartUpload, number: int) -> PartFile:
    found = next((file for file in upload.files if file.file == number), None)
    if found is None:
        raise UnknownItemError(f"upload {upload.id}: has no file {number}; ask for the list of its files")
    return found


def _folder(settings: Settings, artist: Artist, upload_id: str) -> Path:
    if not _ID.fullmatch(upload_id):
        raise unknown(upload_id)
    return uploads_folder(settings, artist.id) / upload_id


def _refuse(folder: Path, number: int, reason: str) -> None:
    write_atomic(folder / f"{number}.refused", reason)


def _remove(folder: Path) -> None:
    """Out of sight first: nobody sees half of it."""
    grave = folder.with_name(f".{secrets.token_hex(8)}.gone")
    with suppress(FileNotFoundError):
        folder.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)


def _sweep(settings: Settings) -> None:
    """Remove what is too old: never finished, or closed a while ago."""
    for folder in _folders(incoming_folder(settings)):
        with suppress(OSError):
            closed = folder / _CLOSED
            age = time.time() - (closed if closed.exists() else folder).stat().st_mtime
            if folder.name.startswith(".") or age > (_CLOSED_SECONDS if closed.exists() else _KEPT.total_seconds()):
                _remove(folder)


def _folders(root: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        for artist in list(root.iterdir()):
            yield from list(artist.iterdir())
