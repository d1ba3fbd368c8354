"""What takes long: 500 sets in the library, and following what runs where events are cut."""

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.train_mode import MOST_MILLISECONDS, SETS, fill, library_script
from resources.ports import Ports
from tests.http.train_mode.material import with_sets
from tests.intake.material import rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


def test_500_sets_stand_and_are_filtered_within_a_tenth_of_a_second_of_script(
    site: str, site_ports: Ports, page: "Page"
) -> None:
    slug = fill(site_ports, SETS)
    took = library_script(page, site, slug)
    assert max(took.values()) < MOST_MILLISECONDS, took


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
