"""The page in a real browser: chromium, its profile and the server are a module's, a page and its storage each test's.

Nothing leaves this machine: no other host has an address here, and every error on the console fails its test.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modal_app.protocol.base import JobRequest
from modal_app.protocol.training import InstallRequest, InstallResult
from resources.bucket.folder import FolderBucket
from resources.ports import Ports
from resources.prompt_writer.offline import OfflineWriter
from resources.settings import Settings
from tests.browsers import browser as browser
from tests.databases import KeptDatabase, Stock
from tests.dawa_assets.http.serving import QuickCompute, server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="module")
def site_ports(_stock: Stock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """Real ports for the module's tests, each of which has artists of its own; the worker answers at once."""
    settings = Settings(home=tmp_path_factory.mktemp("site") / "home")
    url, keeper = _stock.take()
    database = KeptDatabase(url)
    yield Ports(
        settings=settings,
        database=database,
        bucket=FolderBucket(settings.home / "bucket"),
        prompt_writer=OfflineWriter(),
        compute=Worker(settings.data_root),
    )
    database.close()
    _stock.give_back(url, keeper)


class Worker(QuickCompute):
    """Answers at once, and takes adapters as published that nobody trained."""

    def run(self, request: JobRequest[Any], on_event: Any, record: Any = None) -> Any:
        if isinstance(request, InstallRequest):
            path = f"loras/{request.producer_id}_{request.model_name}.safetensors"
            return InstallResult(lora_path=path, peft_path=None, changed=True)
        return super().run(request, on_event, record)


@pytest.fixture(scope="module")
def site(site_ports: Ports) -> Iterator[str]:
    """The address of the module's open server."""
    with server(site_ports) as base:
        yield base


def _context(browser: "Browser", problems: list[str], **options: Any) -> "BrowserContext":
    still = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", "reduced_motion": "reduce"}
    context = browser.new_context(**{**still, **options})
    context.set_default_timeout(30_000)
    context.on("console", lambda line: problems.append(f"console: {line.text}") if line.type == "error" else None)
    context.on("weberror", lambda error: problems.append(f"script: {error.error}"))
    return context


@pytest.fixture(scope="module")
def _profile(browser: "Browser") -> "Iterator[tuple[BrowserContext, list[str]]]":
    """The module's profile, whose pages load four times as fast as those of a fresh one, and what went wrong in it."""
    problems: list[str] = []
    context = _context(browser, problems)
    yield context, problems
    context.close()


@pytest.fixture
def page(_profile: "tuple[BrowserContext, list[str]]", site: str) -> "Iterator[Page]":
    """A page that remembers nothing of other tests; what goes wrong in it fails the test at its end."""
    context, problems = _profile
    problems.clear()
    made = context.new_page()
    session = context.new_cdp_session(made)
    session.send("Storage.clearDataForOrigin", {"origin": site, "storageTypes": "all"})
    session.detach()
    yield made
    context.unroute_all()
    made.close()
    assert problems == []


@pytest.fixture(scope="module")
def _open_page(_profile: "tuple[BrowserContext, list[str]]") -> "Page":
    return _profile[0].new_page()


@pytest.fixture
def open_page(_profile: "tuple[BrowserContext, list[str]]", _open_page: "Page") -> "Iterator[Page]":
    """The module's page as the test before left it: another view of it costs a quarter of loading it.

    It is for tests that close none, listen to none of its events and leave nothing unsaved.
    """
    problems = _profile[1]
    problems.clear()
    yield _open_page
    assert problems == []


@pytest.fixture
def problems(_profile: "tuple[BrowserContext, list[str]]") -> list[str]:
    """What went wrong until now; a test that means some of it takes it out."""
    return _profile[1]


@pytest.fixture
def new_context(browser: "Browser") -> "Iterator[Callable[..., BrowserContext]]":
    """A function that makes a profile with options of its own; what goes wrong in it fails the test at its end."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def make(**options: Any) -> "BrowserContext":
        contexts.append(_context(browser, problems, **options))
        return contexts[-1]

    yield make
    for context in contexts:
        context.close()
    assert problems == []


def with_settings(ports: Ports, **changes: Any) -> Ports:
    """The same ports with other settings."""
    return replace(ports, settings=ports.settings.model_copy(update=changes))


@pytest.fixture
def audio_file(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """A function that writes a file that a person would drop."""

    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write
