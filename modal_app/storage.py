"""What `/data` is in the app's containers: Modal's volume, or an S3 or R2 bucket in its place. Chosen here only.

A bucket's keys (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`) are in the app's secret. Base weights are on a volume of
their own either way: a volume in which a file is open can't be refreshed, and weights are read from open files.
"""

import gc
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modal_app.errors import JobError
from modal_app.remote import Storage
from modal_app.sdk import VOLUME
from modal_app.worker import one_line

if TYPE_CHECKING:
    import modal

DATA = Path("/data")
WEIGHTS = Path("/weights")
WEIGHTS_VOLUME = "nawfside-music-weights"

_OPEN_FILES = "open files"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mount:
    """What is mounted at `/data`, and how its content is shared."""

    what: "modal.Volume | modal.CloudBucketMount"
    storage: Storage


class VolumeStorage(Storage):
    """Modal's volume: other machines see what is committed, and this one what was committed when it looked."""

    def __init__(self, volume: "modal.Volume") -> None:
        self._volume = volume

    def refresh(self) -> None:
        """Show here what other machines committed.

        Raises:
            JobError: files on it are open.
        """
        gc.collect()  # what an earlier call left open is closed with its last reader
        try:
            self._volume.reload()
        except RuntimeError as error:
            raise JobError(f"/data: can't be refreshed ({one_line(error)}); run it again") from None

    def commit(self) -> None:
        """Show other machines what was written here."""
        try:
            self._volume.commit()
        except RuntimeError as error:
            if _OPEN_FILES not in str(error):
                raise
            log.debug("committed; what others wrote is seen later, for files are open here")


class BucketStorage(Storage):
    """A bucket that is mounted: each file is there for all when it is closed."""

    def refresh(self) -> None:
        """Nothing is behind."""

    def commit(self) -> None:
        """Nothing is kept back."""


def data_mount(secret: "modal.Secret", bucket: str, endpoint: str) -> Mount:
    """The volume, or the bucket that is named."""
    import modal

    if not bucket:
        volume = modal.Volume.from_name(VOLUME, create_if_missing=True)
        return Mount(volume, VolumeStorage(volume))
    mount = modal.CloudBucketMount(bucket, bucket_endpoint_url=endpoint or None, secret=secret, key_prefix="data/")
    return Mount(mount, BucketStorage())
