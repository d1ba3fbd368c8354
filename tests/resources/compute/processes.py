"""The processes of worker jobs below this one, as the system sees them."""

from contextlib import suppress

import psutil


def nurseries() -> list[psutil.Process]:
    """The processes that fork workers."""
    return _alive(psutil.Process().children(), "modal_app.worker.forkserver")


def workers() -> list[psutil.Process]:
    """The workers, forked or started."""
    forked = [child for forkserver in nurseries() for child in _alive(forkserver.children())]
    return [*forked, *_alive(psutil.Process().children(), "modal_app.worker.process")]


def _alive(processes: list[psutil.Process], module: str | None = None) -> list[psutil.Process]:
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile, and may wait to be taken notice of
            if process.status() != psutil.STATUS_ZOMBIE and (module is None or module in process.cmdline()):
                found.append(process)
    return found
