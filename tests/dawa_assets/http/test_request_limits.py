"""Who is not known: read no further than they say who they are, with little time, in places of their own."""

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil
import pytest

from dawa_assets.errors import UnauthorizedError
from dawa_assets.http import connections, password_attempts, request_limits
from dawa_assets.http.bodies import KNOWN, UNAUTHENTICATED, Body, Patience
from dawa_assets.http.errors import RefusedRequestError
from dawa_assets.http.password_attempts import FailedAttempts
from resources.ports import Ports
from tests.dawa_assets.http.serving import PASSWORD, bearer, client, new_user, protected, server, until
from tests.dawa_assets.intake.material import new_artist

GOOD = {"x-train-password": PASSWORD}
NOBODY = {"artistId": "00000000-0000-0000-0000-000000000000"}
MANY = 270


@contextmanager
def _slow(base: str, path: str, count: int, *headers: str) -> Iterator[list[socket.socket]]:
    """Connections whose requests have all their headers and no whole body."""
    address = ("127.0.0.1", int(base.rpartition(":")[2]))
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json", *headers])
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            raw = stack.enter_context(socket.create_connection(address, timeout=60))
            raw.sendall(f"{head}\r\nContent-Length: 1000\r\n\r\n".encode() + b"{")
            made.append(raw)
        yield made


def _status(raw: socket.socket) -> int:
    answer = raw.recv(4096)
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_slow_strangers_do_not_keep_out_who_has_the_password(ports: Ports) -> None:
    with server(protected(ports)) as base, client(base, **GOOD) as http:
        with _slow(base, "/api/train", MANY) as refused:  # the header decides: they are not waited for at all
            assert {_status(raw) for raw in refused} == {401}
            assert http.post("/api/train/export", json=NOBODY).status_code == 404
        with _slow(base, "/api/train", 30, "x-train-password: wrong") as refused:
            assert {_status(raw) for raw in refused} <= {401, 429}
        until(lambda: http.get("/files/artists/x/y").status_code != 429)


def test_body_authenticated_requests_have_limits_of_their_own(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "UNAUTHENTICATED", Patience(silent_seconds=3.0, seconds=900.0))
    with server(protected(ports)) as base, client(base, **GOOD) as http:
        with _slow(base, "/train", MANY) as slow:
            assert http.post("/api/train/export", json=NOBODY).status_code == 404
            assert http.post("/train", json={"producer_id": "p"}).status_code == 400
            told = [_status(raw) for raw in slow]
        assert (told.count(408), told.count(503)) == (64, MANY - 64)
        body = {"producer_id": "p", "x-train-password": PASSWORD}
        assert httpx.post(f"{base}/train", json=body).status_code == 400  # and their places are free again


def test_a_user_has_no_more_places_than_are_left_for_others(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_MAX_PER_USER", 3)
    user, other = new_user(ports), new_user(ports)
    mine = f"Authorization: {bearer(user)['Authorization']}"
    with server(protected(ports, secret=True)) as base, client(base) as http:
        with _slow(base, "/api/train", 4, mine) as slow:
            [refused], _, _ = select.select(slow, [], [], 60)
            assert _status(refused) == 503
            assert http.post("/api/train/export", json=NOBODY, headers=bearer(other)).status_code == 404
            assert http.post("/api/train/export", json=NOBODY, headers=GOOD).status_code == 404
        until(lambda: http.post("/api/train/export", json=NOBODY, headers=bearer(user)).status_code == 404)


def test_wrong_passwords_slow_down_whoever_sends_them(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "FailedAttempts", lambda: FailedAttempts(free=3, seconds_each=0.5))
    with server(protected(ports)) as base, client(base) as http:
        form = {"producerId": "p", "x-train-password": "wrong"}
        by_form = [
            http.post("/api/producer/upload-and-train", data=form, files={"file": ("a.wav", b"x")}).status_code
            for _ in range(4)
        ]
        assert (by_form[0], by_form[-1]) == (401, 429)
        slowed = http.post("/api/train/export", json=NOBODY, headers=GOOD)
        assert (slowed.status_code, list(slowed.json())) == (429, ["error"])
        assert int(slowed.headers["retry-after"]) >= 1
        until(lambda: http.post("/api/train/export", json=NOBODY, headers=GOOD).status_code == 404)
        assert http.get("/healthz").status_code == 200


class _Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


def test_wrong_passwords_wear_off_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, failed = _Clock(monkeypatch), FailedAttempts(free=3, seconds_each=10)
    for _ in range(3):
        failed.require_patience("192.0.2.1")
        failed.note("192.0.2.1")
    with pytest.raises(RefusedRequestError) as caught:
        failed.require_patience("192.0.2.1")
    assert caught.value.headers == {"Retry-After": "11"}
    failed.require_patience("192.0.2.2")
    clock.now += 10
    failed.require_patience("192.0.2.1")
    failed.note("192.0.2.1")
    with pytest.raises(RefusedRequestError):
        failed.require_patience("192.0.2.1")
    clock.now += 30
    failed.require_patience("192.0.2.1")


def test_an_ipv6_network_is_one_sender_and_senders_are_bounded() -> None:
    failed = FailedAttempts(free=1)
    failed.note("2001:db8:1:2::3")
    with pytest.raises(RefusedRequestError):
        failed.require_patience("2001:db8:1:2:ffff::4")
    failed.require_patience("2001:db8:1:3::3")
    for number in range(password_attempts._MAX_SENDERS + 10):
        failed.note(f"sender {number}")
    assert len(failed._forgotten_at) <= password_attempts._MAX_SENDERS


def _read(body: Body) -> list[Any]:
    async def read() -> list[Any]:
        messages = [await body()]
        while messages[-1].get("more_body"):
            messages.append(await body())
        return messages

    return asyncio.run(read())


def _coming(*pieces: bytes, seconds: float = 0.0, clock: "_Clock | None" = None) -> Any:
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if clock:
            clock.now += seconds
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    return receive


def test_a_body_is_read_to_its_end_and_tells_that_once() -> None:
    whole: list[str] = []
    messages = _read(Body(_coming(b"a", b"b"), 10, UNAUTHENTICATED, whole=lambda: whole.append("whole")))
    assert b"".join(message["body"] for message in messages) == b"ab"
    assert whole == ["whole"]


def test_a_body_of_who_had_to_say_who_they_are_is_not_begun() -> None:
    with pytest.raises(RefusedRequestError) as caught:
        _read(Body(_coming(b"a"), 10, UNAUTHENTICATED, refusal=UnauthorizedError("say who you are")))
    assert (caught.value.status_code, caught.value.detail) == (401, "say who you are")


@pytest.mark.parametrize(
    ("patience", "pieces", "seconds", "status"),
    [
        (UNAUTHENTICATED, [b"x"] * 40, 1.0, 408),  # a byte a second
        (UNAUTHENTICATED, [b"x" * 20_000] * 40, 1.0, None),
        (KNOWN, [b"x"] * 40, 1.0, None),
        (KNOWN, [b"x"] * 1000, 1.0, 408),  # not for ever
        (KNOWN, [b"x" * 300_000] * 4, 0.0, 413),
    ],
)
def test_how_long_a_body_may_take(
    monkeypatch: pytest.MonkeyPatch, patience: Patience, pieces: list[bytes], seconds: float, status: int | None
) -> None:
    clock = _Clock(monkeypatch)
    body = Body(_coming(*pieces, seconds=seconds, clock=clock), 1_000_000, patience)
    if status is None:
        assert len(_read(body)) == len(pieces)
    else:
        with pytest.raises(RefusedRequestError) as caught:
            _read(body)
        assert caught.value.status_code == status


def test_a_body_that_stops_is_given_up() -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(RefusedRequestError) as caught:
        _read(Body(never, 10, Patience(silent_seconds=0.05, seconds=1.0)))
    assert caught.value.status_code == 408


def _read_to_the_end(raw: socket.socket) -> None:
    """Read what is left until the server closes the connection; fails with the socket's timeout if it does not."""
    while raw.recv(4096):
        pass


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_headers_that_do_not_come_are_given_up(ports: Ports, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    with server(ports) as base:
        address = ("127.0.0.1", int(base.rpartition(":")[2]))
        with socket.create_connection(address, timeout=60) as raw:
            raw.sendall(sent)
            assert _status(raw) == 408
            _read_to_the_end(raw)
        with socket.create_connection(address, timeout=60) as raw:  # nor those of a second request
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert _status(raw) == 200
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
            _read_to_the_end(raw)


def test_of_connections_without_headers_the_oldest_go(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_SILENT", 5)
    with server(ports) as base, ExitStack() as stack:
        address = ("127.0.0.1", int(base.rpartition(":")[2]))
        silent = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(10)]
        assert [_status(raw) for raw in silent[:5]] == [408] * 5
        silent[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert _status(silent[-1]) == 200


def test_a_reader_that_stops_is_left(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALLED_SECONDS", 0.3)
    nova = new_artist(ports)
    ports.bucket.put(f"artists/{nova.slug}/large.wav", bytes(32 << 20))
    with server(ports) as base:
        with socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])), timeout=60) as raw:
            raw.sendall(f"GET /files/artists/{nova.slug}/large.wav HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert raw.recv(12) == b"HTTP/1.1 200"
            assert not _is_closed()
            until(_is_closed)
        whole = httpx.get(f"{base}/files/artists/{nova.slug}/large.wav")
        assert len(whole.content) == 32 << 20  # who reads on gets all of it


def _is_closed() -> bool:
    """Whether the server, which is in this process, has let go of the file."""
    return not any("large.wav" in file.path for file in psutil.Process().open_files())
