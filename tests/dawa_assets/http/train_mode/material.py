"""What the browser's tests share: artists with sets, and what a person does with a set's view."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, drop, new_artist, rows
from tests.dawa_assets.prompting.material import profile
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page


def with_sets(ports: Ports, name: str, count: int) -> tuple[Artist, list[dict[str, Any]]]:
    """An artist with a profile and so many Live Sets; the summaries' rows, by name."""
    artist = new_artist(ports, name)
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into artist_profiles (artist_id, master_schema) values (%s, %s)", [artist.id, Jsonb(profile())]
        )
    drop(ports, artist.slug, {f"Song {n}/song {n}.als": als(120 + n) for n in range(1, count + 1)})
    take_in_live_sets(ports, artist.slug)
    found = rows(ports, "select * from als_summaries where artist_id = %s order by als_filename", artist.id)
    assert len(found) == count
    return artist, found


def open_set(page: "Page", site: str, artist: Artist, parse_id: str) -> None:
    page.goto(f"{site}/#/{artist.slug}/set/{parse_id}")
    page.locator("#prompt").wait_for()


def add_audio(page: "Page", file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=re.compile("Choose (a|the) file|Another bounce")).last.click()
    chooser.value.set_files(file)


def generate(page: "Page") -> str:
    page.get_by_role("button", name="Generate prompt").click()
    until(lambda: "BPM" in page.locator("#prompt").input_value())
    return page.locator("#prompt").input_value()


def save_button(page: "Page") -> Any:
    return page.locator("[data-does=save]")


def comes(page: "Page", holds: Any) -> None:
    """Wait for a condition outside of the browser, while the browser goes on."""

    def look() -> Any:
        page.wait_for_timeout(50)
        return holds()

    until(look)
