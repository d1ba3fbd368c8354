"""Good requests, broken in many ways: URLs, names, encodings, headers, bytes. No answer is the server's failure.

Beside `test_fuzz.py`, which makes bodies by the page of all routes, and so never a path or a header that HTTP libraries
would not send. Here whole requests are written to a socket.
"""

import json
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

import pytest

from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import PASSWORD, QuickCompute, client, pair, protected, server
from tests.dawa_assets.intake.material import new_artist, rows, wav
from tests.dawa_assets.prompting.material import give_set, summary

WORDS = [
    *(
        "",
        " ",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "\n",
        "a\r\nX: y",
        "\x00",
        "\x7f",
        "\u2028",
        "\u202e",
        "ﬁ",
        "Süß 夜",
        "🎹" * 40,
    ),
    *(
        "%",
        "%2",
        "%00",
        "%0a",
        "%2e%2e%2f",
        "%ff%fe",
        "%ed%a0%80",
        "x" * 300,
        "x" * 5_000,
        "null",
        "-1",
        "NaN",
        "1e999",
    ),
    *(
        "http://[",
        "https://dashboard.example",
        "http://0177.0.0.1/",
        "http://xn--a/",
        "http://[::1%25lo]/",
        "https://a@b:99999/",
        "file:///etc/passwd",
    ),
    *(
        "data:",
        "data:audio/wav;base64,",
        "data:,x",
        "UTF-8''%ff",
        "a:b",
        "nova:nawfside_lora",
        ":",
        "a:b:c",
        "'",
        '"',
        "<b>",
    ),
    *("00000000-0000-0000-0000-000000000000", "{", "[[", "\\ud800", "artists/nova/x", "=tmp", "a=C3"),
]
KINDS = [
    "application/json",
    "application/json; charset=utf-16",
    "text/plain",
    "multipart/form-data",
    "",
    "application/json;",
]
HEADERS = ["Host", "Origin", "Range", "If-Range", "Content-Type", "Authorization", "Sec-Fetch-Site", "Accept-Encoding"]
HEADERS += ["X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Transfer-Encoding"]
HEADERS += [
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "Cookie",
    "Expect",
    "X-HTTP-Method-Override",
]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"]


def _good(nova: Artist, parse_id: str) -> list[tuple[str, str, bytes, str]]:
    """Requests that are all right: method, path, body, what it is called."""
    who, slug = {"artistId": str(nova.id)}, nova.slug
    audio = pair(nova, parse_id)
    bodies = {
        "/api/train": who | {"parseId": parse_id},
        "/api/train/save": audio,
        "/api/train/export": who,
        "/api/producer/train": {"producerId": slug, "uploadUrls": ["https://example.com/a.wav"], "jobId": "j"},
        "/api/artist/generate": who | {"prompt": "techno", "loraId": f"{slug}:x", "durationSeconds": 0.2, "jobId": "k"},
        "/train": {
            "producer_id": slug,
            "upload_urls": ["https://example.com/b.wav"],
            "metadata_per_file": [{"bpm": 1}],
        },
        "/generate": {"prompt": "techno", "lora_id": f"{slug}:x", "duration_seconds": 0.2, "job_id": "l"},
        "/store-upload": {
            "producer_id": "p",
            "job_id": "j",
            "filename": "a.wav",
            "content_base64": audio["audioBase64"],
        },
        f"/api/artists/{nova.id}/check-text": {"text": "A line.\nBPM: 120", "parseId": parse_id},
        f"/api/artists/{nova.id}/uploads": {"purpose": "inbox", "files": [{"path": "Song/a.wav", "size": 10}]},
    }
    made = [("POST", path, json.dumps(body).encode(), "application/json") for path, body in bodies.items()]
    disposition = b"--x\r\nContent-Disposition: form-data; name="
    form = (
        disposition
        + b"producerId\r\n\r\np\r\n"
        + disposition
        + b'file; filename="a.wav"\r\n\r\n'
        + wav()
        + b"\r\n--x--\r\n"
    )
    made.append(("POST", "/api/producer/upload-and-train", form, "multipart/form-data; boundary=x"))
    gets = [
        f"/files/artists/{slug}/a.wav",
        "/healthz",
        "/docs",
        "/openapi.json",
        f"/api/train/dataset?artistId={nova.id}",
    ]
    gets += [f"/api/jobs/train/{slug}/j?wait=0", f"/api/jobs/generate/{slug}/k", f"/train?job_id=j&producer_id={slug}"]
    gets += ["/api/artists", f"/api/artists/{nova.id}/live-sets", f"/api/artists/{nova.id}/live-sets/{parse_id}"]
    gets += [f"/api/artists/{nova.id}/items", f"/files/artists/{slug}/a.wav?expires=1&signature=x"]
    return made + [("GET", path, b"", "") for path in gets]


class Mutator:
    """Breaks requests, the same way for the same seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - to be the same each time

    def request(self, good: tuple[str, str, bytes, str]) -> bytes:
        """One request, as it is sent."""
        dice = self._dice
        method, path, body, kind = good
        headers = [("Host", "localhost"), ("x-train-password", PASSWORD)]
        for breaks in dice.sample(
            [self._path, self._body, self._bytes, self._kind, self._method, self._header], dice.randint(1, 2)
        ):
            method, path, body, kind = breaks(method, path, body, kind, headers)
        if kind:
            headers.append(("Content-Type", kind))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("utf-8", "replace") + body

    def _word(self) -> str:
        return self._dice.choice(WORDS)

    def _path(
        self, method: str, path: str, body: bytes, kind: str, _: list[tuple[str, str]]
    ) -> tuple[str, str, bytes, str]:
        """Another segment, or another value in the query; encoded once, twice, or hardly."""
        word = quote(self._word()[:2_000], safe=self._dice.choice(["", "/%:'\"<>[]{}\\"]))
        if self._dice.random() < 0.3:
            word = quote(word, safe="")
        word = re.sub(r"[\x00-\x20\x7f-\uffff]", "", word)
        base, mark, query = path.partition("?")
        parts = base.split("/")
        if mark and self._dice.random() < 0.6:
            name, _, _ = self._dice.choice(query.split("&")).partition("=")
            return method, f"{base}?{name}={word}", body, kind
        parts[self._dice.randrange(1, len(parts))] = word
        return method, "/".join(parts) + (mark + query), body, kind

    def _body(
        self, method: str, path: str, body: bytes, kind: str, _: list[tuple[str, str]]
    ) -> tuple[str, str, bytes, str]:
        """Another value somewhere in a body of JSON; in a form, somewhere in the text."""
        try:
            content = json.loads(body)
        except ValueError:  # a form, or broken already
            word = self._word().encode("utf-8", "replace")
            part = self._dice.choice([b"producerId", b"a.wav", b"filename", b"\r\np\r\n"])
            return method, path, body.replace(part, word, 1), kind
        name = self._dice.choice(sorted(content))
        value = self._dice.choice(
            [self._word(), [self._word()], {self._word(): self._word()}, None, 10**400, True, -1.5]
        )
        if isinstance(content[name], list) and self._dice.random() < 0.7:
            value = [*content[name], self._word()]
        content[name] = value
        text = json.dumps(content, ensure_ascii=self._dice.random() < 0.5)
        return method, path, text.replace("\\\\ud800", "\\ud800").encode("utf-8", "replace"), kind

    def _bytes(
        self, method: str, path: str, body: bytes, kind: str, _: list[tuple[str, str]]
    ) -> tuple[str, str, bytes, str]:
        """Other bytes, or fewer."""
        if not body:
            return method, path, self._dice.randbytes(10), kind
        changed = bytearray(body)
        for _number in range(self._dice.randint(1, 4)):
            changed[self._dice.randrange(len(changed))] = self._dice.randrange(256)
        return (
            method,
            path,
            bytes(changed[: self._dice.randint(0, len(changed))] if self._dice.random() < 0.3 else changed),
            kind,
        )

    def _kind(
        self, method: str, path: str, body: bytes, _: str, __: list[tuple[str, str]]
    ) -> tuple[str, str, bytes, str]:
        return method, path, body, self._dice.choice(KINDS)

    def _method(
        self, _: str, path: str, body: bytes, kind: str, __: list[tuple[str, str]]
    ) -> tuple[str, str, bytes, str]:
        return self._dice.choice(METHODS), path, body, kind

    def _header(
        self, method: str, path: str, body: bytes, kind: str, headers: list[tuple[str, str]]
    ) -> tuple[str, str, bytes, str]:
        word = re.sub(r"[\x00-\x1f\x7f]", "", self._word())
        headers.append((self._dice.choice(HEADERS), word))
        return method, path, body, kind


@contextmanager
def _served(ports: Ports) -> Iterator[tuple[str, list[tuple[str, str, bytes, str]]]]:
    nova = new_artist(ports)
    give_set(ports.database, nova, summary(), "Song")
    ports.bucket.put(f"artists/{nova.slug}/a.wav", wav())
    [item] = rows(ports, "select parse_id from training_items")
    believing = {"web_proxies": ("127.0.0.0/8",), "web_origins": ("https://dashboard.example",)}
    settings = ports.settings.model_copy(update=believing)  # so that all that proxies and pages send is looked at
    guarded = protected(replace(ports, settings=settings, compute=QuickCompute(ports.settings.data_root)))
    with server(guarded) as base:
        yield base, _good(nova, item["parse_id"])
        with client(base, **{"x-train-password": PASSWORD}) as http:  # and it goes on as if nothing had been
            asked = {"artistId": str(nova.id), "parseId": item["parse_id"]}
            assert http.post("/api/train", json=asked).status_code == 200


def _sent(base: str, request: bytes) -> tuple[int, bytes]:
    """The status, and the whole answer."""
    with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), timeout=60) as raw:
        answer = b""
        try:
            raw.sendall(request)
            while piece := raw.recv(65_536):
                answer += piece
        except ConnectionError:
            pass  # it was refused before all of it was sent
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0, answer


def _break_until(ports: Ports, seed: int, is_enough: "Iterator[bool]") -> Counter[int]:
    told: Counter[int] = Counter()
    failed: list[tuple[int, bytes, bytes]] = []
    mutator = Mutator(seed)
    with _served(ports) as (base, good):
        dice = random.Random(seed)  # noqa: S311 - to be the same each time
        while not next(is_enough):
            request = mutator.request(dice.choice(good))
            status, answer = _sent(base, request)
            told[status] += 1
            if status >= 500:
                failed.append((status, request[:600], answer[-300:]))
            head, _, body = answer.partition(b"\r\n\r\n")
            if status >= 400 and b"application/json" in head and body:
                line = json.loads(body)["error"]
                assert len(line.splitlines()) == 1, (request[:600], line)
                assert "Traceback" not in line
    assert failed == []
    return told


def test_each_good_request_is_one(ports: Ports) -> None:
    with _served(ports) as (base, good):
        for method, path, body, kind in good:
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nx-train-password: {PASSWORD}\r\nConnection: close\r\n"
            )
            head += f"Content-Type: {kind}\r\n" if kind else ""
            status, answer = _sent(base, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            expected = (401,) if "signature" in path else (200, 201)
            assert status in expected, (path, answer[-300:])


def test_some_broken_requests(ports: Ports) -> None:
    told = _break_until(ports, 1, (number >= 400 for number in range(401)))
    assert min(told[200], told[400], told[404]) > 5, told


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_broken_requests_for_three_minutes(ports: Ports) -> None:
    end = time.monotonic() + 180
    told = _break_until(ports, random.SystemRandom().randrange(1 << 30), iter(lambda: time.monotonic() > end, None))
    assert sum(told.values()) > 1_000
