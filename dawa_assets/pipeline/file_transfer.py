"""Bytes between the bucket and this machine, verified by their SHA-256. What they are is not known here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from modal_app.data_root.digests import sha256_file, sha256_stream
from resources.bucket.base import Bucket
from resources.errors import BucketError, ObjectNotFoundError

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
        yield LocalCopy(path, sha256_file(path))


def object_hash(bucket: Bucket, key: str) -> str | None:
    """Return SHA-256 of an object's bytes; None where there is none."""
    try:
        with bucket.open(key) as stream:
            return sha256_stream(stream)
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


def plain_reason(error: Exception, name: str) -> str:
    """Return the error's line without the file's name at its beginning, which stands beside it in every list."""
    return str(error).removeprefix(f"{name}: ")


def _local_name(name: str) -> str:
    last = PurePosixPath(name).name
    suffix = PurePosixPath(last).suffix
    if len(last.encode()) <= _MAX_LOCAL_NAME and last not in ("", ".."):
        return last
    return f"file{suffix}" if len(suffix.encode()) <= _MAX_LOCAL_NAME else "file"
