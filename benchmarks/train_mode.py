"""What 500 Live Sets in the library cost the browser, beside the same cards as ready markup, and an empty page."""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import _home

WHAT = "opening a library of 500 Live Sets in Chromium, and filtering it twice"
PEER = "opening a file of the same 500 cards as ready markup"
FLOOR = "opening an empty page"

SETS = 500
MAX_MILLISECONDS = 100
"""What scripts may take until the library stands, and for each filtering."""


def setup(folder: Path) -> None:
    """The artist, the server, and the peer's file."""
    fill(_home.ports(folder), SETS)
    pid, url = _home.start_server(folder)
    (folder / "server.json").write_text(json.dumps({"pid": pid, "url": url}))
    with _page() as page:
        library_script(page, url)
        (folder / "cards.html").write_text(page.content())
    (folder / "empty.html").write_text("<!doctype html><title>Nothing</title>")


def teardown(folder: Path) -> None:
    """End the server and the database."""
    os.kill(json.loads((folder / "server.json").read_text())["pid"], signal.SIGTERM)
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """The library; no script of it may take longer than it is allowed to."""
    with _page() as page:
        took = library_script(page, json.loads((folder / "server.json").read_text())["url"])
    assert max(took.values()) < MAX_MILLISECONDS, took


def peer(folder: Path) -> None:
    """The cards alone: no script, no server."""
    with _page() as page:
        page.goto((folder / "cards.html").as_uri())
        assert page.locator("li.set").count() == SETS


def floor(folder: Path) -> None:
    """The browser itself."""
    with _page() as page:
        page.goto((folder / "empty.html").as_uri())


def score(folder: Path) -> Iterator[str]:
    """What scripts alone take of it, in processor time."""
    with _page() as page:
        took = library_script(page, json.loads((folder / "server.json").read_text())["url"])
    figures = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in took.items())
    yield f"ms of script, of {MAX_MILLISECONDS} allowed for each: {figures}"


def fill(ports: Any, count: int, name: str = "Many") -> str:
    """An artist with so many Live Sets, of every badge; their slug."""
    from dawa_assets.tables.artists import ensure_artist

    with ports.database.transaction() as connection:
        artist = ensure_artist(connection, name)
        connection.execute(
            "insert into als_summaries (artist_id, als_filename, project_name, parse_id, parse_timestamp, summary) "
            "select %s, 'Piece ' || i || '.als', 'Piece ' || i || ' Project', left(md5(i || %s), 12), "
            "now() - i * interval '1 hour', jsonb_build_object('overview', jsonb_build_object("
            "'tempo', 80 + i %% 90, 'time_signature', '4/4', 'total_tracks', 12), 'length_bars', 64, "
            "'scale', jsonb_build_object('root', 'A', 'name', 'Minor')) from generate_series(1, %s) i",
            [artist.id, name, count],
        )
        connection.execute(
            "insert into training_items (artist_id, als_summary_id, parse_id, als_filename, project_name, item_key, "
            "status, error) select artist_id, id, parse_id, als_filename, project_name, als_filename, "
            "case when tempo %% 3 = 0 then 'failed' else 'needs_audio' end, "
            "case when tempo %% 3 = 0 then 'it can''t be decoded' end "
            "from (select *, (summary -> 'overview' ->> 'tempo')::int as tempo from als_summaries "
            "where artist_id = %s) s",
            [artist.id],
        )
    return str(artist.slug)


def library_script(page: Any, url: str, slug: str = "many") -> dict[str, float]:
    """Milliseconds of processor time that scripts take: until the library stands, and to filter it."""
    told = page.context.new_cdp_session(page)
    told.send("Performance.enable", {"timeDomain": "threadTicks"})

    def script() -> float:
        metrics = told.send("Performance.getMetrics")["metrics"]
        return 1000 * next(float(each["value"]) for each in metrics if each["name"] == "ScriptDuration")

    page.goto(f"{url}/#/{slug}/library")
    page.locator("li.set").nth(SETS - 1).wait_for(state="attached")
    first = script()
    page.get_by_label("Search Live Sets").fill("piece 499")
    page.locator("li.set:not([hidden])").wait_for()
    assert page.locator("li.set:not([hidden])").count() == 1
    by_text = script() - first
    page.get_by_label("Search Live Sets").fill("")
    before = script()
    page.get_by_role("button", name=re.compile("^Failed")).click()
    assert 0 < page.locator("li.set:not([hidden])").count() < SETS
    return {"first paint": first, "filter by text": by_text, "filter by badge": script() - before}


@contextmanager
def _page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "there is no chromium here (apt-get install chromium)"
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=arguments)
        yield browser.new_page(viewport={"width": 1440, "height": 900})
        browser.close()
