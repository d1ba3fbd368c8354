"""The page of Train Mode as it is sent: its parts, its policy, nothing else of the package; what a session tells."""

from dataclasses import replace

import httpx

from resources.ports import Ports
from tests.dawa_assets.http.serving import client, protected, server


def test_the_page_and_its_modules_have_a_policy_and_are_cached(ports: Ports) -> None:
    with server(protected(ports)) as base, client(base) as http:
        page = http.get("/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "<script>" not in page.text
        assert "style=" not in page.text
        main = http.get("/train-mode/main.js")
        assert (main.status_code, main.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert main.headers["content-security-policy"] == policy
        again = http.get("/train-mode/main.js", headers={"If-None-Match": main.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert http.head("/").status_code == 200


def test_nothing_but_the_page_s_parts_is_sent(ports: Ports) -> None:
    paths = ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "x.py", "none.js", "/etc/passwd", "a\\..\\b.js", "%00.js"]
    with server(ports) as base, client(base) as http:
        for path in paths:
            answer = http.get(httpx.URL(base, raw_path=f"/train-mode/{path}".encode()))
            assert (answer.status_code, set(answer.json())) == (404, {"error"}), path


def test_a_session_tells_how_to_get_in_and_no_secret(ports: Ports) -> None:
    with server(ports) as base:
        told = httpx.get(f"{base}/api/session").json()
        assert (told["isOpen"], told["takesPassword"], told["takesToken"], told["signIn"]) == (True, False, False, None)
        assert (told["setSuffixes"], ".wav" in told["audioSuffixes"]) == ([".als"], True)
    hosted = protected(ports, password=True, secret=True, url="http://127.0.0.1:9/")
    hosted = replace(
        hosted, settings=hosted.settings.model_copy(update={"supabase_publishable_key": "sb_publishable_x"})
    )
    with server(hosted) as base:
        told = httpx.get(f"{base}/api/session")
        assert told.json()["signIn"] == {"url": "http://127.0.0.1:9/auth/v1", "key": "sb_publishable_x"}
        assert (told.json()["isOpen"], told.json()["takesPassword"], told.json()["takesToken"]) == (False, True, True)
        assert "secret" not in told.text.lower().replace("takespassword", "")
        assert "connect-src 'self' blob: http://127.0.0.1:9;" in httpx.get(base).headers["content-security-policy"]
