"""Pages of other sites: those of DAWA_WEB_ORIGINS read every answer, all others get nothing out of an open server."""

import io
import subprocess
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.datastructures import Headers

from dawa_assets.http.local_only import is_foreign
from resources.errors import SettingsError
from resources.ports import Ports
from resources.settings import Settings
from tests.browsers import CHROMIUM, NO_CHROMIUM
from tests.dawa_assets.http.serving import PASSWORD, client, protected, server
from tests.dawa_assets.intake.material import new_artist

DASHBOARD = "https://dashboard.example.com"
HERE = {"host": "127.0.0.1:8000"}
IMAGE = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
VISIT = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
CROSS = {"sec-fetch-site": "cross-site"}


def for_pages(ports: Ports, *origins: str) -> Ports:
    return replace(ports, settings=ports.settings.model_copy(update={"web_origins": origins}))


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"host": "localhost"}, False),
        ({"host": "[::1]:8000"}, False),
        ({"host": "dawa.example"}, True),
        ({"host": "evil.localhost"}, True),
        ({"origin": "http://localhost:3000"}, False),
        ({"origin": DASHBOARD}, False),
        ({"origin": DASHBOARD} | CROSS, False),
        ({"origin": f"{DASHBOARD}.evil.example"}, True),
        ({"origin": "http://dashboard.example.com"}, True),
        ({"origin": "null"}, True),
        (CROSS | IMAGE, True),
        (CROSS | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "audio"}, True),
        (CROSS | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, True),
        (CROSS | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, True),
        (CROSS | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "object"}, True),
        (CROSS, True),
        (CROSS | IMAGE | {"referer": "http://localhost:3000/"}, False),
        (CROSS | IMAGE | {"referer": "http://[::1]/"}, False),
        (CROSS | IMAGE | {"referer": "https://evil.example/localhost"}, True),
        (CROSS | IMAGE | {"referer": "https://localhost.evil.example/"}, True),
        (CROSS | IMAGE | {"referer": "http://localhost/", "origin": "https://evil.example"}, True),
        (CROSS | {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "referer": "http://localhost/"}, True),
        (CROSS | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "script", "referer": "http://localhost/"}, True),
        (CROSS | VISIT, False),
        ({"sec-fetch-site": "same-origin"} | IMAGE, False),
        ({"sec-fetch-site": "same-site"} | IMAGE, False),
        ({"sec-fetch-site": "none"} | VISIT, False),
        ({"x-forwarded-for": "::1", "x-forwarded-host": "localhost:3000"}, False),
        ({"x-forwarded-for": "::ffff:127.0.0.1"}, False),
        ({"x-forwarded-for": "203.0.113.7"}, True),
        ({"x-forwarded-for": "127.0.0.1, 203.0.113.7"}, True),
        ({"x-forwarded-for": "unknown"}, True),
        ({"x-forwarded-host": "dawa.example"}, True),
    ],
)
def test_what_is_foreign_to_an_open_server(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign(Headers(HERE | headers), "GET", [DASHBOARD]) is foreign


def test_a_foreign_page_s_form_is_no_visit() -> None:
    assert is_foreign(Headers(HERE | CROSS | VISIT), "POST", [])


@given(st.dictionaries(st.sampled_from(["host", "origin", "x-forwarded-for", "x-forwarded-host"]), st.text()))
def test_no_header_makes_the_question_fail(headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("utf-8", "replace")) for name, value in (HERE | headers).items()]
    assert is_foreign(Headers(raw=raw), "GET", []) in (True, False)


def test_an_open_server_refuses_requests_from_foreign_pages(ports: Ports) -> None:
    nova = new_artist(ports)
    ports.bucket.put(f"artists/{nova.slug}/timeline.png", b"picture")
    with server(ports) as base, client(base) as http:
        url = f"/files/artists/{nova.slug}/timeline.png"
        own = http.get(url, headers={"Sec-Fetch-Site": "same-origin"} | IMAGE)
        assert (own.status_code, own.headers["cross-origin-resource-policy"]) == (200, "same-site")
        for path in (url, "/docs", "/openapi.json", "/train?job_id=x&producer_id=y", "/nowhere"):
            answer = http.get(path, headers=CROSS | IMAGE)
            assert (answer.status_code, list(answer.json())) == (403, ["error"]), path
            assert answer.headers["cross-origin-resource-policy"] == "same-site"
        assert http.get(url, headers=CROSS | VISIT).status_code == 200  # a link that somebody followed


def test_a_link_of_a_protected_server_may_be_shown_on_any_page(ports: Ports) -> None:
    from dawa_assets.http.file_links import Links

    nova = new_artist(ports)
    key = f"artists/{nova.slug}/preview.wav"
    ports.bucket.put(key, b"sound")
    with server(protected(ports)) as base, client(base) as http:
        link = Links(ports.settings.home / "serve.key").make(base, key, 60)
        shown = http.get(link, headers=CROSS | IMAGE)
        assert (shown.status_code, shown.headers["cross-origin-resource-policy"]) == (200, "cross-origin")
        assert http.get(f"/files/{key}", headers=CROSS | IMAGE).status_code == 401


def test_allowed_origins_pass_preflight_and_can_read_errors(ports: Ports) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-train-password"}
    nowhere = {"artistId": "00000000-0000-0000-0000-000000000000"}
    with server(for_pages(protected(ports), DASHBOARD)) as base, client(base, Origin=DASHBOARD) as http:
        told = http.options("/api/train/export", headers=asks)
        assert told.status_code == 200
        assert told.headers["access-control-allow-origin"] == DASHBOARD
        assert "x-train-password" in told.headers["access-control-allow-headers"]
        assert "POST" in told.headers["access-control-allow-methods"]
        refused = [
            http.post("/api/train/export", json=nowhere),
            http.post("/api/train/export", json=nowhere, headers={"x-train-password": PASSWORD}),
            http.post("/api/train", content=b"x" * 2_000_000, headers={"x-train-password": PASSWORD}),
            http.get("/nowhere"),
        ]
        assert [answer.status_code for answer in refused] == [401, 404, 413, 404]
        for answer in refused:
            assert answer.headers["access-control-allow-origin"] == DASHBOARD
            assert "access-control-allow-credentials" not in answer.headers
            assert "Location" in answer.headers["access-control-expose-headers"]
        for headers in (asks | {"Origin": "https://evil.example"}, asks | {"Origin": "null"}):
            answer = http.options("/api/train/export", headers=headers)
            assert (answer.status_code, list(answer.json())) == (403, ["error"])
            assert "access-control-allow-origin" not in answer.headers
        odd = http.options("/api/train/export", headers=asks | {"Access-Control-Request-Headers": "x-odd"})
        assert (odd.status_code, "x-train-password" in odd.json()["error"]) == (403, True)
        unknown = http.get("/healthz", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in unknown.headers


def test_without_the_setting_no_page_is_answered(ports: Ports) -> None:
    with server(protected(ports)) as base, client(base, Origin=DASHBOARD) as http:
        assert "access-control-allow-origin" not in http.get("/healthz").headers
        told = http.options("/api/train", headers={"Access-Control-Request-Method": "POST"})
        assert (told.status_code, "DAWA_WEB_ORIGINS" in told.json()["error"]) == (403, True)


def test_a_failure_is_readable_by_the_page_as_well(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr("dawa_assets.http.access.Caller.artist", fails)
    nobody = {"artistId": "00000000-0000-0000-0000-000000000000"}
    headers = {"Origin": DASHBOARD, "x-train-password": PASSWORD}
    with server(for_pages(protected(ports), DASHBOARD)) as base, client(base, **headers) as http:
        answer = http.post("/api/train/export", json=nobody)
    assert (answer.status_code, list(answer.json())) == (500, ["error"])
    assert "secret" not in answer.text
    assert answer.headers["access-control-allow-origin"] == DASHBOARD


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("https://a.example", ("https://a.example",)),
        ("https://A.example/, http://localhost:3000", ("https://a.example", "http://localhost:3000")),
        ("https://a.example:443,http://[::1]:80", ("https://a.example", "http://[::1]")),
        ("", None),
        (" , ", None),
    ],
)
def test_origins_are_known_as_browsers_write_them(
    monkeypatch: pytest.MonkeyPatch, given: str, known: tuple[str, ...] | None
) -> None:
    monkeypatch.setenv("DAWA_WEB_ORIGINS", given)
    assert Settings.load().web_origins == known


@pytest.mark.parametrize(
    "given",
    ["*", "https://*.example", "a.example", "https://a.example/path", "null", "https://x@a.example", "http://["],
)
def test_what_is_no_origin_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("DAWA_WEB_ORIGINS", given)
    with pytest.raises(SettingsError, match=r"^DAWA_WEB_ORIGINS: name each origin"):
        Settings.load()


PAGE = """<!doctype html><title>page</title><body><script>
const base = %(base)r, told = [];
const tell = (name, work) =>
  work.then(value => told.push(name + "=" + value), error => told.push(name + "!" + error.name));
const picture = new Promise(done => {
  const image = new Image();
  image.onload = () => done("shown"); image.onerror = () => done("hidden");
  image.src = base + "/files/artists/nova/timeline.png";
});
Promise.all([
  tell("post", fetch(base + "/api/train/export", {method: "POST", body: JSON.stringify({artistId: "x"}),
    headers: {"Content-Type": "application/json", "x-train-password": "p"}})
    .then(async answer => answer.status + (await answer.json()).error)),
  tell("simple", fetch(base + "/healthz").then(answer => answer.status)),
  tell("picture", picture),
]).then(() => { document.body.textContent = "told " + told.sort().join(" ; ") + " end"; });
</script>"""


ELSEWHERE = "elsewhere.test"
"""A page's host that is none of this machine's names; the browser is told where it is."""


class _Site:
    """A page at an address of its own that asks the server at `asks`."""

    def __init__(self, host: str) -> None:
        self.asks = ""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write((PAGE % {"base": site.asks}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://{host}:{self._listening.server_port}"

    def __enter__(self) -> "_Site":
        Thread(target=self._listening.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown()
        self._listening.server_close()


def _seen(site: _Site, profile: Path) -> str:
    """What the page tells in a real browser."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += [f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"]
    command += ["--virtual-time-budget=15000", "--dump-dom", f"{site.origin}/"]
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=True)
    assert "told " in ran.stdout, ran.stdout + ran.stderr[-2000:]
    return ran.stdout.rpartition("told ")[2].partition(" end")[0]


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "png")
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
def test_in_a_browser(ports: Ports, tmp_path: Path) -> None:
    ports.bucket.put(f"artists/{new_artist(ports).slug}/timeline.png", _png())

    def seen(page_at: str, served: Callable[[str], Ports]) -> str:
        with _Site(page_at) as site, server(served(site.origin)) as base:
            site.asks = base.replace("127.0.0.1", "localhost")
            return _seen(site, tmp_path / "profile")

    assert seen(ELSEWHERE, lambda _: ports) == "picture=hidden ; post!TypeError ; simple!TypeError"
    # Dagster's page, which a browser takes for another site where its address is the other name of this machine
    assert seen("127.0.0.1", lambda _: ports) == "picture=shown ; post!TypeError ; simple!TypeError"
    assert seen("localhost", lambda _: ports).startswith("picture=shown")
    named = seen(ELSEWHERE, lambda origin: for_pages(protected(ports), origin))
    assert named.startswith("picture=hidden ; post=401the password is wrong")
    assert named.endswith("simple=200")
