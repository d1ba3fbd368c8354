"""How a file leaves the inbox: into its place with its bytes verified, or aside with the reason why.

The order is what makes it safe to be killed anywhere: the ledger says where a file goes, it is copied, the copy's
hash is compared, the ledger says that it is there, and only then the file is deleted from the inbox.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from dawa_assets.intake import store
from dawa_assets.intake.inbox import remove_taken
from dawa_assets.intake.layout import rejected_key
from dawa_assets.intake.store import InboxFile
from dawa_assets.pipeline.step import Step
from resources.bucket.base import Bucket
from resources.errors import BucketError, ObjectNotFoundError

log = logging.getLogger(__name__)

_MAX_LOCAL_NAME = 200


@dataclass(frozen=True)
class LocalCopy:
    """An object's bytes as a file of this machine, for as long as the block lasts."""

    path: Path
    sha256: str


@contextmanager
def local_copy(bucket: Bucket, key: str, name: str) -> Iterator[LocalCopy]:
    """Fetch an object under the name that it has with the user, so that messages call it so.

    A name from a row may be anything; only its last part counts, and only as a name.

    Raises:
        ObjectNotFoundError: it is gone.
    """
    with TemporaryDirectory(prefix="dawa-") as folder:
        path = Path(folder) / _local_name(name)
        bucket.fetch(key, path)
        with path.open("rb") as stream:
            sha256 = _hash(stream)
        yield LocalCopy(path, sha256)


def object_hash(bucket: Bucket, key: str) -> str | None:
    """SHA-256 of an object's bytes; None where there is none."""
    try:
        with bucket.open(key) as stream:
            return _hash(stream)
    except ObjectNotFoundError:
        return None


def put_verified(bucket: Bucket, local: LocalCopy, key: str) -> None:
    """Bring bytes to their place and read them back; a place that has them already is success.

    Raises:
        BucketError: the bucket holds something else than was written.
    """
    if object_hash(bucket, key) == local.sha256:
        return
    bucket.put(key, local.path)
    if object_hash(bucket, key) != local.sha256:
        raise BucketError(f"{key}: what the bucket holds is not what was written; run it again")


def reject(step: Step, file: InboxFile, sha256: str, reason: str) -> bool:
    """Move a file aside, with its reason beside it. False where its bytes were replaced meanwhile: nothing was done."""
    bucket, artist = step.ports.bucket, step.artist
    key = rejected_key(artist.slug, file.upload_id, file.folder, file.name)
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        upload = store.begin(connection, artist.id, file, sha256, key)
    try:
        bucket.copy(file.stored.key, key)
    except ObjectNotFoundError:
        log.info("%s: gone from the inbox", file.stored.key)
    if object_hash(bucket, key) != sha256:
        bucket.delete([key])
        with step.ports.database.transaction() as connection:
            store.forget(connection, upload)
        return False
    bucket.put(f"{key}.reason.txt", f"{reason}\n".encode())
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        store.finish_rejected(connection, upload, reason)
    remove_taken(bucket, file)
    log.warning("rejected %s: %s", file.name, reason)
    return True


def plain_reason(error: Exception, name: str) -> str:
    """The error's line without the file's name at its beginning, which stands beside it in every list."""
    return str(error).removeprefix(f"{name}: ")


def _local_name(name: str) -> str:
    last = PurePosixPath(name).name
    suffix = PurePosixPath(last).suffix
    if len(last.encode()) <= _MAX_LOCAL_NAME and last not in ("", ".."):
        return last
    return f"file{suffix}" if len(suffix.encode()) <= _MAX_LOCAL_NAME else "file"


def _hash(stream: BinaryIO) -> str:
    return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
