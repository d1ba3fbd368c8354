"""A real browser for tests of pages: chromium, cut off from every host but this one."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
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
    if _CHROMIUM is None:
        pytest.skip("there is no chromium here (apt-get install chromium)")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        yield launched
        launched.close()
