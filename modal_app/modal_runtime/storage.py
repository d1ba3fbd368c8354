"""What `/data` is in the app's containers, by setting: Modal's volume, or a bucket (S3, R2) that is mounted beside it.

The worker needs renames, links and locks under its data root, within one container; across containers it needs only
what `Storage` promises. How a bucket keeps that is in `mounted/`. Base weights are on a volume of their own: one in
which a file is open can't be refreshed, and weights are read from open files.
"""

import gc
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modal_app.errors import InputError, JobError
from modal_app.modal_runtime.container import Storage
from modal_app.modal_runtime.mounted_bucket.files import MountFiles
from modal_app.modal_runtime.mounted_bucket.mount import Mount
from modal_app.modal_runtime.mounted_bucket.tree import MountStorage
from modal_app.worker.process import one_line

if TYPE_CHECKING:
    import modal

DATA = Path("/data")
WEIGHTS = Path("/weights")
WEIGHTS_VOLUME = "nawfside-music-weights"
BUCKET = Path("/bucket")
BUCKET_KEYS = "nawfside-bucket-secrets"
"""The name of Modal's secret with the bucket's keys, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`."""
VOLUME_CHOICE = "volume"

_OPEN_FILES = "open files"

log = logging.getLogger(__name__)


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


class FolderStorage(Storage):
    """A folder of one machine: everything is there for all at once."""

    def refresh(self) -> None:
        """Nothing is behind."""

    def commit(self) -> None:
        """Nothing is kept back."""


@dataclass(frozen=True)
class Data:
    """What a deployment's data root is: what its functions mount, and how calls use it."""

    mounts: Mapping[str, Any]
    storage: Storage
    files: MountFiles | None
    """Serves files to who has not mounted them; None where Modal does that."""


def data_of(settings: Mapping[str, str], volume_name: str) -> Data:
    """Return the data root as `DAWA_MODAL_STORAGE` wants it; nothing is asked of Modal yet.

    Raises:
        InputError: it names neither a volume nor a bucket.
    """
    import modal

    place, endpoint = settings["DAWA_MODAL_STORAGE"], settings["DAWA_MODAL_S3_ENDPOINT"]
    if place == VOLUME_CHOICE:
        volume = modal.Volume.from_name(volume_name, create_if_missing=True)
        return Data({str(DATA): volume}, VolumeStorage(volume), None)
    named = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[\w.=-]+)*)/?", place, re.ASCII)
    if not named or not set(place.split("/")).isdisjoint({".", ".."}):
        raise InputError("DAWA_MODAL_STORAGE: is neither `volume` nor like `s3://bucket/folder`; set it to one of them")
    if endpoint and not re.fullmatch(r"https://[\w.-]+(:\d+)?/?", endpoint, re.ASCII):
        raise InputError(
            "DAWA_MODAL_S3_ENDPOINT: is no address; write it like `https://account.r2.cloudflarestorage.com`"
        )
    bucket, folder = named.groups()
    mount = Mount(BUCKET)
    mounted = modal.CloudBucketMount(
        bucket_name=bucket,
        bucket_endpoint_url=endpoint.rstrip("/") or None,
        key_prefix=f"{folder.strip('/')}/" if folder else None,
        secret=modal.Secret.from_name(BUCKET_KEYS, required_keys=["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
    )
    return Data({str(BUCKET): mounted}, MountStorage(DATA, mount), MountFiles(mount))
