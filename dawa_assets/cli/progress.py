"""Progress on the terminal: what the domain logs while a job runs, as one live line and a line for each step."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

_LOGGERS = ("dawa_assets", "modal_app", "resources")


@contextmanager
def shown_progress(console: Console) -> Iterator[None]:
    """Show what is logged meanwhile: steps that ended as lines, everything else in the line that moves."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), console.status("starting …") as live:
        warnings.simplefilter("ignore")
        handler = _Handler(console, live.update)
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False  # the root's handler would print the same again
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)
                logger.propagate = True


class _Handler(logging.Handler):
    def __init__(self, console: Console, update: object) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._update = update

    def emit(self, record: logging.LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        step = getattr(record, "step", None)
        if step is not None:
            self._console.print(f"  [green]✓[/] [bold]{step:<22}[/]", end="")
            self._console.print(message, markup=False, highlight=False)
        elif record.levelno >= logging.WARNING:
            self._console.print("  [yellow]![/] ", end="")
            self._console.print(message, markup=False, highlight=False)
        elif callable(self._update):
            from rich.text import Text

            self._update(Text(message[:200]))
