"""What `make ui` starts, in a real browser: a picture shows in place, a sound plays, and nothing is left behind."""

import io
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import httpx
import pytest
from PIL import Image

from dawa_assets.defs.page_files import Sound, drawn_pictures, sounds
from dawa_assets.defs.run import open_instance
from dawa_assets.pipeline.files_address import files_address
from resources.ports import Ports, open_ports
from resources.settings import Settings
from tests.browsers import CHROMIUM, NO_CHROMIUM
from tests.dawa_assets.intake.material import new_artist, wav
from tests.prepared import prepare_database
from tests.waiting import until, until_gone

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[3]
SOUND = "artists/nova/training/a/audio.wav"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM),
]


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Ports]:
    """Real ports of a home of its own, whose pages link to where `make ui` will serve its files."""
    settings = Settings(home=prepare_database(tmp_path / "home"))
    made = open_ports(settings.model_copy(update={"serve_url": files_address(settings)}))
    yield made
    made.database.stop()  # type: ignore[attr-defined]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ui(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`make ui` in a session of its own, as a terminal runs it; ended by Ctrl-C."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAWA_", "DAGSTER_"))}
    with (home / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "ui", f"PORT={port}"], cwd=ROOT, env=environment | {"DAWA_HOME": str(home)},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        until_gone([process.pid])
        process.wait()


@pytest.fixture
def page() -> "Iterator[Page]":
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed here")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM,
            args=["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
        )
        opened = browser.new_page(viewport={"width": 1600, "height": 1000})
        opened.set_default_timeout(200_000)
        yield opened
        browser.close()


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (900, 300), "red").save(file, "png")
    return file.getvalue()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).is_success
    except httpx.HTTPError:
        return False


def test_a_page_of_the_ui_shows_and_plays_what_it_links_to(ports: Ports, page: "Page") -> None:
    new_artist(ports)
    ports.bucket.put(SOUND, wav(seconds=3))
    shown = drawn_pictures(ports, "nova", {"waveforms": "waveforms"}, "", lambda: {"waveforms": _png()})
    shown |= sounds(ports, "nova", [Sound("Its bounce", SOUND)])
    with open_instance(ports.settings) as instance:
        instance.add_dynamic_partitions("artist", ["nova"])
        instance.report_runless_asset_event(
            dg.AssetMaterialization("preprocessed_segments", partition="nova", metadata=shown)
        )
    port, served = _free_port(), files_address(ports.settings)
    with ui(ports.settings.home, port):
        until(lambda: _answers(f"http://localhost:{port}/server_info"), "the UI")
        page.goto(f"http://localhost:{port}/assets/preprocessed_segments?view=overview")  # served by another name
        picture = page.get_by_alt_text("waveforms")
        picture.wait_for()
        page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
        assert picture.evaluate("image => image.naturalWidth") == 460
        page.get_by_role("link", name="Its bounce").click()
        page.wait_for_function("() => document.querySelector('video, audio')?.readyState >= 3")
        page.evaluate("() => document.querySelector('video, audio').play()")
        page.wait_for_function("() => document.querySelector('video, audio').currentTime > 0")
        assert page.url == f"{served}/files/{SOUND}"
    until(lambda: not _answers(f"{served}/healthz"), "the end of the files' server")
