"""Who gets in by the page, and what they see: a password, a user's e-mail, their own artists and nobody else's."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from resources.ports import Ports
from tests.dawa_assets.http.serving import PASSWORD, new_user, protected, server, token
from tests.dawa_assets.http.train_mode.conftest import with_settings
from tests.dawa_assets.http.train_mode.material import with_sets

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Project:
    """The part of a Supabase project that signs users in, on loopback."""

    def __init__(self) -> None:
        self.users: dict[str, tuple[str, UUID]] = {}
        self.seconds = 3600
        self.grants: list[str] = []
        self.lives = True

    def answer(self, grant: str, given: dict[str, str], issuer: str) -> tuple[int, dict[str, Any]]:
        self.grants.append(grant)
        user = next((user for _, user in self.users.values() if str(user) == given.get("refresh_token")), None)
        if grant == "password":
            password, user = self.users.get(given.get("email", ""), ("", None))  # type: ignore[assignment]
            if user is None or password != given.get("password"):
                return 400, {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}
        if user is None or not self.lives:
            return 400, {"msg": "Invalid Refresh Token"}
        made = token(user, iss=issuer)
        return 200, {
            "access_token": made,
            "refresh_token": str(user),
            "expires_in": self.seconds,
            "token_type": "bearer",
        }


@pytest.fixture
def project() -> Iterator[tuple[Project, str]]:
    """A project and its address."""
    made = Project()

    class Handler(BaseHTTPRequestHandler):
        def _send(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Headers", "apikey, content-type")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_OPTIONS(self) -> None:
            self._send(204)

        def do_GET(self) -> None:
            self._send(200, b'{"keys": []}')

        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["apikey"] == "sb_publishable_x"
            issuer = f"http://{self.headers['Host']}/auth/v1"
            status, body = made.answer(self.path.partition("grant_type=")[2], given, issuer)
            self._send(status, json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield made, f"http://127.0.0.1:{served.server_address[1]}"
    served.shutdown()
    served.server_close()


def test_a_user_signs_in_by_e_mail_and_sees_only_their_artists(
    site_ports: Ports, project: tuple[Project, str], page: "Page", problems: list[str]
) -> None:
    accounts, address = project
    mine, _ = with_sets(site_ports, "Mine", 1)
    other, (secret,) = with_sets(site_ports, "Somebody else", 1)
    accounts.users["mia@example.org"] = ("right", new_user(site_ports, mine))
    ports = with_settings(
        protected(site_ports, password=False, secret=True, url=address), supabase_publishable_key="sb_publishable_x"
    )
    with server(ports) as base:
        page.goto(f"{base}/#/{other.slug}/set/{secret['parse_id']}")
        page.get_by_label("E-mail").fill("mia@example.org")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("Invalid login credentials").wait_for()
        page.get_by_label("Password").fill("right")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text(f"There is no artist “{other.slug}” that you may see.").wait_for()
        assert "song 1" not in page.content()
        page.get_by_role("button", name="All artists").click()
        page.locator("a.artist-card").first.wait_for()
        assert page.locator("a.artist-card").count() == 1
        page.locator("a.artist-card", has_text="Mine").click()
        page.locator("li.set").wait_for()
        assert page.url.endswith(f"#/{mine.slug}/library")
        assert page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])").count("ey") == 0
        page.goto(f"{base}/#/{mine.slug}/set/{secret['parse_id']}")
        page.get_by_role("alert").get_by_role("heading").wait_for()
        page.reload()
        page.get_by_label("E-mail").wait_for()  # nothing of it was stored
    page.close()
    problems.clear()  # the refusals


@pytest.mark.slow
def test_a_token_is_refreshed_and_expiry_asks_to_sign_in_again(
    site_ports: Ports, project: tuple[Project, str], page: "Page", problems: list[str]
) -> None:
    accounts, address = project
    mine, _ = with_sets(site_ports, "Refreshed", 1)
    accounts.users["mia@example.org"] = ("right", new_user(site_ports, mine))
    accounts.seconds = 6
    ports = with_settings(
        protected(site_ports, password=False, secret=True, url=address), supabase_publishable_key="sb_publishable_x"
    )
    with server(ports) as base:
        page.goto(base)
        page.get_by_label("E-mail").fill("mia@example.org")
        page.get_by_label("Password").fill("right")
        page.keyboard.press("Enter")
        page.locator("li.set").wait_for()
        while "refresh_token" not in accounts.grants:
            page.wait_for_timeout(200)
        accounts.lives = False
        page.get_by_role("link", name="Dataset").wait_for()
        page.get_by_role("button", name="Sign out (mia@example.org)").click()
        page.get_by_label("E-mail").wait_for()
    page.close()
    problems.clear()


def test_the_shared_password_lets_in_and_a_wrong_one_does_not(
    site_ports: Ports, page: "Page", problems: list[str]
) -> None:
    artist, _ = with_sets(site_ports, "Behind a password", 1)
    with server(protected(site_ports)) as base:
        page.goto(f"{base}/#/{artist.slug}/library")
        page.get_by_label("Password").fill("not it – ünïcode")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("That is not right.").wait_for()
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.locator("li.set img.timeline").wait_for()
        page.get_by_role("button", name="Sign out (shared password)").click()
        page.get_by_label("Password").wait_for()
        assert page.locator("li.set").count() == 0
    page.close()
    problems.clear()  # the 401


def test_names_and_texts_of_strangers_are_shown_as_text(site: str, site_ports: Ports, page: "Page") -> None:
    evil = "<img src=x onerror=alert(1)>"
    artist, (song,) = with_sets(site_ports, f"{evil} \u202eflip", 1)
    with site_ports.database.transaction() as connection:
        connection.execute(
            "update training_items set prompt_text = %s, error = %s, status = 'failed', als_filename = %s "
            "where artist_id = %s",
            [f"{evil}</textarea><script>alert(2)</script>", evil, f"{evil}.als", artist.id],
        )
        connection.execute(
            "update als_summaries set als_filename = %s, project_name = %s, "
            "summary = jsonb_set(summary, '{locators}', %s::jsonb) where id = %s",
            [f"{evil}\u202e.als", "مشروع <b>x</b>", json.dumps([{"name": evil, "time": 0, "bar": 1}]), song["id"]],
        )
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.goto(f"{site}/#/")
    page.get_by_text(evil).first.wait_for()
    page.goto(f"{site}/#/{artist.slug}/library")
    name = page.locator("li.set a.name", has_text=evil)
    name.wait_for()
    assert "\u202e" not in (name.text_content() or "")  # of a card that is not drawn yet there is no inner text
    name.click()
    page.locator("#prompt").wait_for()
    assert evil in page.get_by_role("heading", level=1).inner_text()
    assert page.locator("main img:not(.timeline)").count() == 0
    assert page.locator("main script, main b").count() == 0
    assert asked == []


def test_the_browser_itself_refuses_markup_of_strings(site: str, page: "Page", problems: list[str]) -> None:
    page.goto(site)
    page.locator("h1, h2").first.wait_for()
    for attempt in ("document.body.innerHTML = '<b>x</b>'", "document.body.setAttribute('style', 'color: red')"):
        page.evaluate(f"() => {{ try {{ {attempt} }} catch (error) {{ window.refused = String(error) }} }}")
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert page.locator("body > b").count() == 0
    page.close()
    problems.clear()  # what the policy says of both
