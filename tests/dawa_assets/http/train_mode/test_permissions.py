"""Permissions on the page: a tick with who and until when, revoked with a reason; the server has the last word.

Each takes some ten seconds: a server of its own, and a person who waits for what it answers.
"""

from typing import TYPE_CHECKING, Any

import httpx

from dawa_assets.rights.enforce import enforce
from dawa_assets.tables import artist_deletions
from resources.ports import Ports
from tests.dawa_assets.http.serving import TEXT, pair, server
from tests.dawa_assets.http.train_mode.conftest import with_settings
from tests.dawa_assets.http.train_mode.material import comes, open_set, with_sets
from tests.dawa_assets.intake.material import rows, wav

if TYPE_CHECKING:
    from playwright.sync_api import Page


def _panel(page: "Page") -> Any:
    return page.get_by_role("region", name="Permissions")


def _revoke(page: "Page", reason: str) -> None:
    dialog = page.get_by_role("dialog", name="Revoke the permission?")
    dialog.get_by_label("Why").fill(reason)
    page.keyboard.press("Enter")
    dialog.wait_for(state="detached")


def _take_out(problems: list[str], status: int) -> int:
    """Take a refusal that was meant out of what went wrong; how many there were."""
    meant = [problem for problem in problems if f"status of {status}" in problem]
    problems[:] = [problem for problem in problems if problem not in meant]
    return len(meant)


def test_a_tick_puts_on_record_who_permits_and_until_when(site_ports: Ports, page: "Page", problems: list[str]) -> None:
    """By keyboard; with a wrong day, a double click, a reload; for the artist, as their item has it, and taken back."""
    ports = with_settings(site_ports, permissions="required")
    artist, (song,) = with_sets(ports, "Permitted", 1)
    with server(ports) as base:
        body = pair(artist, song["parse_id"], wav(300, 2.0), promptText=TEXT.replace("122", "121"))
        httpx.post(f"{base}/api/train/save", json=body, timeout=60).raise_for_status()
        enforce(ports, artist)
        page.goto(f"{base}/#/{artist.slug}/profile")
        panel = _panel(page)
        train, publish, generate = (
            panel.get_by_role("checkbox", name=f"Permitted to {does}") for does in ("train", "publish", "generate")
        )
        panel.get_by_text("2 items are left out").wait_for()
        page.keyboard.press("r")
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        assert (train.is_checked(), publish.is_checked(), generate.is_checked()) == (True, True, False)
        put_on_record = panel.get_by_role("button", name="Put on record")
        put_on_record.click()
        panel.get_by_text("Write who permits it first.").wait_for()
        page.keyboard.type("Harbour Records")
        panel.get_by_label("Last day").fill("2001-01-01")
        page.keyboard.press("Enter")
        panel.get_by_text("Last day 2001-01-01: lies before").wait_for()
        assert rows(ports, "select from permissions where artist_id = %s", artist.id) == []
        panel.get_by_label("Last day").fill("2099-12-31")
        panel.get_by_label("Evidence").fill("contract 2026-14")
        put_on_record.dblclick()
        page.get_by_text("The permission is on record. 2 items are taken in again.").wait_for()
        panel.get_by_text("by Harbour Records, until 31 Dec 2099 · contract 2026-14").first.wait_for()
        [row] = rows(ports, "select * from permissions where artist_id = %s", artist.id)
        assert (row["purposes"], row["recorded_by"]) == (["train", "publish"], "somebody with access to the server")

        page.reload()
        panel.get_by_text("All of it may be trained on.").wait_for()
        assert (train.is_checked(), generate.is_checked()) == (True, False)
        open_set(page, base, artist, song["parse_id"])
        panel.get_by_text("It may be trained on.").wait_for()
        assert train.is_disabled()
        panel.get_by_role("link", name="change it at the artist").first.click()
        panel.get_by_text("Everything on record (1)").wait_for()
        train.click()
        _revoke(page, "the contract ended")
        page.get_by_text("Revoked. 2 items are left out.").wait_for()
        panel.get_by_text("by Harbour Records, revoked: the contract ended").first.wait_for()
        assert not train.is_checked()
        page.close()
    [revocation] = rows(ports, "select reason from permission_revocations where artist_id = %s", artist.id)
    assert revocation == {"reason": "the contract ended"}
    assert _take_out(problems, 400) == 1


def test_what_another_tab_did_and_what_is_refused_is_reported(
    site: str, site_ports: Ports, page: "Page", problems: list[str]
) -> None:
    """An item's permission is granted elsewhere, the artist's revoked, the artist deleted; and permissions are off."""
    artist, (song,) = with_sets(site_ports, "Two tabs", 1)
    body = pair(artist, song["parse_id"], wav(300, 2.0))
    item = httpx.post(f"{site}/api/train/save", json=body, timeout=60).raise_for_status().json()["trainingItemId"]
    place = f"{site}/api/artists/{artist.id}/permissions"
    panel = _panel(page)
    train = panel.get_by_role("checkbox", name="Permitted to train")

    def ask(who: str) -> None:
        train.check()
        panel.get_by_label("Who permits it").fill(who)
        page.keyboard.press("Enter")

    open_set(page, site, artist, song["parse_id"])
    panel.get_by_text("It is used all the same, since permissions are not required here.").wait_for()
    other = {"purposes": ["train"], "grantedBy": "Ada", "itemId": item}
    httpx.post(place, json=other).raise_for_status()
    ask("Ada")
    page.get_by_text("The same permission was on record already.").wait_for()
    panel.get_by_text("by Ada, for good").wait_for()
    assert len(rows(site_ports, "select from permissions where artist_id = %s", artist.id)) == 1

    granted = httpx.post(place, json={**other, "itemId": None}).raise_for_status().json()["id"]
    page.goto(f"{site}/#/{artist.slug}/profile")
    panel.get_by_text("All of it may be trained on.").wait_for()
    httpx.post(f"{place}/{granted}/revoke", json={"reason": "by phone"}).raise_for_status()
    train.click()
    _revoke(page, "again")
    page.get_by_text("It was revoked already.").wait_for()
    panel.get_by_text("by Ada, revoked: by phone").wait_for()

    with site_ports.database.transaction() as connection:
        artist_deletions.begin(connection, artist, "me")
    ask("Ada")
    panel.get_by_text(f"artist '{artist.slug}': is being deleted").wait_for()
    assert (train.is_checked(), panel.get_by_label("Who permits it").input_value()) == (True, "Ada")
    assert len(rows(site_ports, "select from permissions where artist_id = %s", artist.id)) == 2
    assert _take_out(problems, 404) == 1

    quiet, _ = with_sets(site_ports, "Nobody asks", 1)
    with server(with_settings(site_ports, permissions="off")) as base:
        with page.expect_response(lambda answer: answer.url.endswith("/permissions")):
            page.goto(f"{base}/#/{quiet.slug}/profile")
        page.get_by_role("heading", name="Profile").wait_for()
        comes(page, lambda: page.locator(".permissions").count() == 1)
        assert page.locator(".permissions").is_hidden()
        page.close()
