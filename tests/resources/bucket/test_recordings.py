"""The loopback Storage server is held against every exchange that was recorded with a real one."""

import base64
import http.client
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.storage.storage_server import StorageServer
from tests.fakes.storage.storage_wire import BASE
from tests.shared_data import shared

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_TOKEN = re.compile(r"token=[^\"&]+")
_UPLOAD = re.compile(r"(/upload/resumable/)([A-Za-z0-9_-]+)")
_FIXED = "11111111-1111-4111-8111-111111111111"
_AS_LARGE = re.compile(r"<(\d+) bytes>")


def _comparable(text: str) -> str:
    """An answer without what differs from run to run: ids, times, tokens, the host."""
    text = _UPLOAD.sub(lambda match: match[1] + base64.urlsafe_b64decode(match[2] + "==").decode(), text)
    text = _UUID.sub(lambda match: match[0] if match[0] == _FIXED else "<uuid>", text)
    return _TOKEN.sub("token=<jwt>", _TIME.sub("<time>", re.sub(rf"https?://[^/\"]+{BASE}", "<base>", text)))


class _Replay:
    """Sends recorded requests to a server, with that server's own keys, links and uploads in their places."""

    def __init__(self, server: StorageServer) -> None:
        self._server = server
        self._uploads: dict[str, str] = {}
        self._signed = ""
        self._keys = {
            "service key": server.legacy_key,
            "anon key": server.anon_key,
            "other": "not-a-key",
        }

    def answer(self, exchange: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        request, case = exchange["request"], exchange["case"]
        url = request["url"].removeprefix("<base>")
        for recorded, ours in self._uploads.items():
            url = url.replace(recorded, ours)
        if "<jwt>" in url:
            token = self._signed[:-4] + "AAAA" if "tampered" in case else self._signed
            url = url.replace("<jwt>", token)
        if "expired" in case:
            self._server.clock = lambda: time.time() + 2
        headers = dict(request["headers"])
        if key := self._keys.get(request["authorization"]):
            headers |= {"authorization": f"Bearer {key}", "apikey": key}
        connection = http.client.HTTPConnection(urlsplit(self._server.url).netloc, timeout=280)
        connection.request(request["method"], BASE + url, body=_body(request), headers=headers)
        with connection.getresponse() as response:
            body = response.read()
            answered = {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        if "token=" in body.decode("utf-8", "replace") and body.startswith(b"{"):
            self._signed = json.loads(body)["signedURL"].partition("token=")[2]
        if "location" in answered:
            recorded = exchange["response"]["headers"]["location"]
            self._uploads[recorded.rpartition("/")[2]] = answered["location"].rpartition("/")[2]
        return response.status, answered, body


def _body(request: dict[str, Any]) -> bytes | None:
    """The request's body; large ones were recorded by their length and beginning only."""
    length = int(request["headers"].get("content-length", 0))
    text = request["body"]
    if not length or _AS_LARGE.fullmatch(text):
        return b"\0" * length if length else None
    body = text.encode("latin-1")
    if len(body) < length:  # the file that did not fit, with the end that its form had
        mark = re.match(rb"--[0-9a-f]+", body)
        assert mark is not None
        end = b"\r\n" + mark[0] + b"--\r\n"
        body = body + b"\0" * (length - len(body) - len(end)) + end
    return bytes(body)


def test_every_recorded_exchange_is_answered_as_it_was_recorded(storage_server: StorageServer) -> None:
    exchanges = json.loads(shared("supabase-storage", "exchanges.json").read_text())["exchanges"]
    replay = _Replay(storage_server)
    differences = []
    for number, exchange in enumerate(exchanges):
        expected = exchange["response"]
        status, headers, body = replay.answer(exchange)
        wanted: dict[str, Any] = {"status": expected["status"]}
        given: dict[str, Any] = {"status": status}
        for name, value in expected["headers"].items():
            if name == "content-length" and "<jwt>" in expected["body"]:
                continue  # tokens are as long as their keys and claims
            wanted[name], given[name] = _comparable(value), _comparable(headers.get(name, "none"))
        if match := _AS_LARGE.fullmatch(expected["body"]):
            wanted["body"], given["body"] = int(match[1]), len(body)
        else:
            wanted["body"], given["body"] = _comparable(expected["body"]), _comparable(body.decode())
        if wanted != given:
            differences.append(f"{number} {exchange['case']}:\n  wanted {wanted}\n  given  {given}")
    assert not differences, "\n".join(differences)
    assert len(exchanges) == 49


def test_objects_that_were_recorded_have_the_tags_of_their_bytes(storage_server: StorageServer) -> None:
    """The recorded uploads and their entity tags belong together, so that the server may be asked for them."""
    exchanges = json.loads(shared("supabase-storage", "exchanges.json").read_text())["exchanges"]
    replay = _Replay(storage_server)
    for exchange in exchanges[:6]:
        replay.answer(exchange)
    stored = storage_server.state.bucket("dawa-exports").objects
    assert {name.rpartition("/")[2]: one.path.read_bytes() for name, one in stored.items()} == {
        "audio.mp3": b"z" * 10,
        "prompt.txt": b"dense and dark. BPM: 93",
    }
