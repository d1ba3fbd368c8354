"""What takes long: 500 sets in the library, and following what runs where events are cut."""

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.train_mode import SETS, fill
from resources.ports import Ports
from tests.dawa_assets.http.train_mode.material import with_sets
from tests.dawa_assets.intake.material import rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


# What the page does to the list's elements from now on: made anew, moved or removed; shown or hidden.
_WATCHED = """
() => {
  window.seen = { nodes: 0, shown: 0 };
  new MutationObserver((changes) => {
    for (const change of changes)
      if (change.type === "childList") seen.nodes += change.addedNodes.length + change.removedNodes.length;
      else seen.shown++;
  }).observe(document.querySelector("ul.sets"), { childList: true, subtree: true, attributes: true });
}
"""


def test_filtering_500_sets_hides_items_without_rebuilding_them(site: str, site_ports: Ports, page: "Page") -> None:
    slug = fill(site_ports, SETS)
    page.goto(f"{site}/#/{slug}/library")
    page.locator("li.set").nth(SETS - 1).wait_for(state="attached")
    page.evaluate(_WATCHED)
    search = page.get_by_label("Search Live Sets")
    search.fill("piece 499")
    assert page.locator("li.set:not([hidden])").count() == 1
    search.fill("")
    assert page.locator("li.set:not([hidden])").count() == SETS
    failed = page.locator("li.set[data-badge=failed]").count()
    page.get_by_role("button", name=re.compile("^Failed")).click()
    assert 0 < failed == page.locator("li.set:not([hidden])").count() < SETS
    seen = page.evaluate("seen")
    assert seen["nodes"] == 0
    assert seen["shown"] == 2 * (SETS - 1) + SETS - failed  # and each is touched only where it changes


def test_a_user_goes_on_where_events_are_cut(site: str, site_ports: Ports, page: "Page", problems: list[str]) -> None:
    artist, (song,) = with_sets(site_ports, "Polled", 1)
    page.route(re.compile("/events$"), lambda route: route.abort())
    page.goto(f"{site}/#/{artist.slug}/library")
    page.locator("li.set").wait_for()
    item = rows(site_ports, "select id from training_items where artist_id = %s", artist.id)[0]["id"]
    httpx.post(
        f"{site}/api/artists/{artist.id}/items/{item}/exclude", json={"reason": "not cleared"}
    ).raise_for_status()
    page.locator("li.set .badge[data-badge=excluded]").wait_for()
    assert song["parse_id"]
    page.close()
    problems.clear()  # the cut streams
