"""What clients of many kinds send, and how they are told what is wrong with it; and the page of all routes."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError

from dawa_assets.http import messages
from dawa_assets.tables.artists import Artist
from modal_app.protocol.base import Identifier
from modal_app.web.error_responses import first_problem
from modal_app.web.messages import GenerateBody
from modal_app.web.routes import web_app
from resources.errors import SettingsError
from resources.ports import Ports
from resources.settings import Settings
from tests.browsers import CHROMIUM, NO_CHROMIUM
from tests.dawa_assets.http.serving import PASSWORD, QuickCompute, client, pair, protected, server
from tests.dawa_assets.intake.material import content, new_artist, rows, wav

JSON = {"Content-Type": "application/json"}
POSTS = ["/api/train", "/api/train/save", "/api/train/export", "/api/producer/train", "/api/artist/generate"]
POSTS += ["/train", "/generate", "/store-upload"]
PATTERN = re.compile(r"[\\^$]|\[[a-zA-Z0-9]-|\{\d")


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def http(ports: Ports) -> Iterator[httpx.Client]:
    with server(replace(ports, compute=QuickCompute(ports.settings.data_root))) as base, client(base) as made:
        yield made


def test_a_body_that_is_not_called_json_is_415_everywhere(http: httpx.Client, nova: Artist) -> None:
    body = f'{{"artistId": "{nova.id}", "parseId": "x", "prompt": "x"}}'.encode()
    for path in POSTS:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"):
            answer = http.post(path, content=body, headers={"Content-Type": kind})
            assert (answer.status_code, list(answer.json())) == (415, ["error"]), (path, kind, answer.text)
        for kind in ("application/json; charset=utf-8", "application/problem+json"):
            assert http.post(path, content=b"{}", headers={"Content-Type": kind}).status_code == 400, (path, kind)
    for headers in (JSON, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = http.post("/api/producer/upload-and-train", content=body, headers=headers)
        assert (answer.status_code, "multipart/form-data" in answer.json()["error"]) == (415, True)


def test_who_is_not_known_hears_of_that_first(ports: Ports) -> None:
    with server(protected(ports)) as base, client(base) as http:
        for path in POSTS[:5]:
            assert http.post(path, content=b"x", headers={"Content-Type": "text/plain"}).status_code == 401, path


def _wrong(model: Any, **given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(given or "../x")
    return first_problem(caught.value)


def test_no_message_is_a_pattern() -> None:
    artist = "00000000-0000-0000-0000-000000000000"
    said = [
        _wrong(Identifier),
        _wrong(GenerateBody, prompt="x", lora_id="../a:b"),
        _wrong(messages.TrainRequest, artistId="x", parseId="y"),
        _wrong(messages.TrainRequest, artistId=artist, parseId="a\nb"),
        _wrong(messages.UploadForm, producerId="a b"),
        _wrong(messages.SaveRequest, artistId=artist, parseId="x", audioBase64="", promptText="", alsFilename="a\x00"),
    ]
    assert [line for line in said if PATTERN.search(line)] == []
    assert PATTERN.search(r"String should match pattern '^[A-Za-z0-9]'")


@pytest.mark.parametrize("name", ["DAWA_SERVE_URL", "DAWA_MODEL_NAME", "DAWA_OPENAI_PRICE", "DAWA_GEMINI_PRICE"])
def test_no_message_about_a_setting_is_a_pattern(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "no such (value")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"{name}: ")
    assert PATTERN.search(str(caught.value)) is None
    assert "no such" not in str(caught.value)


def test_audio_is_taken_as_a_browser_reads_it(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    plain = pair(nova, audio=wav(seconds=10))
    as_url = plain | {"audioBase64": f"data:audio/wav;base64,{plain['audioBase64']}"}
    first, second = (http.post("/api/train/save", json=body) for body in (as_url, plain))
    assert first.status_code == 200, first.text
    assert first.json() == second.json()
    [item] = rows(ports, "select audio_path from training_items")
    assert content(ports.bucket, item["audio_path"]) == wav(seconds=10)
    answer = http.post("/api/train/save", json=plain | {"audioBase64": "data:audio/wav,x"})
    assert (answer.status_code, answer.json()["error"].startswith("audioBase64: is a data URL")) == (400, True)
    upload = {"producer_id": "p", "job_id": "j", "filename": "a.wav", "content_base64": as_url["audioBase64"]}
    assert http.post("/store-upload", json=upload).status_code == 200


NAMED = [
    (b"filename*=UTF-8''S%C3%BC%C3%9F%20%E5%A4%9C.wav", 200, "Süß 夜.wav"),
    (b"filename=\"plain.wav\"; filename*=utf-8'de'S%C3%BC.wav", 200, "Sü.wav"),
    (b"filename*=iso-8859-1''S%FC.wav; filename=plain.wav", 200, "Sü.wav"),
    (b"filename=\"a; filename*=UTF-8''b.wav\"", 200, "a; filename*=UTF-8''b.wav"),  # all of it is the plain name
    ('filename="Süß 夜.wav"'.encode(), 200, "Süß 夜.wav"),
    (b"filename*=UTF-8''..%2F..%2Fetc.wav", 400, "no plain file name"),
    (b"filename*=UTF-8''a%0Ab.wav", 400, "no plain file name"),
    (b"filename*=UTF-8''%ff.wav", 400, "filename*"),
    (b"filename*=utf-16''a.wav", 400, "filename*"),
    (b'filename="a%0D%0Ab.wav"', 200, "a%0D%0Ab.wav"),
]


def test_a_file_s_name_is_read_however_a_client_writes_it(ports: Ports, http: httpx.Client) -> None:
    for number, (named, status, told) in enumerate(NAMED):
        part = b"--x\r\nContent-Disposition: form-data; name="
        body = (
            part + b"producerId\r\n\r\np\r\n" + part + f"jobId\r\n\r\nj{number}\r\n".encode() + part + b"file; " + named
        )
        body += part + b"file; " + named + b"\r\n\r\n" + wav() + b"\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = http.post("/api/producer/upload-and-train", content=body, headers=headers)
        assert answer.status_code == status, (named, answer.text)
        if status == 200:
            stored = ports.settings.data_root / f"uploads/p/j{number}"
            assert [path.name for path in stored.iterdir()] == [told]
        else:
            assert told in answer.json()["error"]
            assert len(answer.json()["error"].splitlines()) == 1


def test_urls_that_can_not_be_read_are_no_failure_of_the_server(http: httpx.Client) -> None:
    for path, producer, urls in (
        ("/api/producer/train", "producerId", "uploadUrls"),
        ("/train", "producer_id", "upload_urls"),
    ):
        for bad in ("http://[", "http://0177.0.0.1/", "http://xn--a/"):
            answer = http.post(path, json={producer: "p", urls: [bad]})
            assert (answer.status_code, "upload URL" in answer.json()["error"]) == (400, True), bad
            assert http.post(path, json={producer: "p", urls: [bad, "https://example.com/a.wav"]}).status_code == 200


def test_the_page_of_all_routes_loads_nothing_from_elsewhere(ports: Ports) -> None:
    with server(protected(ports)) as base, client(base) as http:
        page = http.get("/docs")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert re.findall(r"https?://|//\w", page.text) == []
        loaded = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
        assert len(loaded) == 3
        for name in loaded:
            answer = http.get(f"/{name}")
            assert (answer.status_code, len(answer.content) > 50) == (200, True), name
        assert "SwaggerUIBundle" in http.get("/docs/swagger-ui-bundle.js").text
        for name in ("LICENSE", "..%2F__init__.py", "redoc.standalone.js"):
            assert http.get(f"/docs/{name}").status_code in (400, 404), name


def test_the_worker_s_apps_have_no_page_that_does() -> None:
    assert {getattr(route, "path", "") for route in web_app("train", APIRouter()).routes} <= {"/openapi.json", ""}


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
def test_the_page_of_all_routes_shows_them_in_a_browser(ports: Ports, tmp_path: Path) -> None:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    with server(protected(ports)) as base:
        ran = subprocess.run(
            [*command, "--virtual-time-budget=20000", "--dump-dom", f"{base}/docs"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    assert PASSWORD not in ran.stdout
    assert "/api/train/export" in ran.stdout, ran.stderr[-2000:]
    assert ran.stdout.count('class="opblock ') > 10
