"""Leases: one worker per artist and step, without session locks (poolers forbid them).

A lease is a row with a holder, an expiry and a fencing number. Whoever works renews it; whoever commits checks
in the same transaction that the number is still theirs, so that a process that slept through its expiry can't
write over its successor's work. The rows are `dawa_assets/tables/leases.py`'s.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from dawa_assets.errors import BusyError
from dawa_assets.tables.leases import Lease, release, renew, take
from resources.database.base import Database

log = logging.getLogger(__name__)


@contextmanager
def lease(database: Database, artist_id: UUID, step: str, *, seconds: float, wait_seconds: float) -> Iterator[Lease]:
    """Hold the lease of (artist, step) for the length of the block, renewing it meanwhile.

    Waits up to `wait_seconds` for another holder. A holder of this machine whose process is gone is not waited
    for.

    Raises:
        BusyError: another process held it for all that time.
        ArtistBeingDeletedError: the artist was deleted, or is being.
    """
    deadline = time.monotonic() + wait_seconds
    is_logged = False
    while (fence := take(database, artist_id, step, seconds)) is None:
        if time.monotonic() >= deadline:
            raise BusyError(f"{step}: another process is working on this artist; try again when it is done")
        if not is_logged:
            log.warning("%s: waiting for another process that works on the same artist", step)
            is_logged = True
        time.sleep(min(0.25, seconds / 4))
    if is_logged:
        log.info("%s: waited for another process; going on", step)
    held = Lease(artist_id, step, fence)
    stop = threading.Event()
    renewer = threading.Thread(target=_renew, args=(database, held, seconds, stop), daemon=True)
    renewer.start()
    try:
        yield held
    finally:
        stop.set()
        renewer.join()
        release(database, held)


def _renew(database: Database, held: Lease, seconds: float, stop: threading.Event) -> None:
    while not stop.wait(seconds / 3):
        try:
            renew(database, held, seconds)
        except Exception as error:
            log.warning("%s: the lease could not be renewed: %s", held.step, error)
