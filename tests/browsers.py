"""A real browser for tests of pages: chromium, cut off from every host but this one."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
"""The first is the same browser without windows: a page costs a quarter of the CPU."""
CHROMIUM = next((path for name in _NAMES if (path := shutil.which(name))), None)
NO_CHROMIUM = "there is no chromium here (apt-get install chromium-headless-shell, or chromium)"
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the network is cut off beyond loopback
    "--in-process-gpu",  # a process fewer, and nothing copied to it: a tenth of the CPU
    "--no-zygote",
    "--disable-extensions",
    "--renderer-process-limit=1",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """The module's browser. While it is there this thread runs an event loop, which other tests can't have."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed here")
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield launched
        launched.close()
