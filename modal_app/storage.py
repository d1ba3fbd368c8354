"""What `/data` is in the app's containers: Modal's volume. Whatever else it is to be is put in its place here.

The worker needs renames, links and locks under its data root, within one container; across containers it needs only
what `Storage` promises. Base weights are on a volume of their own: a volume in which a file is open can't be refreshed,
and weights are read from open files.
"""

import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from modal_app.errors import JobError
from modal_app.remote import Storage
from modal_app.worker import one_line

if TYPE_CHECKING:
    import modal

DATA = Path("/data")
WEIGHTS = Path("/weights")
WEIGHTS_VOLUME = "nawfside-music-weights"

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
