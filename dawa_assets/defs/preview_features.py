"""Features of Dagster that warn of being new. They are used through here, so that an upgrade has one place to look."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg


@contextmanager
def accepted_as_new() -> Iterator[None]:
    """Define something with a preview or beta feature on purpose, without its warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        yield
