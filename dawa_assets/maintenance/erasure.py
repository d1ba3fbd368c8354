"""What is left of deleted artists outside of the bucket: the worker's copies, and files that this machine keeps.

A deletion leaves nothing; something may come after it (a restored backup, a job that came over HTTP, a person). It is
found by the slug, and by the hashes of audio that the deletion has on record and that nobody else has by now.
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from dawa_assets.pipeline.local_files import local_files_of, remove_local_files
from dawa_assets.tables.artist_deletions import ErasedArtist, erased_artists
from modal_app.protocol.forgetting import ForgetRequest
from resources.ports import Ports

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leftover:
    """Something of a deleted artist's: where (`worker`, `this machine`), what, and how much."""

    slug: str
    deleted_at: datetime
    place: str
    what: str
    files: int
    bytes: int

    @property
    def line(self) -> str:
        """It in a line."""
        return f"{self.slug} (deleted {self.deleted_at:%Y-%m-%d}): {self.files:,} {self.what} on {self.place}"


def find_leftovers(ports: Ports) -> list[Leftover]:
    """Return what is left of deleted artists, by slug; changes nothing.

    Raises:
        JobError: the worker can't be asked.
    """
    return _look(ports, remove=False)


def remove_leftovers(ports: Ports) -> list[Leftover]:
    """Remove what is left of deleted artists; gives what that was.

    Raises:
        JobError: the worker can't remove its copies; run it again.
    """
    return _look(ports, remove=True)


def _look(ports: Ports, *, remove: bool) -> list[Leftover]:
    with ports.database.transaction() as connection:
        erased = erased_artists(connection)
    found: list[Leftover] = []
    for artist in erased:
        found += _of_worker(ports, artist, remove=remove)
        files = local_files_of(ports.settings, artist.slug_of_nobody, artist.artist_id, artist.audio_hashes)
        for what, paths in sorted(files.items()):
            size = sum(path.stat().st_size for path in paths if path.is_file())
            found.append(Leftover(artist.slug, artist.finished_at, "this machine", what, len(paths), size))
        if remove and files:
            remove_local_files(ports.settings, artist.slug_of_nobody, artist.artist_id, artist.audio_hashes)
    return found


def _of_worker(ports: Ports, artist: ErasedArtist, *, remove: bool) -> list[Leftover]:
    request = ForgetRequest(
        producer_id=artist.slug_of_nobody, audio_hashes=artist.audio_hashes, outputs=artist.outputs, dry_run=not remove
    )
    result = ports.compute.run(request, lambda event: log.debug("%s", event.message))
    return [
        Leftover(artist.slug, artist.finished_at, "the worker", what, each.files, each.bytes)
        for what, each in sorted(result.removed.items())
        if each.files
    ]
