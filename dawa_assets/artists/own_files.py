"""Files that rows name, fetched from the bucket: only the artist's own, and only as they were taken in."""

from collections.abc import Iterator
from contextlib import contextmanager

from dawa_assets.artists.paths import is_own, shown_path
from dawa_assets.pipeline.file_transfer import LocalCopy, local_copy
from modal_app.errors import UnreadableAudioError
from resources.bucket.base import Bucket


@contextmanager
def own_audio(bucket: Bucket, slug: str, path: str, sha256: str) -> Iterator[LocalCopy]:
    """Fetch an item's audio for as long as the block lasts.

    Raises:
        UnreadableAudioError: it is not below the artist's folder, or not what was taken in.
        ObjectNotFoundError: it is gone.
    """
    if not is_own(slug, path):
        raise UnreadableAudioError(f"{shown_path(path)}: is no file of the artist's own; it is not read")
    with local_copy(bucket, path, path.rpartition("/")[2]) as local:
        if local.sha256 != sha256:
            raise UnreadableAudioError(f"{path}: is not the audio that was taken in; upload it again")
        yield local
