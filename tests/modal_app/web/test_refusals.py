"""What the endpoints refuse, and how: a fitting status, one line, nothing kept."""

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from modal_app.data_root.layout import DataRoot
from modal_app.errors import BadRequestError
from modal_app.web.options import require_password
from tests.modal_app.producer.conftest import song
from tests.modal_app.web.conftest import PASSWORD, upload_body

JSON = {"Content-Type": "application/json"}
TRAIN = {"producer_id": "p", "upload_urls": ["https://example.com/a.wav"]}


def require_error(answer: httpx.Response, status: int, reason: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    line = answer.json()["error"]
    assert reason in line
    assert "Traceback" not in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/train", 405), ("GET", "/store-upload", 405), ("GET", "/train", 400)],
)
def test_what_is_not_there_is_an_error_of_the_same_form(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    require_error(client.request(method, path), status)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"filename": "../beat.wav"}, 400, "no plain file name"),
        ({"filename": "beat.exe"}, 400, "not called like an audio file"),
        ({"producer_id": "../x"}, 400, "producer_id"),
        ({"producer_id": ""}, 400, "producer_id"),
        ({"job_id": "a/b"}, 400, "job_id"),
        ({"job_id": "x" * 65}, 400, "job_id"),
        ({"content_base64": ""}, 400, "is empty"),
        ({"content_base64": "UklG!"}, 400, "no base64"),
        ({"content_base64": "UklGRi4AAABXQVZFZm1"}, 400, "no base64"),
        ({"content_base64": "UklG\nRi4A"}, 400, "no base64"),
        ({"content_base64": "UklG" * 50_000 + "=A=="}, 400, "no base64"),
        ({"content_base64": "UQ==" * 2}, 400, "no base64"),
        ({"content_base64": base64.b64encode(b"no audio at all").decode()}, 422, "no audio format"),
        ({"content_base64": base64.b64encode(b"MZ" + bytes(100_000)).decode()}, 422, "no audio format"),
    ],
)
def test_an_upload_that_can_not_be_stored(
    client: httpx.Client, data: DataRoot, changes: dict[str, str], status: int, reason: str
) -> None:
    answer = client.post("/store-upload", json=upload_body(job_id="refused") | changes)

    require_error(answer, status, reason)
    assert not (data.uploads("producer_123") / "refused").exists()


def test_other_bytes_under_the_same_name_are_a_conflict(client: httpx.Client, data: DataRoot) -> None:
    first, second = song(100.0, 1.0), song(200.0, 1.0)
    body = upload_body(first, job_id="twice")

    assert client.post("/store-upload", json=body).status_code == 200
    assert client.post("/store-upload", json=body).status_code == 200
    require_error(client.post("/store-upload", json=upload_body(second, job_id="twice")), 409, "with other bytes")
    assert (data.uploads("producer_123") / "twice" / "beat.wav").read_bytes() == first


def test_base64_as_other_encoders_escape_it(client: httpx.Client, data: DataRoot) -> None:
    content = song(123.0, 2.0)
    text = json.dumps(upload_body(content, job_id="escaped"))
    escaped = text.replace("/", "\\/").replace("+", "\\u002B")

    answer = client.post("/store-upload", content=escaped, headers=JSON)

    assert answer.status_code == 200, answer.text
    assert (data.uploads("producer_123") / "escaped" / "beat.wav").read_bytes() == content


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"producer_id": "p"}, "send one of the two"),
        (TRAIN | {"upload_paths": ["uploads/p/j/a.wav"]}, "send one of the two"),
        ({"producer_id": "p", "upload_urls": []}, "no files are named"),
        ({"producer_id": "p", "upload_urls": ["https://example.com/a.wav"] * 2}, "named twice"),
        ({"producer_id": "p", "upload_urls": ["https://example.com/a.wav"] * 501}, "upload_urls"),
        ({"producer_id": "p", "upload_urls": ["file:///etc/passwd"]}, "neither http nor https"),
        ({"producer_id": "p", "upload_urls": ["http://a:b@example.com/"]}, "a user name"),
        ({"producer_id": "p", "upload_paths": ["/etc/passwd"]}, "none of this producer"),
        ({"producer_id": "p", "upload_paths": ["/data/uploads/other/j/a.wav"]}, "none of this producer"),
        ({"producer_id": "p", "upload_paths": ["/data/uploads/p/../other/j/a.wav"]}, "none of this producer"),
        ({"upload_urls": ["https://example.com/a.wav"]}, "producer_id"),
        (TRAIN | {"model_name": "../x"}, "model_name"),
        (TRAIN | {"job_id": "a b"}, "job_id"),
        (TRAIN | {"metadata_per_file": [{}, {}]}, "2 entries for 1 files"),
        (TRAIN | {"metadata_per_file": [{"bpm": "fast"}]}, "is no tempo"),
        (TRAIN | {"metadata_per_file": ["x"]}, "metadata_per_file"),
        (TRAIN | {"backend_override": "jukebox"}, "use one of: ace_step, musicgen"),
        (TRAIN | {"skip_preprocess": "maybe"}, "skip_preprocess"),
        (TRAIN | {"skip_preprocess": True, "tag_before_train": True}, "tag_before_train"),
        ([], "body"),
        ("text", "body"),
    ],
)
def test_a_training_that_can_not_be_asked_for(client: httpx.Client, body: object, reason: str) -> None:
    require_error(client.post("/train", json=body), 400, reason)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "prompt"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"prompt": "x", "duration_seconds": 0}, "duration_seconds"),
        ({"prompt": "x", "duration_seconds": 1e9}, "duration_seconds"),
        ({"prompt": "x", "duration_seconds": -1}, "duration_seconds"),
        ({"prompt": "x", "lora_id": "no colon"}, "lora_id"),
        ({"prompt": "x", "lora_id": "../a:b"}, "lora_id"),
        ({"prompt": "x", "backend_override": "jukebox"}, "use one of"),
        ({"prompt": "x", "seed": -1}, "seed"),
        ({"prompt": "x", "scale": 1e6}, "scale"),
        ({"prompt": "x", "bpm": 1000}, "bpm"),
        ({"prompt": "x", "key": "H minor"}, "key: is no key"),
        ({"prompt": "x", "timeSignature": "7/8"}, "timeSignature"),
    ],
)
def test_a_rendering_that_can_not_be_asked_for(client: httpx.Client, body: object, reason: str) -> None:
    require_error(client.post("/generate", json=body), 400, reason)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nothing", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"prompt": "\\ud800"}', b'{"prompt": NaN}',
        b"[" * 100_000, b'{"prompt": "x", "duration_seconds": NaN}', b'{"prompt": "x", "seed": 1' + b"0" * 5000 + b"}",
        b'{"prompt": "x", "duration_seconds": Infinity}',
    ],
    ids=range(11),
)  # fmt: skip
def test_a_body_that_is_no_json_or_no_numbers(client: httpx.Client, body: bytes) -> None:
    require_error(client.post("/generate", content=body, headers=JSON), 400)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
def test_a_body_that_is_not_called_json(client: httpx.Client, kind: str) -> None:
    answer = client.post("/generate", content=b'{"prompt": "x"}', headers={"Content-Type": kind})
    require_error(answer, 415, "application/json")


def test_an_unknown_job(client: httpx.Client) -> None:
    require_error(client.get("/train", params={"job_id": "x", "producer_id": "y"}), 404, "is not known")
    require_error(client.get("/generate", params={"job_id": "x"}), 404, "is not known")
    require_error(client.get("/generate", params={"job_id": "../x"}), 400, "job_id")


def chunks(count: int) -> Iterator[bytes]:
    yield b'{"content_base64": "'
    for _ in range(count):
        yield b"UklG" * 25_000


def test_a_body_that_is_too_large_is_not_read_to_its_end(guarded: httpx.Client) -> None:
    headers = JSON | {"x-train-password": PASSWORD}
    large = "UklG" * 1_300_000
    require_error(guarded.post("/store-upload", json={"content_base64": large}, headers=headers), 413, "bytes")
    require_error(guarded.post("/store-upload", content=chunks(60), headers=headers), 413, "bytes")
    require_error(guarded.post("/train", content=chunks(11), headers=headers), 413, "bytes")
    require_error(guarded.post("/generate", content=chunks(11), headers=headers), 413, "bytes")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"a":"' + b'\\"' * 1_000_000, 413),
        (b'{"a":"' + b'\\"' * 300_000, 400),
        (b'"' * 600_001, 400),
        (b'{"a":"' + b"x" * 300_000 + b"\\", 400),
        (b'["' + b'","' * 1_000_000, 413),
    ],
    ids=["escaped quotes", "fewer escaped quotes", "quotes", "an open escape", "short texts"],
)
def test_a_body_without_an_end_is_read_once(client: httpx.Client, body: bytes, status: int) -> None:
    require_error(client.post("/store-upload", content=body, headers=JSON, timeout=280), status)


def test_a_body_that_stops_coming_is_given_up(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modal_app.web.body.SILENT_SECONDS", 0.3)
    head = "POST /train HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=280) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(65_536).decode()

    assert answer.startswith("HTTP/1.1 408 ")
    assert client.get("/train", params={"job_id": "x", "producer_id": "y"}).status_code == 404


def test_long_texts_beside_the_file_are_too_large(guarded: httpx.Client) -> None:
    headers = JSON | {"x-train-password": PASSWORD}
    long = "x" * 100_000
    require_error(guarded.post("/store-upload", json=upload_body(filename=long), headers=headers), 413, "one text")
    several = json.dumps(upload_body()) + " " * 1_100_000
    require_error(guarded.post("/store-upload", content=several, headers=headers), 413, "one text")


@pytest.mark.parametrize("path", ["/store-upload", "/train", "/generate"])
def test_a_wrong_password(guarded: httpx.Client, path: str) -> None:
    for given_password in ("", "open sesam", PASSWORD + "x", "ö"):
        headers = [(b"x-train-password", given_password.encode())]
        require_error(guarded.post(path, json={}, headers=headers), 401, "password")
    require_error(guarded.post(path, json={}), 401, "password")
    require_error(guarded.post(path, json={"prompt": "x", "x-train-password": "wrong"}), 401, "password")
    require_error(guarded.post(path, content=b"{", headers=JSON), 401, "password")


def test_the_password_guards_what_jobs_left(guarded: httpx.Client) -> None:
    require_error(guarded.get("/train", params={"job_id": "x", "producer_id": "y"}), 401)
    require_error(guarded.get("/generate", params={"job_id": "x"}), 401)


def test_the_password_may_be_sent_in_the_header_or_in_the_body(guarded: httpx.Client) -> None:
    body = upload_body(job_id="guarded")
    assert guarded.post("/store-upload", json=body, headers={"x-train-password": PASSWORD}).status_code == 200
    assert guarded.post("/store-upload", json=body | {"x-train-password": PASSWORD}).status_code == 200


def test_unauthenticated_uploads_at_once_are_limited(guarded: httpx.Client) -> None:
    address, head = (guarded.base_url.host, guarded.base_url.port), "POST /store-upload HTTP/1.1\r\nHost: here\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    body = upload_body(job_id="after-strangers") | {"x-train-password": PASSWORD}
    with ExitStack() as strangers:
        for _ in range(4):
            strangers.enter_context(socket.create_connection(address)).sendall(head.encode())
        answer = guarded.post("/store-upload", json=body, headers={"x-train-password": PASSWORD})
        assert answer.status_code == 200, "who has sent the password waits for no stranger"
        with pytest.raises(httpx.ReadTimeout):
            guarded.post("/store-upload", json=body, timeout=0.5)

    assert guarded.post("/store-upload", json=body).status_code == 200


def test_a_password_of_any_letters_is_known_again() -> None:
    password = SecretStr("Öffne dich, ☃")
    require_password(password, "Öffne dich, ☃")
    require_password(password, "Öffne dich, ☃".encode().decode("latin-1"))  # as a header comes
    for wrong in ("?ffne dich, ?", "Öffne dich, ?", "\ud800", None):
        with pytest.raises(BadRequestError):
            require_password(password, wrong)
    with pytest.raises(BadRequestError):
        require_password(SecretStr("abc?"), "abc☃")


IGNORED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["producer_id", "producerId", "job_id", "filename", "content_base64", "upload_urls", "upload_paths"]
NAMES += ["model_name", "metadata_per_file", "skip_preprocess", "tag_before_train", "backend_override", "lora_id"]
NAMES += ["duration_seconds", "seed", "scale", "x-train-password"]  # no prompt, so that nothing is ever rendered


@settings(max_examples=60, deadline=None, suppress_health_check=IGNORED)
@given(
    path=st.sampled_from(["/store-upload", "/train", "/generate"]),
    body=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6) | VALUES,
)
def test_no_body_makes_the_server_fail(client: httpx.Client, path: str, body: object) -> None:
    answer = client.post(path, content=json.dumps(body).encode(), headers=JSON)

    assert 400 <= answer.status_code < 500
    assert list(answer.json()) == ["error"]


@settings(max_examples=30, deadline=None, suppress_health_check=IGNORED)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_server_fail(client: httpx.Client, body: bytes) -> None:
    assert 400 <= client.post("/train", content=body, headers=JSON).status_code < 500
