"""What a job of the worker says meanwhile, into the log. Progress is thinned: a line every other second is enough."""

import logging
import time
from collections.abc import Callable

from dawa_assets.tables.leases import Lease, report_progress
from modal_app.protocol.base import Event
from resources.database.base import Database

log = logging.getLogger(__name__)

_SECONDS_BETWEEN = 2.0
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def logged(step: str) -> Callable[[Event], None]:
    """Return a listener for `Compute.run`: warnings and the last of a count always, other progress now and then."""
    last = 0.0

    def listen(event: Event) -> None:
        nonlocal last
        now = time.monotonic()
        is_last = event.done is not None and event.done == event.total
        if event.kind == "progress" and event.level in ("debug", "info"):
            if now - last < _SECONDS_BETWEEN and not is_last:
                return
            last = now
        count = "" if event.done is None else f" {event.done}/{event.total}"
        log.log(_LEVELS[event.level], "%s%s: %s", step, count, event.message)

    return listen


def reported(database: Database, held: Lease, step: str) -> Callable[[Event], None]:
    """Return a listener that logs as `logged` does, and says on the lease how far the step is, every other second."""
    log_it, last = logged(step), 0.0

    def listen(event: Event) -> None:
        nonlocal last
        log_it(event)
        now = time.monotonic()
        if event.done is not None and event.total and now - last >= _SECONDS_BETWEEN:
            last = now
            report_progress(database, held, event.done, event.total, event.message)

    return listen
