"""The server as a process: bodies within limits, slow clients, SIGTERM, SIGKILL, what it says and what it logs."""

import base64
import functools
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dawa_assets.maintenance.prune import prune
from dawa_assets.tables.artists import Artist
from modal_app.web.body import SMALL_BODY
from resources.ports import Ports, open_ports
from resources.settings import Settings
from tests.dawa_assets.http.serving import PASSWORD, client, command, pair, server
from tests.dawa_assets.intake.material import keys, new_artist, rows, wav
from tests.prepared import prepare_database
from tests.waiting import until


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Ports]:
    """Ports of a home of its own, as a server's process has them."""
    made = open_ports(Settings(home=prepare_database(tmp_path / "own home")))
    try:
        yield made
    finally:
        made.database.stop()  # type: ignore[attr-defined]


def test_too_large_a_body_is_413_whether_it_says_so_or_not(ports: Ports) -> None:
    def endless(size: int) -> Iterator[bytes]:
        yield b'{"x": "'
        for _ in range(size // 65_536 + 2):
            yield b"x" * 65_536

    json_ = {"Content-Type": "application/json"}
    with server(ports) as base, client(base) as http:
        for path in ("/api/train", "/api/train/export", "/api/producer/train", "/api/artist/generate", "/train"):
            sent = http.post(path, content=endless(SMALL_BODY), headers=json_)
            assert (sent.status_code, list(sent.json())) == (413, ["error"]), path
        for path in ("/api/train/save", "/api/producer/upload-and-train", "/store-upload", "/api/train"):
            with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), timeout=280) as raw:
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                raw.sendall(f"{head}Content-Length: 999999999\r\n\r\n".encode())
                assert raw.recv(12) == b"HTTP/1.1 413", path


def test_slow_clients_block_nobody_and_log_no_errors(
    ports: Ports, nova: Artist, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps(pair(nova)).encode()
    head = "POST /api/train/save HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with server(ports) as base, client(base) as http:
        address = ("127.0.0.1", int(base.rpartition(":")[2]))
        slow = [socket.create_connection(address, timeout=280) for _ in range(60)]
        for raw in slow:
            raw.sendall(head.encode() + body[:100])
        assert http.post("/api/train/save", json=pair(nova), timeout=280).status_code == 200
        for raw in slow[:5]:
            raw.sendall(body[100:])
            assert raw.recv(15) == b"HTTP/1.1 200 OK"
        for raw in slow:
            raw.close()
    assert [line.getMessage() for line in caplog.records if line.exc_info] == []


def test_unknown_routes_and_methods_answer_in_the_same_form(ports: Ports) -> None:
    with server(ports) as base, client(base) as http:
        for answer, status in (
            (http.get("/nowhere"), 404),
            (http.get("/api/train"), 405),
            (http.put("/files/artists/a/b"), 405),
            (http.post("/api/train/save", content=b"{}", headers={"Content-Type": "text/plain"}), 415),
        ):
            assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_the_openapi_page_has_every_route_with_models_and_errors(ports: Ports) -> None:
    with server(ports) as base, client(base) as http:
        assert "swagger" in http.get("/docs").text
        page = http.get("/openapi.json").json()
    routes = {f"{method.upper()} {path}" for path, methods in page["paths"].items() for method in methods}
    assert {
        *("POST /api/train", "POST /api/train/save", "POST /api/train/export", "GET /healthz", "GET /files/{key}"),
        *("POST /api/producer/upload-and-train", "POST /api/producer/train", "POST /api/artist/generate"),
        *("POST /store-upload", "POST /train", "POST /generate"),
    } <= routes
    schemes = page["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("scheme", scheme.get("name"))) for scheme in schemes.values()} == {
        ("http", "bearer"),
        ("apiKey", "x-train-password"),
    }
    for path, methods in page["paths"].items():
        for method, told in methods.items():
            assert {"200", "201", "202", "204"} & set(told["responses"]), (path, method)
            if path not in ("/healthz", "/api/session", "/api/profile-schema"):  # what anybody may know
                assert told["security"], (path, method)
                assert "400" in told["responses"]
            if method == "post" and "{" not in path:  # some of the others are told all by their path
                assert told["requestBody"]["content"], path
    fields = page["paths"]["/api/train/save"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(fields["properties"]) == {
        *("artistId", "parseId", "alsFilename", "projectName", "audioBase64", "promptText"),
    }


def test_sigterm_lets_requests_finish_and_no_secret_is_logged(here: Ports) -> None:
    nova = new_artist(here)
    body = json.dumps(pair(nova, audio=wav(seconds=300))).encode()
    with command(here.settings.home, NAWFSIDE_APP_PASSWORD=PASSWORD) as (process, base):
        answers: list[int] = []
        sending = threading.Thread(target=lambda: answers.append(_send(f"{base}/api/train/save?token=private", body)))
        sending.start()
        until(lambda: not sending.is_alive() or keys(here.bucket, "artists/nova/training"))
        process.send_signal(signal.SIGTERM)
        sending.join(240)
        assert process.wait(240) == 0
        assert answers == [200]
        assert process.stdout
        said = process.stdout.read()
    assert "/api/train/save 200" in said
    assert "private" not in said
    assert PASSWORD not in said


def test_a_save_killed_halfway_is_completed_by_the_next_save(here: Ports) -> None:
    nova = new_artist(here)
    audio = wav(seconds=300)
    body = json.dumps(pair(nova, audio=audio)).encode()
    _killed_while_it_saves(here, body, lambda: bool(keys(here.bucket, "artists/nova/training")))
    _is_whole_or_not_there(here, audio)
    with server(here) as base:
        item = httpx.post(f"{base}/api/train/save", content=body, headers=_HEADERS, timeout=280).json()
    _is_whole_or_not_there(here, audio)
    [row] = rows(here, "select id, status from training_items")
    assert (str(row["id"]), row["status"]) == (item["trainingItemId"], "ready")
    [report] = prune(here, keep=1, grace_hours=0)
    assert report.foreign == []
    assert len(keys(here.bucket, "artists/nova/training")) == 2


@pytest.mark.slow
def test_killed_at_any_moment_of_a_save_nothing_is_half(here: Ports) -> None:
    nova = new_artist(here)
    audio = wav(seconds=600)
    body = json.dumps(pair(nova, audio=audio)).encode()
    for number in range(16):
        _killed_while_it_saves(here, body, functools.partial(_after, number / 10, []))
        _is_whole_or_not_there(here, audio)
        [report] = prune(here, keep=1, grace_hours=0)
        assert report.foreign == []
        assert len(keys(here.bucket, "artists/nova/training")) == 2 * len(rows(here, "select id from training_items"))


def _after(seconds: float, asked: list[float]) -> bool:
    """Whether so many seconds have gone by since it was first asked."""
    asked.append(time.monotonic())
    return asked[-1] - asked[0] >= seconds


def _killed_while_it_saves(ports: Ports, body: bytes, is_time: Callable[[], bool]) -> None:
    with command(ports.settings.home) as (process, base):
        sending = threading.Thread(target=_send, args=(f"{base}/api/train/save", body))
        sending.start()
        until(lambda: is_time() or not sending.is_alive())
        process.kill()
        sending.join(240)


_HEADERS = {"Content-Type": "application/json", "x-train-password": PASSWORD}


def _send(url: str, body: bytes) -> int:
    try:
        return httpx.post(url, content=body, headers=_HEADERS, timeout=280).status_code
    except httpx.TransportError:
        return 0


def _is_whole_or_not_there(ports: Ports, audio: bytes) -> None:
    for row in rows(ports, "select audio_path, prompt_path, prompt_text, status from training_items"):
        with ports.bucket.open(row["audio_path"]) as stream:
            assert stream.read() == audio
        with ports.bucket.open(row["prompt_path"]) as stream:
            assert stream.read().decode() == row["prompt_text"]
        assert row["status"] == "ready"


def test_base64_of_the_largest_size_is_what_the_limit_takes() -> None:
    from dawa_assets.http.pipeline import MAX_SAVED_BODY
    from modal_app.web.options import MAX_UPLOADED

    assert len(base64.b64encode(bytes(3000))) * (MAX_UPLOADED // 3000) <= MAX_SAVED_BODY - SMALL_BODY
