"""Exports over HTTP: where their links lead, behind proxies too, and that a lost answer can be had again."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.datasets.build import build_dataset
from dawa_assets.http.proxies import TrustedProxies
from dawa_assets.tables.artists import Artist
from resources.errors import SettingsError
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.http.serving import PASSWORD, bearer, client, new_user, pair, protected, server
from tests.dawa_assets.intake.material import keys, new_artist, rows, wav

GOOD = {"x-train-password": PASSWORD}
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "dashboard.example", "X-Forwarded-Prefix": "/dawa"}


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def http(ports: Ports) -> Iterator[httpx.Client]:
    with server(ports) as base, client(base) as made:
        yield made


def _set(ports: Ports, **settings: Any) -> Ports:
    return replace(ports, settings=ports.settings.model_copy(update=settings))


def _export(http: httpx.Client, artist: Artist, **headers: str) -> dict[str, Any]:
    answer = http.post("/api/train/export", json={"artistId": str(artist.id)}, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _address(answer: dict[str, Any]) -> str:
    return str(answer["datasetUrl"]).partition("/files/")[0]


def _file(answer: dict[str, Any]) -> str:
    return str(answer["datasetUrl"]).partition("/files/")[2].partition("?")[0]


def test_only_a_trusted_proxy_changes_the_address_of_a_link(ports: Ports, nova: Artist) -> None:
    guarded = protected(ports)
    with server(guarded) as base, client(base, **GOOD) as http:
        assert http.post("/api/train/save", json=pair(nova)).status_code == 200
        assert _address(_export(http, nova)) == base
        assert _address(_export(http, nova, **FORWARDED)) == base
        assert _address(_export(http, nova, Host="dawa.example:81")) == "http://dawa.example:81"
        for host in ("a b", "evil.example/x", "<script>", "["):
            answer = http.post("/api/train/export", json={"artistId": str(nova.id)}, headers={"Host": host})
            assert (answer.status_code, list(answer.json())) == (400, ["error"]), host
    with server(_set(guarded, web_proxies=("127.0.0.0/8",))) as base, client(base, **GOOD) as http:
        assert _address(_export(http, nova, **FORWARDED)) == "https://dashboard.example/dawa"
        assert _address(_export(http, nova)) == base
        odd = {"X-Forwarded-Host": "evil.example/x?", "X-Forwarded-Proto": "javascript", "X-Forwarded-Prefix": "//x"}
        assert _address(_export(http, nova, **odd)) == base
    with server(_set(guarded, serve_url="https://music.example/")) as base, client(base, **GOOD) as http:
        assert _address(_export(http, nova, **FORWARDED)) == "https://music.example"


def test_an_unchanged_export_gives_the_same_zip(http: httpx.Client, nova: Artist) -> None:
    for n in (1, 2):
        http.post("/api/train/save", json=pair(nova, audio=wav(200 + n)))
    first = _export(http, nova)
    assert first["itemCount"] == 2
    with ThreadPoolExecutor(6) as pool:
        again = list(pool.map(lambda _: _export(http, nova), range(6)))
    assert {(_file(answer), answer["itemCount"]) for answer in again} == {(_file(first), 2)}
    assert httpx.get(again[0]["datasetUrl"]).content[:2] == b"PK"
    http.post("/api/train/save", json=pair(nova, audio=wav(300)))
    second = _export(http, nova)
    assert (second["itemCount"], _file(second) == _file(first)) == (1, False)
    assert _file(_export(http, nova)) == _file(second)


def test_exports_at_once_all_get_the_one_zip(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    http.post("/api/train/save", json=pair(nova))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: _export(http, nova), range(6)))
    assert len({_file(answer) for answer in answers}) == 1
    assert len([key for key in keys(ports.bucket, "artists/nova/datasets") if key.endswith(".zip")]) == 1


CHANGES = {
    "an item was left out": "update training_items set excluded_at = now()",
    "an item is gone": "delete from training_items",
    "an item failed": "update training_items set status = 'failed', error = 'x'",
    "its zip was pruned": "update datasets set pruned_at = now()",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_export_of_what_is_no_longer_so_is_not_given_again(
    ports: Ports, http: httpx.Client, nova: Artist, change: str
) -> None:
    http.post("/api/train/save", json=pair(nova))
    _export(http, nova)
    with ports.database.transaction() as connection:
        connection.execute(change)
    answer = http.post("/api/train/export", json={"artistId": str(nova.id)})
    assert (answer.status_code, "no ready training items" in answer.json()["error"]) == (400, True)


def test_an_export_of_nothing_but_what_failed_says_so(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    http.post("/api/train/save", json=pair(nova))
    _export(http, nova)
    item = http.post("/api/train/save", json=pair(nova, audio=wav(300))).json()["trainingItemId"]
    [row] = rows(ports, "select audio_path from training_items where id = %s", item)
    ports.bucket.delete([row["audio_path"]])
    answer = http.post("/api/train/export", json={"artistId": str(nova.id)})
    assert (answer.status_code, "its audio is not in the bucket" in answer.json()["error"]) == (400, True)


def test_what_the_pipeline_exported_since_is_not_passed_over(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    http.post("/api/train/save", json=pair(nova))
    first = _export(http, nova)
    http.post("/api/train/save", json=pair(nova, audio=wav(300)))
    build_dataset(ports, nova.slug)
    assert http.post("/api/train/export", json={"artistId": str(nova.id)}).status_code == 400
    current = http.get("/api/train/dataset", params={"artistId": str(nova.id)}).json()
    assert (current["itemCount"], current["isWhole"], _file(current) == _file(first)) == (2, True, False)


def test_the_current_dataset_has_a_route_for_the_artists_users(ports: Ports, nova: Artist) -> None:
    who = {"artistId": str(nova.id)}
    with server(protected(ports, secret=True)) as base, client(base) as http:
        mine, other = bearer(new_user(ports, nova)), bearer(new_user(ports, new_artist(ports, "Other")))
        none = http.get("/api/train/dataset", params=who, headers=mine)
        assert (none.status_code, "no dataset yet" in none.json()["error"]) == (404, True)
        http.post("/api/train/save", json=pair(nova), headers=mine)
        exported = _export(http, nova, **mine)
        found = http.get("/api/train/dataset", params=who, headers=mine).json()
        assert (_file(found), found["itemCount"], found["isWhole"]) == (_file(exported), 1, False)
        [row] = rows(ports, "select sha256 from datasets")
        assert found["sha256"] == row["sha256"]
        assert httpx.get(found["datasetUrl"]).content[:2] == b"PK"
        assert http.get("/api/train/dataset", params=who, headers=other).status_code == 404
        assert http.get("/api/train/dataset", params=who).status_code == 401
        assert http.get("/api/train/dataset", params={"artistId": "x"}, headers=mine).status_code == 400


def _seen(client_at: str, networks: list[str], headers: dict[str, str]) -> dict[str, Any]:
    """What an app behind the proxies sees of a request that came from `client_at`."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.update(scope)

    raw = [(name.lower().encode(), value.encode("utf-8", "replace")) for name, value in headers.items()]
    scope = {"type": "http", "client": (client_at, 1), "scheme": "http", "root_path": "", "headers": raw}
    asyncio.run(TrustedProxies(app, networks)(scope, None, None))  # type: ignore[arg-type]
    return {
        "client": seen["client"][0],
        "scheme": seen["scheme"],
        "host": dict(seen["headers"]).get(b"host"),
        "root": seen["root_path"],
    }


PROXIES = ["10.0.0.0/8", "::1"]
HEADERS = {"Host": "inner:8000"} | FORWARDED | {"X-Forwarded-For": "203.0.113.7"}


@pytest.mark.parametrize(
    ("client_at", "more", "client", "host"),
    [
        ("10.1.2.3", {}, "203.0.113.7", b"dashboard.example"),
        ("::ffff:10.1.2.3", {}, "203.0.113.7", b"dashboard.example"),
        ("::1", {}, "203.0.113.7", b"dashboard.example"),
        ("10.1.2.3", {"X-Forwarded-For": "1.2.3.4, 203.0.113.7, 10.9.9.9"}, "203.0.113.7", b"dashboard.example"),
        ("10.1.2.3", {"X-Forwarded-Host": "evil.example, dashboard.example"}, "203.0.113.7", b"dashboard.example"),
        ("10.1.2.3", {"X-Forwarded-Host": "evil example"}, "203.0.113.7", b"inner:8000"),
        ("203.0.113.9", {}, "203.0.113.9", b"inner:8000"),
        ("127.0.0.1", {}, "127.0.0.1", b"inner:8000"),
        ("a socket", {}, "a socket", b"inner:8000"),
    ],
)
def test_whom_is_believed_what(client_at: str, more: dict[str, str], client: str, host: bytes) -> None:
    seen = _seen(client_at, PROXIES, HEADERS | more)
    assert (seen["client"], seen["host"]) == (client, host)
    believed = client != client_at
    assert (seen["scheme"], seen["root"]) == (("https", "/dawa") if believed else ("http", ""))


@given(st.dictionaries(st.sampled_from(["Host", "X-Forwarded-For", *FORWARDED]), st.text()))
def test_whatever_a_proxy_says_is_a_request(headers: dict[str, str]) -> None:
    seen = _seen("10.1.2.3", PROXIES, headers)
    assert seen["scheme"] in ("http", "https")
    assert "//" not in seen["root"]


@pytest.mark.parametrize("given", ["everybody", "*", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1;10.0.0.2"])
def test_what_is_no_network_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("DAWA_WEB_PROXIES", given)
    with pytest.raises(SettingsError, match=r"^DAWA_WEB_PROXIES: name addresses"):
        Settings.load()
    monkeypatch.setenv("DAWA_WEB_PROXIES", "10.0.0.1, ::1")
    assert Settings.load().web_proxies == ("10.0.0.1/32", "::1/128")
