"""Files beside the UI: served while it runs, to this machine alone, and nothing is left behind."""

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from dawa_assets.pipeline.files_address import address_at, files_address, kept_port
from resources.ports import Ports, open_ports
from resources.settings import Settings
from tests.dawa_assets.intake.material import new_artist
from tests.prepared import prepare_database
from tests.waiting import until

SHOWN_ELSEWHERE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
KEY = "artists/nova/pages/waveforms.png"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Ports]:
    made = open_ports(Settings(home=prepare_database(tmp_path / "own home")))
    try:
        yield made
    finally:
        made.database.stop()  # type: ignore[attr-defined]


def _png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "png")
    return file.getvalue()


STARTS = """
import time
from dawa_assets.http.beside import serve_files_beside
from resources.settings import Settings
print(serve_files_beside(Settings.load()), flush=True)
time.sleep(3600)
"""


@contextmanager
def beside(home: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has its files served; its first line is the address."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS],
        env={**os.environ, "DAWA_HOME": str(home), **environment},
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(240)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def _listens(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0


@pytest.mark.parametrize("ends_by", [signal.SIGINT, signal.SIGKILL])
def test_files_are_served_as_long_as_the_ui_runs(here: Ports, ends_by: signal.Signals) -> None:
    new_artist(here)
    here.bucket.put(KEY, _png(900, 300))
    home = here.settings.home
    with beside(home, NAWFSIDE_APP_PASSWORD="secret") as process:
        address = _line(process)
        assert address == files_address(here.settings)
        with httpx.Client(base_url=address, timeout=240) as http:
            own = http.get(f"/files/{KEY}", headers={"Referer": "http://localhost:3000/"} | SHOWN_ELSEWHERE)
            assert (own.status_code, own.content, own.headers["content-type"]) == (200, _png(900, 300), "image/png")
            assert own.headers["cross-origin-resource-policy"] == "cross-origin"
            small = http.get(f"/files/{KEY}?width=460")
            assert Image.open(io.BytesIO(small.content)).size == (460, 153)
            by_name = http.get(f"/files/{KEY}", headers={"Host": "rebound.example"})
            by_page = http.get(f"/files/{KEY}", headers={"Referer": "https://evil.example/"} | SHOWN_ELSEWHERE)
            assert (by_name.status_code, by_page.status_code) == (403, 403)
            assert [http.get(path).status_code for path in ("/", "/api/train/library", "/files/inbox/nova/x")] == [
                404
            ] * 3
            assert http.post("/train", json={}).status_code == 404
        os.killpg(process.pid, ends_by)  # Ctrl-C reaches all that the terminal runs
        process.wait(240)
        until(lambda: not _listens(address), "the end of the server")
    assert kept_port(here.settings) == int(address.rpartition(":")[2])


def test_a_taken_port_gives_way_to_a_free_one_that_is_kept(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        (tmp_path / "files.port").write_text(f"{port}\n")
        with beside(tmp_path) as process:
            address = _line(process)
    assert address != address_at(port)
    assert address == files_address(Settings(home=tmp_path))
